"""Data managers that check what they load: images with cameras, shapes from files."""
