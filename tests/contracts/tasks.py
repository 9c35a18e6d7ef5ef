"""What every way of running a job (`v2a.tasks.Tasks`) must do. Jobs write files, so that workers in other processes can be watched.

Over MPI every rank calls the checks, in the same order, with the same folder.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from v2a.tasks import Counts, Link, Task, Tasks

Never = Callable[[], bool]


def never() -> bool:
    """Nobody asks to stop."""
    return False


@dataclass
class Squares:
    """Squares numbers into files; what else it does is said by its fields."""

    folder: Path
    tasks: list[int]
    raise_in: str = ""  # "plan", "work", "show", "finish"
    slow_s: float = 0.0
    shown: list[tuple[int, int]] = field(default_factory=list)

    def plan(self) -> list[Task]:
        """The numbers."""
        self._note("plan")
        self._fail("plan")
        return list(self.tasks)

    def work(self, link: Link) -> None:
        """One file for each number, named by it, with its square and the process."""
        self._note(f"work-{os.getpid()}")
        for number in link.tasks():
            if number == self.tasks[-1]:
                self._fail("work")
            ends = time.monotonic() + self.slow_s
            while time.monotonic() < ends:
                if link.should_stop():
                    return
                time.sleep(0.01)
            with (self.folder / f"{number}.txt").open("x") as file:  # "x": a task that is done twice fails
                file.write(f"{number**2} {os.getpid()}")
            link.count({"done": 1, "sum": number})

    def show(self, done: int, total: int, counts: Counts) -> None:
        """Remember what was shown."""
        assert 0 <= done <= total
        assert counts.get("done", 0) <= total
        self.shown.append((done, total))
        if done:
            self._fail("show")

    def again(self, task: Task) -> Task:
        """As it was."""
        return task

    def lost(self, task: Task, reason: str) -> None:
        """Write down what was given up."""
        (self.folder / f"lost-{task}").write_text(reason)

    def finish(self, counts: Counts, stopped: bool) -> Counts:
        """The totals."""
        self._note("finish")
        self._fail("finish")
        return {**counts, "stopped": float(stopped)}

    def close(self) -> None:
        """Leave a trace."""
        self._note("close")

    def _note(self, name: str) -> None:
        with (self.folder / f"note-{name}").open("a") as file:
            file.write("x")

    def _fail(self, where: str) -> None:
        if self.raise_in == where:
            raise ValueError(f"made to fail in {where}")


def numbers_done(folder: Path) -> dict[int, int]:
    """Square of each number that has a file."""
    return {int(path.stem): int(path.read_text().split()[0]) for path in folder.glob("[0-9]*.txt")}


def check_all_done_once(tasks: Tasks, folder: Path) -> None:
    """Every task once, totals exact, planned, finished and closed once."""
    result = tasks.run(Squares(folder, list(range(40))), never)
    assert result == {"done": 40.0, "sum": float(sum(range(40))), "stopped": 0.0}
    assert numbers_done(folder) == {n: n * n for n in range(40)}
    assert [(folder / f"note-{name}").read_text() for name in ("plan", "finish", "close")] == ["x", "x", "x"]


def check_no_tasks(tasks: Tasks, folder: Path) -> None:
    """A plan without tasks is finished all the same."""
    assert tasks.run(Squares(folder, []), never) == {"stopped": 0.0}


def check_errors(tasks: Tasks, folder: Path) -> None:
    """Whoever raises, the caller gets that exception; the job is closed; nothing hangs."""
    for where in ("plan", "work", "show", "finish"):
        place = folder / where
        place.mkdir(exist_ok=True)
        raised = ""
        try:
            tasks.run(Squares(place, list(range(6)), raise_in=where), never)
        except ValueError as error:
            raised = str(error)
        assert raised == f"made to fail in {where}"
        assert (place / "note-close").read_text() == "x"


def check_stops(tasks: Tasks, folder: Path) -> None:
    """When one is asked to stop all do, in the middle of long tasks, and the result says so."""
    begun = time.monotonic()
    result = tasks.run(Squares(folder, list(range(1000)), slow_s=0.05), lambda: time.monotonic() > begun + 1.5)
    assert result["stopped"] == 1.0
    assert result.get("done", 0) == len(numbers_done(folder)) < 1000


def check_work_is_shared(tasks: Tasks, folder: Path) -> None:
    """Several workers take part, and a slow task does not hold the others."""
    tasks.run(Squares(folder, list(range(12)), slow_s=0.1), never)
    pids = {path.read_text().split()[1] for path in folder.glob("[0-9]*.txt")}
    assert len(pids) > 1


CONTRACT = (check_all_done_once, check_no_tasks, check_errors, check_stops)
CONTRACT_OF_SEVERAL = (check_work_is_shared,)
