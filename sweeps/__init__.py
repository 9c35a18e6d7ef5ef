"""Hyperparameter search over whole runs: search spaces, studies, the life of a trial.

Depends on `hpc` to run trials and on Optuna to choose them; never imports torch or `v2a`.
"""
