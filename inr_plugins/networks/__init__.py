"""Networks in plain torch: key tables, activations, coordinate networks."""
