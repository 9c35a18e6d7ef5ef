"""Clip shards: HDF5 files of clips with a checksum for every chunk, and the manifest of a dataset folder."""
