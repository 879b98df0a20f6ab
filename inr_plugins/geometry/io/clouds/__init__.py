"""Readers of clouds of points."""
