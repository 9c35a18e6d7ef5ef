"""Launch the proof that a Horovod works: real ranks on this node, under MPI or Gloo, each running hpc/build_horovod/proof.py.

python -m hpc.build_horovod --check --prove
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hpc.build_horovod.scratch import kill_marked

CONTROLLERS = ("mpi", "gloo")
_MARK = "V2A_PROOF"


@dataclass(frozen=True)
class Proof:
    """The outcome under one controller: seconds taken, what the ranks printed, and the reason of a failure or None."""

    controller: str
    seconds: float
    lines: tuple[str, ...]
    failure: str | None


def launch_command(controller: str, ranks: int) -> list[str]:
    """The command that starts the ranks on this node, without ssh and without a network but the loopback."""
    rank = [sys.executable, "-m", "hpc.build_horovod.proof", "--controller", controller, "--ranks", str(ranks)]
    if controller == "mpi":
        return ["mpirun", "-np", str(ranks), *rank]
    run = "--gloo --disable-cache --network-interfaces lo"
    hosts = ["-np", str(ranks), "-H", f"localhost:{ranks}"]
    return [sys.executable, "-m", "hpc.gloo_launch", *run.split(), *hosts, *rank]


def launch_environment(controller: str, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The ranks' environment: a single node's job, whatever job or launcher this process itself runs under."""
    foreign = ("HOROVOD_", "SLURM_", "OMPI_", "PMIX_", "PMI_", "PRTE_")
    env = {name: value for name, value in environ.items() if not name.startswith(foreign)}
    root = str(Path(__file__).resolve().parents[2])
    # Open MPI's options as variables, so that other MPIs are started by the same command. All are for one node:
    # root in containers, more ranks than cores, no ssh, shared memory without ptrace rights, no interface but lo.
    env |= {
        "PYTHONPATH": os.pathsep.join([root, *filter(None, [env.get("PYTHONPATH")])]),
        "OMP_NUM_THREADS": "1",
        "HOROVOD_CONTROLLER": controller,
        "HOROVOD_CPU_OPERATIONS": controller,
        "HOROVOD_STALL_CHECK_TIME_SECONDS": "20",
        "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": "40",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_plm": "isolated",
        "OMPI_MCA_pml": "ob1",
        "OMPI_MCA_btl": "self,vader",
        "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
        "OMPI_MCA_oob_tcp_if_include": "lo",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        _MARK: uuid.uuid4().hex,
    }
    return env


def prove(controller: str, ranks: int = 2, timeout_s: float = 120.0) -> Proof:
    """Run the ranks under "mpi" or "gloo"; a launcher that is missing, a wrong sum and a hang are failures with a reason.

    Args:
        controller: "mpi" or "gloo".
        ranks: how many processes, all on this node.
        timeout_s: after how many seconds the ranks count as hung and are killed; a good run takes 3 to 6.
    """
    if controller == "mpi" and shutil.which("mpirun") is None:
        return Proof(controller, 0.0, (), "mpirun is not on PATH (apt-get install openmpi-bin, or module load openmpi)")
    start_s = time.monotonic()
    code, output = _run(launch_command(controller, ranks), launch_environment(controller), timeout_s)
    seconds = time.monotonic() - start_s
    lines = tuple(line[line.index("rank ") :] for line in output.splitlines() if f"over {controller}: proven" in line)
    tail = "".join(f"\n  | {line}" for line in output.strip().splitlines()[-15:])
    reason = None
    if code is None:
        reason = f"the ranks hung: no end within {timeout_s:g} s{tail}"
    elif code != 0:
        reason = f"the ranks ended with code {code}{_name_trouble(controller)}{tail}"
    elif len(set(lines)) != ranks:
        reason = f"{len(set(lines))} of {ranks} ranks reported{tail}"
    return Proof(controller, seconds, lines, reason)


def _name_trouble(controller: str) -> str:
    """Gloo 0.5 looks up this host's own name, and uses an unset pointer when there is no answer (ran: segmentation fault)."""
    try:
        socket.getaddrinfo(socket.gethostname(), None)
    except OSError:
        if controller == "gloo":
            return f"; this host's own name, {socket.gethostname()}, has no address, and Gloo needs one: put it into /etc/hosts"
    return ""


def _run(command: list[str], env: dict[str, str], timeout_s: float) -> tuple[int | None, str]:
    """Run to the end or to the time limit (code None); no process of it survives, not even of horovodrun's own groups."""
    process = subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout_s)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        _end(process, env)
        output, _ = process.communicate(timeout=30)
        return None, output
    finally:
        _end(process, env)


def _end(process: "subprocess.Popen[str]", env: dict[str, str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    kill_marked(_MARK, env[_MARK])
