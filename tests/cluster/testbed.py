"""Helpers of the cluster tests: the testbed's command line, Slurm's commands on it, and what it leaves behind."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
T4_NODES = ["t4-1", "t4-2", "t4-3", "t4-4"]


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without a Slurm's, so that a cluster of the developer's own is not in the way."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "SRUN", "SBATCH"))}
    return {**kept, **extra}


@dataclass(frozen=True)
class Testbed:
    """A test cluster by its folder; every call is a real command."""

    __test__ = False
    folder: Path

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "slurm.testbed", "--dir", str(self.folder), *arguments]

    def __call__(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments), capture_output=True, text=True, cwd=CHECKOUT, timeout=180, check=False,
            env=clean_environment(**environment),
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    @property
    def slurm_conf(self) -> Path:
        return self.folder / "etc" / "slurm.conf"

    def run(
        self, *command: str, check: bool = True, timeout: float = 240, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a shell's environment that speaks to this cluster."""
        done = subprocess.run(
            command, capture_output=True, text=True, cwd=CHECKOUT, timeout=timeout, check=False,
            env=clean_environment(SLURM_CONF=str(self.slurm_conf), **environment),
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def states(self) -> dict[str, str]:
        """Slurm's state of each node, from `status --json`."""
        nodes = json.loads(self("status", "--json").stdout)["nodes"]
        return {name: row["slurm"] for name, row in nodes.items()}

    def save_state(self, job_id: str) -> None:
        """Wait until slurmctld has written down what it knows of a job: what it learnt in its last seconds dies with it."""
        before = time.time()
        self.run("scontrol", "update", f"JobId={job_id}", "Comment=saved")
        saved = self.folder / "state" / "job_state"
        wait_until("slurmctld saves its state", lambda: saved.exists() and saved.stat().st_mtime > before)

    def job_state(self, job_id: str) -> str:
        return self.run("squeue", "-h", "-j", job_id, "-t", "all", "-o", "%T").stdout.strip()


def wait_until(what: str, condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait for a condition; an AssertionError naming it when it does not come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:g} s"
        time.sleep(0.2)


def interfaces() -> set[str]:
    """Network interfaces of this machine."""
    return set(os.listdir("/sys/class/net"))


def traces(folder: Path) -> list[str]:
    """Everything of a test cluster that this machine still shows; an empty list when nothing is left."""
    from slurm.testbed.layout import Cluster

    cluster = Cluster(folder)
    found = [f"process: {line}" for line in _output("pgrep", "-a", "-f", cluster.mark)]
    found += [f"process: {line}" for line in _output("pgrep", "-a", "-f", f"{folder}/")]
    found += [f"interface: {name}" for name in interfaces() if name == cluster.interface]
    found += [f"namespace: {line}" for line in _output("ip", "netns", "list")]
    found += [f"mount: {line}" for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]
    found += [f"file: {path}" for path in folder.parent.glob(folder.name + "*")]
    return found


def _output(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
