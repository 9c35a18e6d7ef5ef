"""Slurm's configuration files as pure functions of the layout; see slurm.conf(5), slurmdbd.conf(5), gres.conf(5)."""

from slurm.testbed.layout import CONTROLLER, NODES, PARTITIONS, Addresses, Cluster, Node, Partition

FIRST_LINE = "# Written by slurm.testbed; gone with `make cluster-down`."


def slurm_conf(cluster: Cluster, addresses: Addresses) -> str:
    """slurm.conf: one controller, the nodes and partitions of the layout, times short enough to watch faults happen."""
    state, controller = cluster.state, addresses.of(CONTROLLER)
    lines = [
        FIRST_LINE,
        "ClusterName=testbed",
        f"SlurmctldHost={CONTROLLER}({controller})",
        "SlurmUser=root",
        "SlurmdUser=root",
        "AuthType=auth/munge",
        # cred_expire is also how long a requeued job waits before it may start again; Slurm's own value is 120 s.
        f"AuthInfo=socket={state}/run/munge.socket,cred_expire=15",
        f"StateSaveLocation={state}/state",
        f"SlurmdSpoolDir={state}/spool/%n",
        f"SlurmctldPidFile={state}/run/slurmctld.pid",
        f"SlurmdPidFile={state}/run/slurmd-%n.pid",
        f"SlurmctldLogFile={state}/log/slurmctld.log",
        f"SlurmdLogFile={state}/log/slurmd-%n.log",
        "AccountingStorageType=accounting_storage/slurmdbd",
        f"AccountingStorageHost={controller}",
        f"AccountingStoragePass={state}/run/munge.socket",
        "AccountingStorageTRES=gres/gpu,gres/gpu:t4,gres/gpu:v100",
        "JobAcctGatherType=jobacct_gather/linux",
        "JobAcctGatherFrequency=task=5",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        f"TaskProlog={state}/etc/task_prolog.sh",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_Core",
        "SchedulerType=sched/backfill",
        "SchedulerParameters=bf_interval=3,bf_resolution=10,sched_min_interval=100000",
        # The nodes' sizes are as written below, whatever this machine has.
        "SlurmdParameters=config_overrides",
        "SlurmctldParameters=preempt_send_user_signal",
        "PreemptType=preempt/partition_prio",
        "PreemptMode=REQUEUE",
        "MpiDefault=none",
        "GresTypes=gpu",
        "ReturnToService=2",
        "MailProg=/bin/true",
        # A node that is cut off is found dead after 20 s instead of 300, a job that ignores TERM is killed after 5 s.
        "SlurmdTimeout=20",
        "KillWait=5",
        "MinJobAge=3600",
        *(_node_line(node, addresses) for node in NODES),
        *(_partition_line(partition) for partition in PARTITIONS),
    ]
    return "\n".join(lines) + "\n"


def _node_line(node: Node, addresses: Addresses) -> str:
    return (
        f"NodeName={node.name} NodeAddr={addresses.of(node.name)} CPUs={node.cpus} RealMemory={node.memory_mb} "
        f"Gres=gpu:{node.gpu_type}:{node.gpus} Feature={node.gpu_type}"
    )


def _partition_line(partition: Partition) -> str:
    return (
        f"PartitionName={partition.name} Nodes={','.join(partition.nodes)} Default={'YES' if partition.default else 'NO'} "
        f"MaxTime=INFINITE PriorityTier={partition.priority_tier} GraceTime={partition.grace_time_s}"
    )


def slurmdbd_conf(cluster: Cluster, addresses: Addresses, password: str) -> str:
    """slurmdbd.conf: accounting in the controller's own MariaDB. Holds a password: write it readable by its owner only."""
    state = cluster.state
    return "\n".join(
        [
            FIRST_LINE,
            "AuthType=auth/munge",
            f"AuthInfo=socket={state}/run/munge.socket",
            f"DbdHost={CONTROLLER}",
            f"DbdAddr={addresses.of(CONTROLLER)}",
            "SlurmUser=root",
            "StorageType=accounting_storage/mysql",
            "StorageHost=127.0.0.1",
            "StorageUser=slurm",
            f"StoragePass={password}",
            "StorageLoc=slurm_acct_db",
            f"LogFile={state}/log/slurmdbd.log",
            f"PidFile={state}/run/slurmdbd.pid",
            "",
        ]
    )


def gres_conf(cluster: Cluster) -> str:
    """gres.conf: GPUs as character devices, so that Slurm sets CUDA_VISIBLE_DEVICES as it does for real ones."""
    lines = [FIRST_LINE, "AutoDetect=off"]
    lines += [
        f"NodeName={n.name} Name=gpu Type={n.gpu_type} File={cluster.state}/dev/nvidia[0-{n.gpus - 1}]" for n in NODES
    ]
    return "\n".join(lines) + "\n"


def task_prolog() -> str:
    """What every task gets into its environment (slurm.conf: TaskProlog).

    All nodes share this machine's cores. An MPI rank that spins while it waits then takes the core that another rank needs;
    told to yield, four ranks of the self-test take less than half the time on two busy cores (docs/LOG.md).
    """
    return f"#!/bin/sh\n{FIRST_LINE}\necho export OMPI_MCA_mpi_yield_when_idle=1\n"


def mpi_conf() -> str:
    """mpi.conf: PMIx keeps its sockets in /tmp, which each node has for itself (shared, it fails with "File exists")."""
    return f"{FIRST_LINE}\nPMIxCliTmpDirBase=/tmp\n"


def hosts_file(addresses: Addresses, cluster: Cluster) -> str:
    """The hosts file that every host of the cluster sees in place of the machine's."""
    lines = ["127.0.0.1 localhost", *(f"{addresses.of(host)} {host}" for host in cluster.hosts)]
    return "\n".join(lines) + "\n"
