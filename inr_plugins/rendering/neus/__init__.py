"""Volume rendering of signed distances, as in NeuS."""
