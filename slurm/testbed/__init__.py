"""A real Slurm cluster of five hosts on one machine, to test against and to practise on.

    python3 -m slurm.testbed up            # slurmctld, slurmdbd + MariaDB, munge, one slurmd per host
    eval "$(python3 -m slurm.testbed env)" # srun, sbatch, sacct of this shell now speak to it
    python3 -m slurm.testbed down          # nothing is left behind

Each host is a set of Linux namespaces (PID, network, mount, UTS, IPC) under one process, its PID 1. Nothing has a name in the
machine: a host that is killed takes its processes, mounts and network with it, so cleaning up cannot miss anything.
Standard library only. docs/testbed.md is its manual.
"""
