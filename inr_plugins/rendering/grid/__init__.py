"""Marching through grids of occupied space."""
