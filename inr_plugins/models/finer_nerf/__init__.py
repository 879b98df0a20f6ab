"""Coordinate networks with FINER++ activations as radiance fields."""
