"""Models of what is known by measurements only: a field, and an operator whose measurements of it are compared."""
