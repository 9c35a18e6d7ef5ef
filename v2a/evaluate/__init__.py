"""Stage `evaluate`: measures decoders of sound on a test split, null baselines always beside them."""
