"""Images and videos as functions of the place."""
