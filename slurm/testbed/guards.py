"""What must hold before a cluster may come up here; each refusal says what was wrong, the rule, and the fix."""

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from slurm.testbed.files import FIRST_LINE
from slurm.testbed.layout import LONGEST_STATE_PATH, Cluster, TestbedError

# Program -> Debian package that has it.
PROGRAMS = {
    "slurmctld": "slurm-wlm",
    "slurmd": "slurm-wlm",
    "sinfo": "slurm-wlm",
    "slurmdbd": "slurmdbd",
    "munged": "munge",
    "mariadbd": "mariadb-server",
    "mariadb-install-db": "mariadb-server",
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
_SYSTEM_CONFIGS = (
    "/etc/slurm/slurm.conf",
    "/etc/slurm-llnl/slurm.conf",
    "/usr/local/etc/slurm.conf",
    "/run/slurm/conf/slurm.conf",
)
_DAEMONS = ("slurmd", "slurmctld", "slurmdbd", "sackd")


def check_can_run(cluster: Cluster) -> None:
    """Raise `TestbedError` unless this machine can hold the cluster."""
    check_root()
    _check_programs()
    _check_path(cluster.state)
    _check_no_other_slurm(cluster, os.environ)


def check_root() -> None:
    """Raise `TestbedError` unless this process may make and enter namespaces."""
    if os.geteuid() != 0:
        raise TestbedError(
            "the test cluster needs root: it gives each host a network and a file system view of its own. Run it with sudo; "
            "everything else of the project works without"
        )


def _check_programs() -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)})
    if missing:
        raise TestbedError(
            f"programs of the test cluster are missing. Install them with: apt-get install {' '.join(missing)}"
        )


def state_folder(checkout: Path, name: str = ".cluster") -> Path:
    """Where a checkout's cluster lives: in the checkout, or in /var/tmp when its path is too long or holds spaces."""
    inside = checkout.resolve() / name
    if path_is_usable(inside):
        return inside
    return Path("/var/tmp") / f"v2a-testbed-{hashlib.sha256(str(inside).encode()).hexdigest()[:8]}"  # noqa: S108


def path_is_usable(state: Path) -> bool:
    """Whether Slurm's configuration and UNIX sockets can live with this folder's path."""
    return len(str(state)) <= LONGEST_STATE_PATH and bool(re.fullmatch(r"[A-Za-z0-9_./+-]+", str(state)))


def _check_path(state: Path) -> None:
    if not path_is_usable(state):
        raise TestbedError(
            f"the cluster's folder cannot be {str(state)!r}: expected at most {LONGEST_STATE_PATH} characters (UNIX sockets are "
            "made below it), all of them letters, digits or _ . / + - (Slurm's configuration takes no others). "
            "Choose another: make cluster-up CLUSTER_DIR=/var/tmp/cluster"
        )


def _check_no_other_slurm(cluster: Cluster, environ: Mapping[str, str]) -> None:
    candidates = [*_SYSTEM_CONFIGS, *filter(None, [environ.get("SLURM_CONF")])]
    for candidate in candidates:
        if _is_foreign_config(Path(candidate), cluster):
            raise TestbedError(
                f"a Slurm is already configured on this machine ({candidate}); a second one beside it would confuse both, so the "
                "test cluster did not start; nothing was touched. Use that Slurm, or another machine"
            )
    if daemon := _daemon_of_the_machine():
        raise TestbedError(
            f"a Slurm runs on this machine already ({daemon}); a second one beside it would confuse both, so the test cluster did "
            "not start; nothing was touched. Use that Slurm, or another machine"
        )
    if "SLURM_JOB_ID" in environ:
        raise TestbedError(
            "this shell runs inside a Slurm job (SLURM_JOB_ID is set); start the test cluster outside of one"
        )


def _daemon_of_the_machine() -> str | None:
    """A Slurm daemon outside any PID namespace below this one: neither ours nor a container's."""
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and (name := (entry / "comm").read_text().strip()) in _DAEMONS:
                counts = re.search(r"^NSpid:(.*)$", (entry / "status").read_text(), re.MULTILINE)
                if counts and len(counts[1].split()) == 1:
                    return f"{name}, process {entry.name}"
        except OSError:
            continue  # it ended meanwhile
    return None


def _is_foreign_config(path: Path, cluster: Cluster) -> bool:
    if path == cluster.slurm_conf:
        return False
    try:
        return not path.read_text(errors="replace").startswith(FIRST_LINE)
    except OSError:
        return False  # not there
