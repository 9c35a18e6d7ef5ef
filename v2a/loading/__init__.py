"""Clips of a prepared dataset on their way into training: which, in what order, which part of each."""
