"""Distances to meshes and clouds, their signs, and the normals that give them."""
