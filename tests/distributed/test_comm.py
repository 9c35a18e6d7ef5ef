"""The contract of `Comm` on two real Horovod ranks, over Gloo and over MPI; a rank that dies; one rank and two train alike."""

import json
import time
from pathlib import Path

import pytest

from tests.contracts.comm import CONTRACT, CONTRACT_OF_SEVERAL
from tests.distributed.launch import LAUNCHERS, launch, missing, runs

pytestmark = pytest.mark.distributed
_NAMES = [check.__name__ for check in (*CONTRACT, *CONTRACT_OF_SEVERAL)]


@pytest.fixture(scope="module", params=LAUNCHERS)
def launcher(request: pytest.FixtureRequest) -> str:
    """Each way of launching two ranks."""
    name: str = request.param
    if reason := missing(name):
        pytest.skip(reason)
    return name


@pytest.fixture(scope="module", params=["", "overlapping"], ids=["cpu", "as-on-gpus"])
def came(
    launcher: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, str]]:
    """What came of each part of the contract, for each rank. One launch for all parts: it takes seconds."""
    folder = tmp_path_factory.mktemp("contract")
    ended = launch(launcher, ["-m", "tests.distributed.contract_ranks", str(folder), request.param])
    paths = [folder / f"rank-{rank}.json" for rank in range(2)]
    assert ended.status == 0, ended.output
    return [json.loads(path.read_text()) for path in paths]


def test_there_were_two_ranks(came: list[dict[str, str]]):
    assert [rank["size"] for rank in came] == ["2", "2"]
    assert all(set(rank) == {"size", *_NAMES} for rank in came)


@pytest.mark.parametrize("name", _NAMES)
def test_horovod_comm_keeps_the_contract(name: str, came: list[dict[str, str]]):
    for rank, answers in enumerate(came):
        assert answers[name] == "", f"rank {rank}:\n{answers[name]}"


def test_a_rank_that_is_killed_makes_the_other_fail(tmp_path: Path):
    """Over Gloo: the other one gets an error within seconds, and the launcher ends with neither left."""
    start = time.monotonic()
    ended = launch("horovodrun", ["-m", "tests.distributed.killed_rank", str(tmp_path), "SIGKILL"], timeout_s=90)
    assert ended.status != 0
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["error"] == "HorovodInternalError"
    assert seen["seconds"] < 10, "measured: 0.01 to 0.1 s"
    assert time.monotonic() - start < 90


def test_a_rank_that_hangs_ends_the_other(tmp_path: Path):
    """Over MPI rank 0 waits inside MPI, where Horovod's own limit is not kept (measured: the test hung without ours)."""
    if reason := missing("mpirun"):
        pytest.skip(reason)
    program = ["-m", "tests.distributed.killed_rank", str(tmp_path), "SIGSTOP"]
    ended = launch("mpirun", program, timeout_s=90, HOROVOD_STALL_SHUTDOWN_TIME_SECONDS="5")
    assert ended.status != 0
    assert "rank 0 has waited for the other ranks for more than 6 s" in ended.output


def test_what_hangs_is_ended_and_is_a_failure(tmp_path: Path):
    """The tests' own time limit, on ranks that sleep; none of them is left."""
    write = f"open(os.path.join({str(tmp_path)!r}, str(os.getpid())), 'w')"
    with pytest.raises(AssertionError, match="horovodrun did not end within 1 s"):
        launch(
            "horovodrun",
            ["-c", f"import os, time; {write}; time.sleep(1234)"],
            timeout_s=1,
            started=lambda: len(list(tmp_path.iterdir())) == 2,
        )
    pids = [path.name for path in tmp_path.iterdir()]
    assert len(pids) == 2
    assert [pid for pid in pids if runs(int(pid))] == []
