"""Image and surface metrics."""
