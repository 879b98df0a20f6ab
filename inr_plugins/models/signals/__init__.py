"""Images as functions of the place."""
