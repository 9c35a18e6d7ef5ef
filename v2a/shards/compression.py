"""How frames may be stored; imports nothing heavy, so that settings are checked where no HDF5 is."""

COMPRESSIONS = ("none", "lz4", "zstd")
