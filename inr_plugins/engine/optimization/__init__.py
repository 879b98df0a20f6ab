"""Optimizers, schedules of learning rates, running means of weights."""
