"""Linear algebra of sparse codes over a dictionary."""
