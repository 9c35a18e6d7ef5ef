"""Tests on two real Horovod ranks."""
