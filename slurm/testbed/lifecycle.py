"""Up and down. `down` works from what the kernel shows, not from what `up` meant to do: any interrupted `up` is cleaned by it."""

import contextlib
import functools
import ipaddress
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from slurm.testbed import files, network, processes
from slurm.testbed.guards import check_can_run
from slurm.testbed.layout import CONTROLLER, CONTROLLER_DAEMONS, NODES, Addresses, Cluster, TestbedError

Tell = Callable[[str], None]


def up(cluster: Cluster, tell: Tell, timeout_s: float = 60) -> bool:
    """Bring the cluster up, or say that it is; whatever an interrupted `up` left is removed first.

    Returns:
        Whether it was brought up now; False when it was up already.

    Raises:
        TestbedError: it cannot run here, or a host did not come up within `timeout_s`; nothing is left then.
    """
    check_can_run(cluster)
    with _locked(cluster):
        if answers(cluster):
            tell(f"the cluster is up already ({cluster.state}); its nodes: {_node_states(cluster)}")
            return False
        if _revive(cluster, tell):
            return False
        if cluster.ready_file.exists():
            tell("the cluster that was here does not answer; it is ended and brought up anew")
        _remove(cluster)
        try:
            _bring_up(cluster, tell, time.monotonic() + timeout_s)
        except BaseException as error:  # Ctrl-C too: a half-built cluster helps nobody
            saved = _save_logs(cluster) if isinstance(error, TestbedError) else None
            _remove(cluster)
            if saved:
                raise TestbedError(
                    f"{error}\nThe cluster was taken down again; its logs were kept in {saved}"
                ) from error
            raise
    return True


def _revive(cluster: Cluster, tell: Tell) -> bool:
    """Start the controller's daemons that died, rather than lose the jobs and the accounting of a cluster that lives."""
    if not cluster.ready_file.exists() or CONTROLLER not in processes.running_hosts(cluster):
        return False
    for daemon in CONTROLLER_DAEMONS:
        if not processes.daemon_runs(cluster, CONTROLLER, daemon):
            tell(f"{daemon} does not run; starting it again")
            try:
                processes.start_daemon(cluster, CONTROLLER, daemon)
            except TestbedError as error:  # beyond repair: it is built anew
                tell(str(error))
                return False
    return answers(cluster)


def down(cluster: Cluster, tell: Tell) -> None:
    """End every process of the cluster and remove its network and folder; says so when there is nothing to end."""
    with _locked(cluster):
        there = cluster.state.exists() or bool(processes.running_hosts(cluster))
        _remove(cluster)
    tell("the cluster is down; nothing of it is left" if there else "the cluster is down already")


def answers(cluster: Cluster) -> bool:
    """Whether the cluster came up whole and its controller still runs and speaks."""
    if not cluster.ready_file.exists() or CONTROLLER not in processes.running_hosts(cluster):
        return False
    return _slurm(cluster, "sinfo", "-h", "-o", "%D").returncode == 0


def addresses_of(cluster: Cluster) -> Addresses:
    """The addresses of a cluster that came up."""
    return Addresses(ipaddress.IPv4Network(cluster.ready_file.read_text()))


def require_ready(cluster: Cluster) -> None:
    """Raise `TestbedError` unless the cluster came up; its controller's daemons may have been killed since."""
    if not cluster.ready_file.exists() or CONTROLLER not in processes.running_hosts(cluster):
        raise TestbedError(f"the test cluster is not up ({cluster.state}); bring it up with: make cluster-up")


def states(cluster: Cluster) -> dict[str, str]:
    """Slurm's word for each node's state, by name."""
    lines = _slurm(cluster, "sinfo", "-h", "-N", "-o", "%N %T").stdout.split("\n")
    return dict(line.split() for line in lines if line)


