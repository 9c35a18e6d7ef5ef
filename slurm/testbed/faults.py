"""Faults on request: what goes wrong on a real cluster, done to this one by name, and undone."""

from slurm.testbed import network, processes
from slurm.testbed.layout import CONTROLLER, CONTROLLER_DAEMONS, NODES, Cluster, TestbedError, find_node
from slurm.testbed.lifecycle import addresses_of


def cut(cluster: Cluster, target: str) -> str:
    """Pull a node's network cable: its processes go on and nobody hears of them. Returns what happened, in words."""
    node, controller = find_node(target).name, _controller(cluster)
    if node not in processes.running_hosts(cluster):
        raise TestbedError(
            f"{node} does not run, so it has no cable to pull; start it: make cluster-fault DO='restart {node}'"
        )
    network.set_link(node, controller, "down")
    return f"{target} is cut off the network; Slurm finds out after 20 s. Undo: make cluster-fault DO='heal {target}'"


def heal(cluster: Cluster, target: str) -> str:
    """Plug a node's network cable in again."""
    node = find_node(target).name
    if node not in processes.running_hosts(cluster):
        raise TestbedError(
            f"{node} does not run, so there is no cable to plug in; start it with: make cluster-fault DO='restart {node}'"
        )
    network.set_link(node, _controller(cluster), "up")
    # Slurm asks a node that it thinks dead only now and then; on SIGHUP its slurmd reports by itself.
    processes.run_in_host(
        cluster, node, ["bash", "-c", f'kill -HUP "$(cat "{processes.pid_file(cluster, node, "slurmd")}")"']
    )
    return f"{target} is on the network again"


def kill(cluster: Cluster, target: str) -> str:
    """Cut the power of a node ("t4-2"), or kill -9 one daemon ("t4-2/slurmd", "slurmctld", "slurmdbd", "mariadbd", "munged")."""
    host, daemon = _place(target)
    if daemon is None:
        if host not in processes.running_hosts(cluster):
            return f"{host} does not run already"
        processes.kill_hosts(cluster, host)
        return f"{host} lost its power with all that ran on it. Undo: make cluster-fault DO='restart {host}'"
    script = f'kill -KILL "$(cat "{processes.pid_file(cluster, host, daemon)}")"'
    if processes.run_in_host(cluster, host, ["bash", "-c", script]).returncode != 0:
        return f"{daemon} on {host} does not run already"
    return f"{daemon} on {host} was killed. Undo: make cluster-fault DO='restart {target}'"


def restart(cluster: Cluster, target: str) -> str:
    """Start a node that lost its power, or one daemon, again; a daemon that runs is killed first, a node that runs is left."""
    host, daemon = _place(target)
    if daemon is None:
        if host in processes.running_hosts(cluster):
            return f"{host} runs already (one daemon of it is started again with 'restart {host}/slurmd')"
        controller = _controller(cluster)
        network.connect_node(addresses_of(cluster), host, processes.start_host(cluster, host), controller)
        return f"{host} starts; Slurm takes it back when its slurmd has reported"
    kill(cluster, target)
    processes.start_daemon(cluster, host, daemon)
    return f"{daemon} on {host} runs again"


def _place(target: str) -> tuple[str, str | None]:
    """Host and daemon that a target names; no daemon: the whole host."""
    if target in CONTROLLER_DAEMONS:
        return CONTROLLER, target
    host, slash, daemon = target.partition("/")
    if host not in (node.name for node in NODES) or (slash and daemon != "slurmd"):
        names = [node.name for node in NODES]
        raise TestbedError(
            f"there is nothing called {target!r} to kill or restart; there are the nodes {', '.join(names)}, their daemons "
            f"({names[0]}/slurmd, …), and the controller's daemons {', '.join(CONTROLLER_DAEMONS)}"
        )
    return host, daemon or None


def _controller(cluster: Cluster) -> int:
    try:
        return processes.running_hosts(cluster)[CONTROLLER]
    except KeyError:
        raise TestbedError(
            "the cluster's controller does not run; bring the cluster up again with: make cluster-up"
        ) from None
