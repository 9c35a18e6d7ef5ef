"""The cluster's side of v2a-hpc: Slurm, Horovod, MPI, world layout, runs.

Importing this package, or any module that a login node uses (`hpc.submit`, `hpc.preflight`, `hpc.build_horovod`), needs
neither torch nor Horovod. A stage of the model is called by its name through `v2a.stages`; nothing else of v2a is known here.
"""
