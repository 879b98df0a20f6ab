"""Presets: nerfstudio MethodSpecification objects, one module a family."""
