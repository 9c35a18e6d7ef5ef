"""The hosts as processes: start one, find those that run, end them. The process list is the only record, so it cannot be stale."""

import os
import signal
import subprocess
import time
from pathlib import Path

from slurm.testbed.layout import Cluster, TestbedError

_INIT = Path(__file__).with_name("host_init.sh")
_DAEMONS = Path(__file__).with_name("daemons.sh")
# Daemons get this and nothing of the caller's environment: a stray SLURM_* or LD_PRELOAD would reach every job.
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


def start_host(cluster: Cluster, host: str) -> int:
    """Start a host's PID 1 in namespaces of its own; its network interface is still missing.

    Returns:
        The process id of its PID 1, as this machine counts.
    """
    holder = ["unshare", "--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
    init = ["bash", str(_INIT), cluster.mark, str(cluster.state), host, *map(str, cluster.shared)]
    with (cluster.state / "log" / f"host-{host}.log").open("ab") as log:
        process = subprocess.Popen(
            [*holder, *init], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_ENVIRONMENT, start_new_session=True
        )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if pid := running_hosts(cluster).get(host):
            return pid
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise TestbedError(f"host {host} did not start; its log is {cluster.state}/log/host-{host}.log")


def running_hosts(cluster: Cluster) -> dict[str, int]:
    """Process ids of the PID 1 of every host that runs, by host name."""
    found = {}
    for pid, arguments in _marked(cluster):
        if arguments[0] == "bash" and _is_first_in_namespace(pid):
            found[arguments[arguments.index(cluster.mark) + 2]] = pid
    return found


def kill_hosts(cluster: Cluster, *hosts: str) -> None:
    """End these hosts, or all when none is named, with every process in them; returns when they are gone.

    Raises:
        TestbedError: a process outlived SIGKILL for 20 s (it hangs in the kernel).
    """
    deadline = time.monotonic() + 20
    while victims := [
        pid for pid, arguments in _marked(cluster) if not hosts or arguments[_host_at(arguments, cluster)] in hosts
    ]:
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise TestbedError(
                f"processes {victims} of the test cluster do not die; look at them with ps, and reboot if need be"
            )
        time.sleep(0.02)


def run_in_host(cluster: Cluster, host: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in all of a host's namespaces.

    Raises:
        TestbedError: the host does not run.
    """
    pid = running_hosts(cluster).get(host)
    if pid is None:
        raise TestbedError(f"host {host} does not run; start it with: make cluster-fault DO='restart {host}'")
    enter = ["nsenter", f"--target={pid}", "--all", "--root", "--wd"]
    return subprocess.run(
        [*enter, *command], capture_output=True, text=True, env=_ENVIRONMENT, stdin=subprocess.DEVNULL, check=False
    )


def start_daemon(cluster: Cluster, host: str, daemon: str) -> None:
    """Start one daemon of a running host again.

    Raises:
        TestbedError: it does not come up.
    """
    # A daemon inherits the pipes of whoever starts it; with its output in a file, nothing waits for it to end.
    script = 'exec bash "$@" >>"$0" 2>&1'
    log = f"{cluster.state}/log/host-{host}.log"
    done = run_in_host(cluster, host, ["bash", "-c", script, log, str(_DAEMONS), str(cluster.state), daemon, host])
    if done.returncode != 0:
        raise TestbedError(f"{daemon} did not start again on {host}; its log is in {cluster.state}/log")


def pid_file(cluster: Cluster, host: str, daemon: str) -> str:
    """Where a daemon writes its process id, as its own host counts."""
    name = f"slurmd-{host}" if daemon == "slurmd" else daemon
    return f"{cluster.state}/run/{name}.pid"


def daemon_runs(cluster: Cluster, host: str, daemon: str) -> bool:
    """Whether a daemon of a running host is alive."""
    script = f'read -r pid < "{pid_file(cluster, host, daemon)}" && [ "$(cat /proc/$pid/comm)" = {daemon} ]'
    return run_in_host(cluster, host, ["bash", "-c", script]).returncode == 0


def _marked(cluster: Cluster) -> list[tuple[int, list[str]]]:
    """The holders and PID 1s of this cluster: (pid, arguments)."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it ended meanwhile
        if cluster.mark in arguments and str(_INIT.name) in " ".join(arguments) and arguments[0] in ("unshare", "bash"):
            found.append((int(entry.name), arguments))
    return found


def _host_at(arguments: list[str], cluster: Cluster) -> int:
    return arguments.index(cluster.mark) + 2


def _is_first_in_namespace(pid: int) -> bool:
    """Whether the kernel counts this process as PID 1 of a namespace below ours (proc(5): NSpid)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    counts = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
    return len(counts) > 1 and counts[-1] == "1"
