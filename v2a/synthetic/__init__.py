"""Corpora that need no download: videos whose sound follows from the picture, the truth in a JSON beside each."""
