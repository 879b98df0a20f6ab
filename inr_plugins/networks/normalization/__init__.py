"""Normalisations of hidden features."""
