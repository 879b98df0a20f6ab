"""Sphere tracing of signed distances and occupancies."""
