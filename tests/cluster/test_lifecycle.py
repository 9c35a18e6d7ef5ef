"""Up, down, and everything that can come between them; see docs/testbed.md for what is promised."""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from slurm.testbed.guards import state_folder
from tests.cluster.testbed import CHECKOUT, Testbed, clean_environment, interfaces, traces, wait_until

pytestmark = pytest.mark.cluster
ALL_NODES = {"t4-1", "t4-2", "t4-3", "t4-4", "dgx-1"}


def idle(testbed: Testbed) -> bool:
    return testbed.states() == dict.fromkeys(ALL_NODES, "idle")


def test_up_down_leaves_nothing_of_the_cluster_and_touches_nothing_of_the_machine(own_testbed: Testbed) -> None:
    before = interfaces(), Path("/etc/hosts").read_bytes(), socket.gethostname(), Path("/proc/self/mounts").read_text()
    said = own_testbed("up").stdout
    assert re.search(r"up in \d+\.\d s", said)
    assert idle(own_testbed)
    own_testbed.run("sbatch", "--wrap", "sleep 1000", "-N4", "-o", "/dev/null")  # a job that runs is no obstacle
    assert traces(own_testbed.folder) != [], "this test would not see what is left"
    assert "nothing of it is left" in own_testbed("down").stdout
    after = interfaces(), Path("/etc/hosts").read_bytes(), socket.gethostname(), Path("/proc/self/mounts").read_text()
    assert traces(own_testbed.folder) == []
    assert after == before


def test_up_while_up_says_so_and_keeps_the_running_job(own_testbed: Testbed) -> None:
    own_testbed("up")
    own_testbed.run("sbatch", "--wrap", "sleep 1000", "-o", "/dev/null")
    wait_until("the job runs", lambda: own_testbed.job_state("1") == "RUNNING")
    again = own_testbed("up")
    assert "up already" in again.stdout
    assert own_testbed.job_state("1") == "RUNNING"


def test_down_while_down_says_so(own_testbed: Testbed) -> None:
    assert "down already" in own_testbed("down").stdout


@pytest.mark.parametrize("delay_s", [0.05, 0.2, 0.5, 1.0, 1.5, 2.0])
def test_up_after_a_killed_up_cleans_and_comes_up(own_testbed: Testbed, delay_s: float) -> None:
    _kill_up_after(own_testbed, delay_s)
    own_testbed("up")
    assert idle(own_testbed)
    own_testbed("down")
    assert traces(own_testbed.folder) == []


def test_down_after_a_killed_up_leaves_nothing(own_testbed: Testbed) -> None:
    for delay_s in (0.1, 0.3, 0.8, 1.2):
        _kill_up_after(own_testbed, delay_s)
        own_testbed("down")
        assert traces(own_testbed.folder) == []


def _kill_up_after(testbed: Testbed, delay_s: float) -> None:
    process = subprocess.Popen(
        testbed.command("up"),
        cwd=CHECKOUT,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=delay_s)
    process.kill()
    process.wait()


