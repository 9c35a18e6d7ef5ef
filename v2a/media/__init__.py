"""Reading videos of any kind: frames at a constant rate and sound, on one time line."""
