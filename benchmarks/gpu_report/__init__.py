"""Everything that wants a GPU to be measured, in one command: see scripts/gpu_report."""
