"""How time and memory grow with the sizes of what is trained on and of what is trained; see __main__.py."""
