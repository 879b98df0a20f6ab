"""The formats of mesh files, one by one."""
