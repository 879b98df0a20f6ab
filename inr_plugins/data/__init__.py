"""Scenes made from meshes, and data managers that check what they load."""
