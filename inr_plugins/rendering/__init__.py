"""Ray marching, empty-space skipping and samplers that nerfstudio lacks."""
