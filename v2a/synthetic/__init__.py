"""Corpora that need no download: rendered videos whose sound is physically tied to the picture, with the truth in a JSON beside each."""
