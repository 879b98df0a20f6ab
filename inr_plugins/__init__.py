"""Implicit neural representation research as nerfstudio methods."""

__version__ = "0.1.0"
