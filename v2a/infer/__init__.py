"""Stage `infer`: sound for silent videos of any container and any length."""
