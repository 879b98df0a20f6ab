"""Functions of a point: density, signed distance, occupancy, colour."""
