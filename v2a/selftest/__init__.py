"""Stage `selftest`: a few seconds of real data-parallel training that show whether a cluster, or this machine, can train."""
