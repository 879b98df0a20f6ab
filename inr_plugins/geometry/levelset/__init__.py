"""Meshes of level sets of functions, on whole lattices or on blocks near the surface."""