def test_interrupted_up_takes_down_what_it_started(own_testbed: Testbed) -> None:
    process = subprocess.Popen(
        own_testbed.command("up"),
        cwd=CHECKOUT,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until("hosts start", lambda: own_testbed.folder.joinpath("log", "host-ctl.log").exists())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert traces(own_testbed.folder) == []


def test_two_ups_at_once_make_one_cluster(own_testbed: Testbed) -> None:
    ups = [
        subprocess.Popen(
            own_testbed.command("up"), cwd=CHECKOUT, env=clean_environment(), stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in ups]
    assert [process.returncode for process in ups] == [0, 0]
    assert sum("up in" in output for output in outputs) == 1
    assert sum("up already" in output for output in outputs) == 1
    assert idle(own_testbed)


def test_clusters_of_two_checkouts_do_not_disturb_each_other(own_testbed: Testbed) -> None:
    other = Testbed(state_folder(CHECKOUT, ".cluster-test-other"))
    try:
        own_testbed("up")
        other("up")
        subnets = {testbed.folder.joinpath("ready").read_text() for testbed in (own_testbed, other)}
        assert len(subnets) == 2
        other.run("sbatch", "--wrap", "sleep 1000", "-o", "/dev/null")
        assert own_testbed.run("squeue", "-h").stdout == "", "one cluster sees the other's job"
        other("down")
        assert traces(other.folder) == []
        assert idle(own_testbed)
        assert own_testbed.run("srun", "-N4", "hostname").stdout.split() != []
    finally:
        other("down")


def test_a_cluster_whose_folder_was_deleted_is_still_found_and_ended(own_testbed: Testbed) -> None:
    own_testbed("up")
    subprocess.run(["rm", "-rf", str(own_testbed.folder)], check=True)
    own_testbed("down")
    assert traces(own_testbed.folder) == []


def test_a_cluster_that_lost_its_controller_is_built_anew_by_up(own_testbed: Testbed) -> None:
    own_testbed("up")
    subprocess.run(["pkill", "-KILL", "-f", f"host_init.sh .*{own_testbed.folder} ctl"], check=True)
    said = own_testbed("up").stdout
    assert "up in" in said
    assert idle(own_testbed)


def test_up_starts_a_dead_slurmctld_and_keeps_the_running_job(own_testbed: Testbed) -> None:
    own_testbed("up")
    own_testbed.run("sbatch", "--wrap", "sleep 1000", "-o", "/dev/null")
    wait_until("the job runs", lambda: own_testbed.job_state("1") == "RUNNING")
    own_testbed.save_state("1")
    own_testbed("fault", "kill", "slurmctld")
    assert "slurmctld does not run; starting it again" in own_testbed("up").stdout
    assert own_testbed.job_state("1") == "RUNNING"


def test_a_slurm_daemon_of_the_machine_is_left_alone(own_testbed: Testbed, short_folder: Path) -> None:
    daemon = short_folder / "slurmd"
    shutil.copy("/bin/sleep", daemon)
    with subprocess.Popen([daemon, "100"]) as process:
        done = own_testbed("up", check=False)
        process.kill()
    assert done.returncode == 1
    assert f"a Slurm runs on this machine already (slurmd, process {process.pid})" in done.stderr
    assert traces(own_testbed.folder) == []


def test_a_configured_slurm_is_left_alone(own_testbed: Testbed, tmp_path: Path) -> None:
    foreign = tmp_path / "slurm.conf"
    foreign.write_text("ClusterName=production\n")
    done = own_testbed("up", check=False, SLURM_CONF=str(foreign))
    assert done.returncode == 1
    assert "a Slurm is already configured" in done.stderr
    assert str(foreign) in done.stderr
    assert traces(own_testbed.folder) == []


def test_a_slurm_configured_in_etc_is_left_alone(own_testbed: Testbed) -> None:
    # A private view of the file system in which /etc/slurm/slurm.conf exists.
    script = 'mkdir -p /etc/slurm && mount -t tmpfs tmpfs /etc/slurm && echo ClusterName=x >/etc/slurm/slurm.conf && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script, "bash", *own_testbed.command("up")],
        capture_output=True, text=True, cwd=CHECKOUT, env=clean_environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "/etc/slurm/slurm.conf" in done.stderr
    assert traces(own_testbed.folder) == []


def test_inside_a_job_it_refuses(own_testbed: Testbed) -> None:
    done = own_testbed("up", check=False, SLURM_JOB_ID="7")
    assert (done.returncode, "inside a Slurm job" in done.stderr) == (1, True)


def test_without_root_it_says_what_to_do(short_folder: Path) -> None:
    shutil.copytree(CHECKOUT / "slurm", short_folder / "slurm")  # the checkout itself may be out of reach for others
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run(
        [*nobody, "/usr/bin/python3", "-m", "slurm.testbed", "up"],
        capture_output=True, text=True, cwd=short_folder, env=clean_environment(PYTHONDONTWRITEBYTECODE="1"), check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "needs root" in done.stderr


def test_a_folder_with_somebody_elses_files_is_never_removed(short_folder: Path) -> None:
    precious = short_folder / "thesis.tex"
    precious.write_text("years of work")
    for command in ("up", "down"):
        done = Testbed(short_folder)(command, check=False)
        assert done.returncode == 1
        assert "not empty" in done.stderr
    assert precious.read_text() == "years of work"


def test_a_folder_with_spaces_is_refused_with_the_way_out(tmp_path: Path) -> None:
    done = Testbed(tmp_path / "my cluster")("up", check=False)
    assert done.returncode == 1
    assert "CLUSTER_DIR=" in done.stderr


def test_failed_up_keeps_the_logs_that_explain_it(own_testbed: Testbed, tmp_path: Path) -> None:
    # A slurmctld that does not start stands for whatever fails in the middle.
    broken = tmp_path / "slurmctld"
    broken.write_text("#!/bin/sh\necho no controller today >&2\nexit 1\n")
    broken.chmod(0o755)
    target = subprocess.run(
        ["which", "slurmctld"], capture_output=True, text=True, check=True, env=_with_sbin()
    ).stdout.strip()
    script = f'mount --bind {broken} {target} && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script, "bash", *own_testbed.command("up")],
        capture_output=True, text=True, cwd=CHECKOUT, env=clean_environment(), timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    logs = own_testbed.folder.with_name(own_testbed.folder.name + "-failed.log")
    try:
        assert str(logs) in done.stderr
        assert "no controller today" in logs.read_text()
    finally:
        logs.unlink(missing_ok=True)
    assert traces(own_testbed.folder) == []


def _with_sbin() -> dict[str, str]:
    return {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_times_up_and_down(own_testbed: Testbed) -> None:
    for _ in range(20):
        own_testbed("up")
        assert idle(own_testbed)
        own_testbed("down")
        assert traces(own_testbed.folder) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_up_killed_at_thirty_random_moments(own_testbed: Testbed) -> None:
    moments = random.Random(0)
    start = time.monotonic()
    own_testbed("up")
    whole = time.monotonic() - start
    own_testbed("down")
    for _ in range(30):
        _kill_up_after(own_testbed, moments.uniform(0, whole))
        own_testbed("down")
        assert traces(own_testbed.folder) == []
