"""nerfstudio Models: they wire fields, rendering, losses and metrics together."""
