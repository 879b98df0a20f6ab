"""NeuS, with normalisations or FINER++ activations."""
