"""What a mesh looks like: ray casting, visibility, colours, textures, pictures."""
