"""One shape as a signed distance or an occupancy."""
