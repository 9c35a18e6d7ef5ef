"""Training, written once: a stage supplies its task; the loop, checkpoints, precision, schedule and records are here."""
