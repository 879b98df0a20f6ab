"""Compiled code for the CPU and kernels for CUDA, with twins in torch."""
