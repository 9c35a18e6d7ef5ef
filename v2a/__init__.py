"""Video to audio: models, data, losses, the training loop, inference and evaluation.

This package runs in one process and knows nothing of Slurm, Horovod, MPI or Optuna: collectives (`v2a.comm.Comm`), the
stop signal and the metric report are injected into it by whoever launches it.
"""
