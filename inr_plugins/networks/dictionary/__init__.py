"""Banks of experts, and the gates that mix them."""
