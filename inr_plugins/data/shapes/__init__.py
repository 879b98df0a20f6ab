"""Meshes and clouds of points as data of shapes: reading, sampling distances, batches, views."""
