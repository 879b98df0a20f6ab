"""What every method shares: trainer, device choice, schedulers, checkpoints, runs."""
