"""Signals as files of few bytes: the .inr container, and networks whose values are the same to the bit anywhere."""
