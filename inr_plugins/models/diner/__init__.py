"""DINER: spherical harmonics on a sparse voxel lattice, behind learnable keys."""
