"""Sparse lattices, tables of keys, and the functions on them."""
