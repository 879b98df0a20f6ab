"""Meshes, isosurfaces and frames; numpy, open3d, PyMCubes and trimesh only."""
