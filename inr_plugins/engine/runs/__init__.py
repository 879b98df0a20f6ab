"""Runs on disk: their folders, configurations and checkpoints; reserving, reading and resuming them."""
