"""Measures of a drawn sound against the true one: pure functions on arrays, which read and write no file."""
