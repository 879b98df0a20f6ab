"""Losses, each a plain function of rendered and wanted values."""
