"""Tests, split by how they are launched: unit and house in one process, distributed on two ranks, cluster on real Slurm."""
