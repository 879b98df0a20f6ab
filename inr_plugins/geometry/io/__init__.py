"""Reading and writing meshes and clouds."""
