"""Built-in objects of made scenes."""
