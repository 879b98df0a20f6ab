"""Commands: thin tyro front ends."""
