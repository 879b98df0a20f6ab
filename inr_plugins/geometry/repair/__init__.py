"""Repairing surfaces: what is double, stray, turned over or not wanted."""
