"""A trained field becomes a mesh file: region, extraction, cleaning, colour, writing."""
