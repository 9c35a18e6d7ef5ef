"""The exchange of files between real processes: shared, not shared, stale, repeated, and with clocks apart."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from hpc.preflight.exchange import Exchange, Member, Seen
from hpc.preflight.shared import attempt_name, check_shared, expand_nodes, judge_clocks
from hpc.world import World, read_world

ROOT = Path(__file__).parents[2]


def _slurm(rank: int, size: int, **more: str) -> dict[str, str]:
    """The environment of one of `size` nodes t4-1, t4-2, … under srun, one task each."""
    return {
        "SLURM_JOB_ID": "42",
        "SLURM_STEP_ID": "0",
        "SLURM_PROCID": str(rank),
        "SLURM_STEP_NUM_TASKS": str(size),
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": str(rank),
        "SLURM_STEP_TASKS_PER_NODE": f"1(x{size})",
        "SLURM_STEP_NODELIST": f"t4-[1-{size}]",
        "SLURMD_NODENAME": f"t4-{rank + 1}",
        **more,
    }


def _run_all(folders: list[Path], script: list[str], **more: str) -> list[str]:
    """Start one process per folder at once, as so many nodes; returns what each printed."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "OMPI", "PMIX", "HOROVOD"))
    }
    processes = [
        subprocess.Popen(
            [sys.executable, *script],
            cwd=folder,
            env={**clean, "PYTHONPATH": str(ROOT), **_slurm(rank, len(folders)), **more},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank, folder in enumerate(folders)
    ]
    try:
        return [process.communicate(timeout=60)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()


def _findings(text: str) -> list[dict[str, str]]:
    return json.loads(text)["findings"]


CHECK = ["-m", "hpc.preflight", "--only", "shared", "--json"]


@pytest.mark.parametrize("name", ["plain", "two words", "new\nline", "quo\"te's"])
def test_processes_of_four_nodes_see_each_other_and_leave_nothing(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    for text in _run_all([folder] * 4, [*CHECK, "--runs", str(folder)]):
        (found,) = _findings(text)
        assert found["level"] == "ok"
        assert "all 4 nodes (t4-1, t4-2, t4-3, t4-4)" in found["sentence"]
    assert list(folder.iterdir()) == []


def test_a_node_with_another_folder_is_named_by_the_others_and_names_them(tmp_path):
    shared, other = tmp_path / "shared", tmp_path / "other"
    shared.mkdir()
    other.mkdir()
    started = time.monotonic()
    texts = _run_all([shared, shared, other], [*CHECK, "--runs", "runs", "--shared-timeout", "2"])
    assert time.monotonic() - started < 20
    for rank, (text, seen) in enumerate(zip(texts, ["t4-3", "t4-3", "t4-1 and t4-2"], strict=True)):
        (found,) = _findings(text)
        assert found["level"] == "fail"
        place = str((other if rank == 2 else shared) / "runs")
        assert f"t4-{rank + 1} does not see what {seen} wrote in {place!r}" in found["sentence"]
        assert "--runs" in found["fix"]
    assert [list((folder / "runs").iterdir()) for folder in (shared, other)] == [[], []]


def test_the_same_step_can_check_again_and_again(tmp_path):
    """`preflight && train` in one step: a fast process is in the second exchange while a slow one ends the first."""
    script = (
        "import time\nfrom pathlib import Path\nfrom hpc.preflight import run_preflight\nfrom hpc.world import read_world\n"
        "world = read_world()\nfor turn in range(12):\n"
        "    time.sleep(0.05 * ((turn + world.rank) % 3))\n"
        "    (found,) = run_preflight(world, Path('runs'), min_free_bytes=1, shared_timeout_s=15.0, only={'shared'})\n"
        "    print(found.level)\n"
    )
    started = time.monotonic()
    assert _run_all([tmp_path] * 3, ["-c", script]) == ["ok\n" * 12] * 3
    assert time.monotonic() - started < 30
    assert list((tmp_path / "runs").iterdir()) == []


def test_all_processes_on_one_host_are_said_to_be(tmp_path):
    one_node = {"SLURMD_NODENAME": "t4-1", "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_NODEID": "0"}
    texts = _run_all([tmp_path] * 2, [*CHECK, "--runs", str(tmp_path)], **one_node)
    assert ["all 2 processes are on t4-1" in _findings(text)[0]["sentence"] for text in texts] == [True, True]


def test_one_process_needs_no_shared_file_system_and_makes_no_folder(tmp_path):
    (found,) = check_shared(World(0, 1, 0, 1, "single process", "t4-1", None), tmp_path / "runs", 1.0, {})
    assert found.level == "skip"
    assert "one process" in found.sentence
    assert not (tmp_path / "runs").exists()


def test_a_place_that_cannot_be_written_fails_at_once(tmp_path):
    (tmp_path / "runs").write_text("")
    (found,) = check_shared(read_world(_slurm(0, 2)), tmp_path / "runs", 30.0, _slurm(0, 2))
    assert found.level == "fail"
    assert "t4-1 cannot write" in found.sentence


ME = Member("job", 0, 2, "t4-1")


def _left_behind(folder: Path, content: object, age_s: float = 0.0) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / "1.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    os.utime(path, (time.time() - age_s,) * 2)


OTHER = {**asdict(Member("job", 1, 2, "t4-2")), "time_s": 0.0}


@pytest.mark.parametrize(
    ("content", "age_s", "missing"),
    [
        (OTHER, 0, []),
        (OTHER, 3600, [1]),
        ({**OTHER, "attempt": "earlier"}, 0, [1]),
        ({**OTHER, "rank": 0}, 0, [1]),
        ({**OTHER, "size": 3}, 0, [1]),
        ({**OTHER, "more": 1}, 0, [1]),
        ("", 0, [1]),
        ("[1]", 0, [1]),
        ("7", 0, [1]),
    ],
)
def test_files_of_another_attempt_or_broken_ones_do_not_count(tmp_path, content, age_s, missing):
    _left_behind(tmp_path / "x", content, age_s)
    exchange = Exchange(tmp_path / "x", ME, 0.3)
    assert exchange.meet() == missing


def test_the_folder_goes_in_one_step_so_that_nobody_writes_into_one_that_is_being_removed(tmp_path, monkeypatch):
    folder = tmp_path / "runs" / "job"
    exchange = Exchange(folder, Member("job", 0, 1, "t4-1"), 5.0)
    assert exchange.meet() == []
    there: list[bool] = []
    real = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, **more: (there.append(folder.exists()), real(path, **more)))
    exchange.leave()
    assert there == [False]
    assert not folder.parent.exists()


@pytest.mark.parametrize(("times", "works"), [(1, True), (4, True), (99, False)])
def test_a_folder_that_another_launch_removes_meanwhile_is_made_again(tmp_path, monkeypatch, times, works):
    folder, real, removed = tmp_path / "runs" / ".preflight" / "job", os.replace, []

    def replace(source, target):
        if len(removed) < times:
            removed.append(shutil.rmtree(folder.parent))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    exchange = Exchange(folder, Member("job", 0, 1, "t4-1"), 5.0)
    if works:
        assert exchange.meet() == []
    else:
        with pytest.raises(FileNotFoundError):
            exchange.meet()


def test_leftovers_of_a_day_ago_are_removed_and_younger_ones_are_not(tmp_path):
    shared = tmp_path / "runs" / ".preflight"
    for name, age_s in (("old", 90_000), ("young", 3600)):
        (shared / name).mkdir(parents=True)
        (shared / name / "0.json").write_text("{}")
        os.utime(shared / name, (time.time() - age_s,) * 2)
    exchange = Exchange(shared / "job", ME, 0.1)
    exchange.meet()
    exchange.leave()
    assert [path.name for path in shared.iterdir()] == ["young"]


def test_the_folder_for_the_exchange_is_as_open_as_the_one_for_runs(tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    runs.chmod(0o2775)
    exchange = Exchange(runs / ".preflight" / "job", ME, 0.1)
    exchange.meet()
    assert (runs / ".preflight").stat().st_mode & 0o7777 == 0o2775
    exchange.leave()


def test_clocks_are_compared_through_the_file_server_whenever_processes_start(tmp_path):
    found: dict[int, list] = {}

    def take_part(rank: int, delay_s: float, ahead_s: float) -> None:
        time.sleep(delay_s)
        member = Member("job", rank, 2, f"t4-{rank + 1}")
        exchange = Exchange(tmp_path / ".preflight" / "job", member, 20.0, clock=lambda: time.time() + ahead_s)
        exchange.meet()
        exchange.leave()
        found[rank] = judge_clocks(exchange.seen)

    threads = [threading.Thread(target=take_part, args=arguments) for arguments in ((0, 0.0, 0.0), (1, 1.0, 30.0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rank in (0, 1):
        (finding,) = found[rank]
        assert finding.level == "warn"
        assert "the clock of t4-2 is 30 s ahead of t4-1's" in finding.sentence


def test_clocks_less_than_five_seconds_apart_are_no_news():
    seen = {0: Seen(ME, -2.0), 1: Seen(Member("job", 1, 2, "t4-2"), 2.9)}
    assert judge_clocks(seen) == []


MPI = {
    "OMPI_COMM_WORLD_RANK": "0",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "1",
}
GLOO = {"HOROVOD_RANK": "0", "HOROVOD_SIZE": "2", "HOROVOD_LOCAL_RANK": "0", "HOROVOD_LOCAL_SIZE": "1"}
RENDEZVOUS = {"HOROVOD_GLOO_RENDEZVOUS_ADDR": "192.0.2.7", "HOROVOD_GLOO_RENDEZVOUS_PORT": "4711"}


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        (_slurm(1, 2), "slurm-cluster-42.0-0"),
        (_slurm(1, 2, SLURM_STEP_ID="3", SLURM_RESTART_COUNT="2", SLURM_CLUSTER_NAME="a b"), "slurm-a_b-42.3-2"),
        ({**MPI, "PMIX_NAMESPACE": "1968046081"}, "mpi-1968046081"),
        ({**MPI, "OMPI_MCA_ess_base_jobid": "19"}, "mpi-19"),
        ({**MPI, "PMIX_NAMESPACE": "prterun-../../x@1"}, "mpi-prterun-.._.._x_1"),
        (MPI, None),
        ({**GLOO, **RENDEZVOUS}, "gloo-192.0.2.7-4711-0.0-0"),
        ({**GLOO, **RENDEZVOUS, "SLURM_JOB_ID": "42", "SLURM_RESTART_COUNT": "1"}, "gloo-192.0.2.7-4711-42.0-1"),
        ({**GLOO, "SLURM_JOB_ID": "42", "SLURM_STEP_ID": "0"}, "gloo-slurm-42.0-0"),
        (GLOO, None),
    ],
)
def test_a_launch_has_one_name_that_no_other_launch_has(environ, name):
    assert attempt_name(read_world(environ), environ) == name


def test_a_launcher_without_a_common_name_is_skipped_in_plain_words(tmp_path):
    (found,) = check_shared(read_world(MPI), tmp_path, 1.0, MPI)
    assert (found.level, found.sentence.startswith("mpirun gives its processes no common name")) == ("skip", True)


@pytest.mark.parametrize(
    ("nodelist", "nodes"),
    [
        ("", []),
        ("t4-1", ["t4-1"]),
        ("t4-[1-3]", ["t4-1", "t4-2", "t4-3"]),
        ("t4-[01,09-11],dgx1", ["t4-01", "t4-09", "t4-10", "t4-11", "dgx1"]),
        ("r[1-2]n[1-2]x", ["r1n1x", "r1n2x", "r2n1x", "r2n2x"]),
    ],
)
def test_slurms_lists_of_nodes_are_expanded(nodelist, nodes):
    assert expand_nodes(nodelist) == nodes


@pytest.mark.parametrize("nodelist", ["", "t4-[a-b]", "t4-1"])
def test_where_the_list_of_nodes_does_not_tell_who_is_missing_the_ranks_are_named(tmp_path, nodelist):
    environ = _slurm(0, 3, SLURM_STEP_NODELIST=nodelist)
    (found,) = check_shared(read_world(environ), tmp_path, 0.2, environ)
    assert "does not see what rank 1, 2 wrote" in found.sentence