def _bring_up(cluster: Cluster, tell: Tell, deadline: float) -> None:
    cluster.state.mkdir(parents=True, exist_ok=True)
    cluster.marker_file.write_text("This folder belongs to slurm.testbed, which removes it whole on `down`.\n")
    for folder in ("etc", "state", "log", "run", "mysql", "spool", "dev"):
        (cluster.state / folder).mkdir()
    for node in NODES:
        (cluster.state / "spool" / node.name).mkdir()
    # The subnet is chosen and taken under one lock, so that two clusters coming up at once take two.
    with network.machine_wide_lock("v2a-testbed-subnet", "another test cluster is choosing its network", wait_s=30):
        addresses = network.choose_subnet(cluster)
        _write_files(cluster, addresses)
        tell(f"starting {len(cluster.hosts)} hosts on {addresses.subnet}")
        controller = processes.start_host(cluster, CONTROLLER)
        network.connect_shell(cluster, addresses, controller)
    for node in NODES:
        network.connect_node(addresses, node.name, processes.start_host(cluster, node.name), controller)
    tell("starting munge, MariaDB, slurmdbd, slurmctld")
    _wait(cluster, deadline, "the controller", (cluster.state / "controller-ready").exists)
    tell(f"starting slurmd on {len(NODES)} nodes")
    _wait(cluster, deadline, "every node", functools.partial(_all_idle, cluster))
    cluster.ready_file.write_text(str(addresses.subnet))


def _all_idle(cluster: Cluster) -> bool:
    return states(cluster) == dict.fromkeys((node.name for node in NODES), "idle")


def _wait(cluster: Cluster, deadline: float, what: str, done: Callable[[], bool]) -> None:
    while not done():
        missing = set(cluster.hosts) - set(processes.running_hosts(cluster))
        if missing:
            raise TestbedError(f"{', '.join(sorted(missing))} ended while starting")
        if time.monotonic() > deadline:
            raise TestbedError(f"{what} did not come up in time")
        time.sleep(0.1)


def _write_files(cluster: Cluster, addresses: Addresses) -> None:
    etc, password = cluster.state / "etc", secrets.token_hex(16)
    _write_secret(etc / "munge.key", secrets.token_bytes(1024))
    _write_secret(etc / "slurmdbd.conf", files.slurmdbd_conf(cluster, addresses, password).encode())
    _write_secret(
        etc / "accounting.sql",
        f"create database if not exists slurm_acct_db; create user if not exists slurm@'127.0.0.1' identified by '{password}'; "
        f"grant all on slurm_acct_db.* to slurm@'127.0.0.1';".encode(),
    )
    (etc / "slurm.conf").write_text(files.slurm_conf(cluster, addresses))
    (etc / "gres.conf").write_text(files.gres_conf(cluster))
    (etc / "mpi.conf").write_text(files.mpi_conf())
    (etc / "task_prolog.sh").write_text(files.task_prolog())
    (etc / "task_prolog.sh").chmod(0o755)
    (etc / "hosts").write_text(files.hosts_file(addresses, cluster))
    for number in range(max(node.gpus for node in NODES)):
        os.mknod(cluster.state / "dev" / f"nvidia{number}", 0o20666, os.makedev(1, 3))  # /dev/null under another name


def _write_secret(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _remove(cluster: Cluster) -> None:
    # A folder is removed only when `up` made it: CLUSTER_DIR=$HOME must not end in tears.
    if cluster.state.exists() and not cluster.marker_file.exists() and any(cluster.state.iterdir()):
        raise TestbedError(
            f"{cluster.state} is not empty and no test cluster's folder, so nothing was done to it. "
            "Choose an empty or new folder with CLUSTER_DIR="
        )
    if cluster.state.exists() and cluster.state.stat().st_uid != os.geteuid():
        raise TestbedError(
            f"{cluster.state} belongs to another user, so nothing was done to it. Choose another with CLUSTER_DIR="
        )
    processes.kill_hosts(cluster)
    network.remove_interface(cluster)
    if cluster.state.exists():
        # The marker goes last, so that a removal that was interrupted can be taken up again.
        for entry in cluster.state.iterdir():
            if entry != cluster.marker_file:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        shutil.rmtree(cluster.state)


def _save_logs(cluster: Cluster) -> Path | None:
    """Keep the logs of a cluster that failed, beside its folder: they are all that explains it."""
    source, target = cluster.state / "log", cluster.state.with_name(cluster.state.name + "-failed.log")
    if not source.exists():
        return None
    with target.open("w") as out:
        for path in sorted(source.iterdir()):
            out.write(f"==== {path.name}\n{path.read_text(errors='replace')}\n")
    return target


def _locked(cluster: Cluster) -> contextlib.AbstractContextManager[None]:
    busy = f"another `up` or `down` of this cluster is running ({cluster.state})"
    return network.machine_wide_lock(cluster.mark, busy, wait_s=90)


def _node_states(cluster: Cluster) -> str:
    return ", ".join(f"{node} {state}" for node, state in states(cluster).items())


def _slurm(cluster: Cluster, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SLURM_CONF": str(cluster.slurm_conf)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
