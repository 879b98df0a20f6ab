"""diner-surface: signed distances on a sparse voxel lattice, coloured by keys and normals."""
