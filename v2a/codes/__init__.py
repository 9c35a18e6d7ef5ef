"""Stage `codes`: the codes of every clip, in code shards, so that stage 2 never runs the encoder again."""
