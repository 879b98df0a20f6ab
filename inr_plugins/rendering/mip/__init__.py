"""Cones in sections on two levels, as in mip-NeRF."""
