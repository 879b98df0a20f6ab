"""Controls and scene nodes for the live viewer."""
