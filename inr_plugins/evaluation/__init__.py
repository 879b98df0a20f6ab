"""Measuring trained runs: images against held-out views, surfaces against ground truth, silhouettes against masks."""
