"""Signals that are no scenes: images and videos."""
