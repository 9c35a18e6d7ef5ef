"""Jobs shared out in this process and to local processes; workers that die are real processes, really killed."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contracts import tasks as contract
from tests.contracts.tasks import Squares, never, numbers_done
from v2a.processes import ProcessTasks, WorkerDied
from v2a.tasks import Link, SerialTasks, Tasks

IMPLEMENTATIONS = {
    "serial": SerialTasks,
    "one process": lambda: ProcessTasks(1),
    "two processes": lambda: ProcessTasks(2),
}


@pytest.mark.parametrize("check", contract.CONTRACT, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", IMPLEMENTATIONS)
def test_contract(name: str, check, tmp_path: Path):
    tasks: Tasks = IMPLEMENTATIONS[name]()
    check(tasks, tmp_path)
    assert (tmp_path / "note-plan").exists() or (tmp_path / "plan").exists()


@pytest.mark.parametrize("check", contract.CONTRACT_OF_SEVERAL, ids=lambda check: check.__name__)
def test_contract_of_several(check, tmp_path: Path):
    check(ProcessTasks(2), tmp_path)
    assert len(list(tmp_path.glob("note-work-*"))) == 2


def test_progress_goes_from_nothing_to_all(tmp_path: Path):
    job = Squares(tmp_path, list(range(9)))
    SerialTasks().run(job, never)
    assert (job.shown[0], job.shown[-1]) == ((0, 9), (9, 9))
    assert job.shown == sorted(job.shown)


@dataclass
class Deadly(Squares):
    """Kills its own process at some numbers, once each or always; is not durable before every fourth task."""

    once: tuple[int, ...] = ()
    always: tuple[int, ...] = ()

    def work(self, link: Link) -> None:
        pending: list[int] = []
        for number in link.tasks():
            mark = self.folder / f"met-{number}"
            if number in self.always or (number in self.once and not mark.exists()):
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if len(pending) == 4:
                self._save(pending)
                link.durable()
                pending = []
            pending.append(number)
        self._save(pending)

    def _save(self, numbers: list[int]) -> None:
        for number in numbers:
            (self.folder / f"{number}.txt").open("x").write(f"{number**2} {os.getpid()}")


def test_what_a_dead_worker_had_not_saved_is_done_by_another(tmp_path: Path):
    ProcessTasks(2).run(Deadly(tmp_path, list(range(30)), once=(3, 9, 17, 29)), never)
    assert numbers_done(tmp_path) == {n: n * n for n in range(30)}
    assert len(list(tmp_path.glob("met-*"))) == 4
    assert list(tmp_path.glob("lost-*")) == []


def test_a_task_that_kills_twice_is_given_up_and_the_rest_goes_on(tmp_path: Path):
    ProcessTasks(2).run(Deadly(tmp_path, list(range(20)), always=(5, 11)), never)
    assert numbers_done(tmp_path) == {n: n * n for n in range(20) if n not in (5, 11)}
    assert sorted(path.name for path in tmp_path.glob("lost-*")) == ["lost-11", "lost-5"]
    assert "SIGKILL" in (tmp_path / "lost-5").read_text()


@dataclass
class DeadAtOnce(Squares):
    """Its workers never come to ask."""

    def work(self, link: Link) -> None:  # noqa: ARG002
        os._exit(7)


def test_workers_that_cannot_start_are_an_error_and_not_a_loop(tmp_path: Path):
    with pytest.raises(WorkerDied, match="exit code 7"):
        ProcessTasks(2).run(DeadAtOnce(tmp_path, [1, 2, 3]), never)


@dataclass
class Unportable(Squares):
    """Raises what cannot be pickled."""

    def work(self, link: Link) -> None:  # noqa: ARG002
        class LocalError(Exception):
            pass

        raise LocalError("only here")


def test_an_error_that_cannot_travel_comes_as_text(tmp_path: Path):
    with pytest.raises(RuntimeError, match="LocalError: only here"):
        ProcessTasks(1).run(Unportable(tmp_path, [1]), never)


def test_workers_end_with_the_process_that_leads(tmp_path: Path):
    program = (
        "from pathlib import Path\nfrom tests.contracts.tasks import Squares, never\n"
        "from v2a.processes import ProcessTasks\n"
        f"if __name__ == '__main__': ProcessTasks(2).run(Squares(Path({str(tmp_path)!r}), list(range(50)), slow_s=60), never)"
    )
    leader = subprocess.Popen([sys.executable, "-c", program])
    try:
        deadline = time.monotonic() + 60
        while len(workers := list(tmp_path.glob("note-work-*"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        leader.kill()
        leader.wait()
    pids = [int(path.name.split("-")[-1]) for path in workers]
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "a worker outlived the process that led it"
        time.sleep(0.05)
    assert len(pids) == 2


def test_no_workers_is_refused():
    with pytest.raises(ValueError, match="at least 1 worker"):
        ProcessTasks(0)
