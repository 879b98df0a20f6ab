"""Signals that are no scenes: images."""
