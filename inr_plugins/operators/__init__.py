"""What instruments measure of a field: linear maps with their adjoints, in plain torch."""
