"""Stage `audio`: trains a decoder that turns codes into sound (stage 2 of the paper)."""
