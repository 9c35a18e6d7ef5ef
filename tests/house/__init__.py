"""Tests of the repository itself: imports, tests, config fields, documentation, Makefile."""
