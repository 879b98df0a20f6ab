"""Compiled code for the CPU, with twins in torch."""
