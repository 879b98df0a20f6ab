"""Activations, each with the initialisation that it asks for."""
