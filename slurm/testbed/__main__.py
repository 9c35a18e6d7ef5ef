"""Command line of the test cluster: `python3 -m slurm.testbed --help`."""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from slurm.testbed import faults, lifecycle, processes
from slurm.testbed.guards import check_root, state_folder
from slurm.testbed.layout import NODES, PARTITIONS, Cluster, TestbedError, find_node

_CHECKOUT = Path(__file__).resolve().parents[2]
_EXAMPLES = """\
examples:
  python3 -m slurm.testbed up
  eval "$(python3 -m slurm.testbed env)"; srun -N4 hostname
  python3 -m slurm.testbed shell              a shell that speaks to the cluster; `shell t4-2`: one on that node
  python3 -m slurm.testbed fault cut t4-2     pull a node's cable; heal t4-2 plugs it in again
  python3 -m slurm.testbed fault kill t4-3    cut a node's power; restart t4-3 brings it back
  python3 -m slurm.testbed fault kill slurmctld
  python3 -m slurm.testbed down
"""


def parser() -> argparse.ArgumentParser:
    """The command line, for `main` and for the test that checks the documentation's commands against it."""
    top = argparse.ArgumentParser(
        prog="python3 -m slurm.testbed",
        description="A real Slurm cluster of five hosts on this machine: up, used, broken on purpose, down without a trace.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--dir", type=Path, help="the cluster's folder (default: .cluster in the checkout)")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    bring_up = commands.add_parser("up", help="bring the cluster up; says so when it is up already")
    bring_up.add_argument(
        "--share", type=Path, action="append", default=[], metavar="DIR",
        help="a folder under /tmp, /var/tmp or /dev/shm that the nodes see too (theirs are private); may be given again",
    )  # fmt: skip
    commands.add_parser("down", help="end it and leave nothing behind")
    commands.add_parser("env", help='print what a shell must export to speak to it: eval "$(… env)"')
    shell = commands.add_parser("shell", help="open a shell that speaks to it, or one on a node")
    shell.add_argument("node", nargs="?", help="a node's name, t4-1 for example")
    commands.add_parser("status", help="its nodes and jobs").add_argument(
        "--json", action="store_true", help="for programs"
    )
    fault = commands.add_parser("fault", help="cut, heal, kill or restart a node or a daemon")
    fault.add_argument("action", choices=("cut", "heal", "kill", "restart"))
    fault.add_argument(
        "target", help="a node (t4-2), a node's daemon (t4-2/slurmd), slurmctld, slurmdbd, mariadbd or munged"
    )
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it did what it says, 1 with a sentence on standard error when not."""
    options = parser().parse_args(arguments)
    cluster = _cluster(options.dir, getattr(options, "share", []))
    try:
        if options.command in ("up", "down", "shell", "fault"):
            check_root()
        if options.command == "up":
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` cleans up as Ctrl-C does
            _up(cluster)
        elif options.command == "down":
            lifecycle.down(cluster, print)
        elif options.command == "env":
            lifecycle.require_ready(cluster)
            print(f"export SLURM_CONF={shlex.quote(str(cluster.slurm_conf))}")
        elif options.command == "shell":
            _shell(cluster, options.node)
        elif options.command == "status":
            _status(cluster, options.json)
        else:
            lifecycle.require_ready(cluster)
            print(getattr(faults, options.action)(cluster, options.target))
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"testbed: {cluster.state} cannot be the cluster's folder: {error}. Choose another with --dir",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("testbed: interrupted; what had been started was taken down again", file=sys.stderr)
        return 130
    return 0


def _cluster(folder: Path | None, share: list[Path]) -> Cluster:
    state = folder or state_folder(_CHECKOUT)
    state = state.resolve()
    return Cluster(state, (_CHECKOUT, state, *(path.resolve() for path in share)))


def _up(cluster: Cluster) -> None:
    start = time.monotonic()
    if not lifecycle.up(cluster, lambda text: print(text, flush=True)):
        return
    print(f"up in {time.monotonic() - start:.1f} s, all of it in {cluster.state}")
    for partition in PARTITIONS:
        nodes = [find_node(name) for name in partition.nodes]
        kind = f"{len(nodes)} x {nodes[0].gpus} {nodes[0].gpu_type.upper()}"
        note = "default" if partition.default else "preempted by the others" if partition.grace_time_s else ""
        print(f"  {partition.name:<4} {kind:<12} {note}".rstrip())
    print(
        'next: eval "$(make -s cluster-env)" and use srun, sbatch, sacct here; or: make cluster-shell; end: make cluster-down'
    )


def _shell(cluster: Cluster, node: str | None) -> None:
    lifecycle.require_ready(cluster)
    # The prompt says where one is. The file is nameless, so nothing is left of it.
    prompt = f"PS1='({node or 'testbed'}) '\"$PS1\"\n"
    rc = os.memfd_create("rc", flags=0)
    os.write(rc, f"[ -f ~/.bashrc ] && . ~/.bashrc\n{prompt}".encode())
    os.lseek(rc, 0, os.SEEK_SET)
    command = ["bash", "--rcfile", f"/proc/self/fd/{rc}", "-i"]
    if node is not None:
        pid = processes.running_hosts(cluster).get(find_node(node).name)
        if pid is None:
            raise TestbedError(f"{node} does not run; start it with: make cluster-fault DO='restart {node}'")
        command = ["nsenter", f"--target={pid}", "--all", "--root", "--wd", *command]
    os.execvpe(command[0], command, {**os.environ, "SLURM_CONF": str(cluster.slurm_conf)})


def _status(cluster: Cluster, as_json: bool) -> None:
    states = lifecycle.states(cluster) if lifecycle.answers(cluster) else {}
    running = processes.running_hosts(cluster)
    if as_json:
        rows = {n.name: {"slurm": states.get(n.name), "runs": n.name in running} for n in NODES}
        print(json.dumps({"up": bool(states), "dir": str(cluster.state), "nodes": rows}))
        return
    if not states:
        silent = cluster.ready_file.exists() and running
        word = "does not answer; start its controller again: make cluster-fault DO='restart slurmctld'"
        print(f"the cluster {word if silent else 'is down; bring it up with: make cluster-up'} ({cluster.state})")
        return
    for node in NODES:
        print(f"{node.name:<6} {states.get(node.name, '?'):<12} {'runs' if node.name in running else 'has no power'}")
    subprocess.run(["squeue"], env={**os.environ, "SLURM_CONF": str(cluster.slurm_conf)}, check=False)


if __name__ == "__main__":
    sys.exit(main())
