"""NID: a dictionary of implicit functions over shapes, and unseen shapes as sparse codes."""
