"""Datasets of images and camera poses: what nerfstudio's parsers are given, and what is made of their answer."""
