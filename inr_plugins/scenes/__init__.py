"""Made scenes with ground truth: objects, light, cameras, folders."""
