"""Horovod's ranks under srun without MPI: rank 0 serves their meeting point, and tells its address through the run's folder."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from hpc.record import read_json
from hpc.world import World
from v2a.whole import write_json

_PATIENCE_S = 180.0  # an NFS client may believe for a minute that a new file is not there
_POLL_S = 0.2


def meet(world: World, run_dir: Path) -> None:
    """Set what Horovod reads from its environment, so that `hvd.init()` finds the other ranks over TCP.

    Args:
        world: under srun; every node has as many ranks as this one.
        run_dir: a folder that all ranks see.

    Raises:
        RuntimeError: rank 0's address did not appear, or this node has no network interface towards it.
        ValueError: the nodes have different numbers of ranks.
    """
    if world.size % world.local_size:
        raise ValueError(
            f"expected as many ranks on each node for --controller gloo, but of {world.size} this one has {world.local_size}"
        )
    step = "-".join(os.environ.get(name, "0") for name in ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"))
    file = run_dir / f".rendezvous-{step}.json"
    address, interface = _towards(os.environ.get("SLURM_LAUNCH_NODE_IPADDR", world.host))
    if world.rank == 0:
        for old in run_dir.glob(".rendezvous-*.json"):
            old.unlink(missing_ok=True)
        write_json(file, {"address": address, "port": _serve(world)})
    place = _read(file)
    nodes = world.size // world.local_size
    os.environ |= {
        "HOROVOD_HOSTNAME": world.host,
        "HOROVOD_RANK": str(world.rank),
        "HOROVOD_SIZE": str(world.size),
        "HOROVOD_LOCAL_RANK": str(world.local_rank),
        "HOROVOD_LOCAL_SIZE": str(world.local_size),
        "HOROVOD_CROSS_RANK": str(world.rank // world.local_size),
        "HOROVOD_CROSS_SIZE": str(nodes),
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": str(place["address"]),
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(place["port"]),
        "HOROVOD_GLOO_IFACE": interface,
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
    }


def _serve(world: World) -> int:
    """Start Horovod's own server in a thread; its port."""
    from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
    from horovod.runner.http.http_server import RendezvousServer

    server = RendezvousServer()
    port: int = server.start()
    hosts = ",".join(f"node{number}:{world.local_size}" for number in range(world.size // world.local_size))
    server.init(get_host_assignments(parse_hosts(hosts), world.size))
    return port


def _towards(host: str) -> tuple[str, str]:
    """This node's address and network interface for packets to a host."""
    import psutil

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))  # sends nothing
        address = str(probe.getsockname()[0])
    for name, addresses in psutil.net_if_addrs().items():
        if any(found.address == address for found in addresses):
            return address, name
    raise RuntimeError(f"no network interface of this node has the address {address}, from which it reaches {host}")


def _read(file: Path) -> dict[str, object]:
    deadline = time.monotonic() + _PATIENCE_S
    while (found := read_json(file)) is None:
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"rank 0's address did not appear in {file} within {_PATIENCE_S:g} s: do all nodes see that folder?"
            )
        time.sleep(_POLL_S)
    return found
