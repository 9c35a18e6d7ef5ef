"""Someone asks to stop while the database is away, or hangs: the trials are told, and nobody waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sweeps.answer import ask
from sweeps.driver import Driver
from sweeps.launch import LocalLauncher
from sweeps.opening import open_sweep
from sweeps.options import Options
from sweeps.place import StoppedWaiting, find_place
from sweeps.storage import open_storage
from sweeps.study import Sweep
from sweeps.trial_folder import is_held, process_here, read_outcome
from sweeps.workers import LocalWorkers, Supervisor
from tests.contracts.studies import ME, PLAN
from tests.databases.postgres import Postgres
from tests.house.source import CHECKOUT

OPTIONS = Options("", 1, 1, "random", "none", None, 2, "", 1, 1)
AWAY = pytest.mark.parametrize("away", ["stopped", "hanging"])


@pytest.fixture
def opened(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sweep]:
    """Opens a study as another process would, which may be asked to stop."""
    monkeypatch.setenv("PGPASSFILE", str(server.passfile(tmp_path)))

    def open_one(name: str, should_stop: Callable[[], bool] = lambda: False) -> Sweep:
        return open_sweep(open_storage(find_place(server.url, tmp_path, {}), should_stop=should_stop), name, PLAN)

    return open_one


@pytest.fixture
def take_away(server: Postgres) -> Iterator[Callable[[str], None]]:
    """Lets the database be away; it is back at the end."""
    back: list[Callable[[], None]] = []

    def now(how: str) -> None:
        if not back:
            back.append(server.start if how == "stopped" else server.wake)
            (server.stop if how == "stopped" else server.hang)()

    yield now
    for again in back:
        again()


def wait_until(what: str, condition: Callable[[], bool], timeout_s: float = 240) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:g} s"
        time.sleep(0.05)


@AWAY
def test_who_is_asked_to_stop_waits_no_longer_and_keeps_no_lock(
    server: Postgres, opened: Callable[..., Sweep], tmp_path: Path, away: str
):
    stop = threading.Event()
    sweep, other = opened("stops", stop.is_set), opened("stops")
    found: list[object] = []

    def claim() -> None:
        try:
            found.append(sweep.claim(tmp_path, ME, sampler="random", trials=5, seed=None))
        except StoppedWaiting as error:
            found.append(str(error))

    (server.stop if away == "stopped" else server.hang)()
    try:
        asking = threading.Thread(target=claim, daemon=True)
        asking.start()
        asking.join(0.5)
        assert found == [], "it did not wait"
        stop.set()
        asking.join(120)
        (said,) = found
        trouble = "cannot be reached: " if away == "stopped" else "has not answered for "
        assert f"the study's storage postgresql://sweeper@127.0.0.1:{server.port}/postgres {trouble}" in str(said)
        assert "asked to stop" in str(said)
    finally:
        (server.start if away == "stopped" else server.wake)()
    assert other.claim(tmp_path, ME, sampler="random", trials=5, seed=None) is not None, (
        "the lock was taken all the same"
    )


def test_what_nobody_waits_for_any_more_is_undone():
    go_on, undone = threading.Event(), []

    def slow() -> str:
        assert go_on.wait(60)
        return "a lock"

    def look(_seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(slow, look, undone.append)
    assert undone == []
    go_on.set()
    wait_until("the undoing", lambda: undone == ["a lock"], timeout_s=60)


def test_a_question_within_a_question_is_asked_at_once():
    assert ask(lambda: ask(threading.get_ident, lambda _: None) == threading.get_ident(), lambda _: None)
    with pytest.raises(ValueError, match="as it is"):
        ask(lambda: int("as it is"), lambda _: None)


def once_it_runs(lock: Path, act: Callable[[], None]) -> Callable[[], bool]:
    """Says whether a process that holds a lock has been there; when it is, acts first."""
    acted: list[bool] = []

    def asked() -> bool:
        if not acted and is_held(lock):
            act()
            acted.append(True)
        return bool(acted)

    return asked


@AWAY
def test_a_driver_stops_its_trials_before_it_asks_the_database(
    opened: Callable[..., Sweep], take_away: Callable[[str], None], tmp_path: Path, away: str,
    capsys: pytest.CaptureFixture[str],
):  # fmt: skip
    folder = tmp_path / "runs" / "trial-0000"
    should_stop = once_it_runs(folder / "process.lock", lambda: take_away(away))
    driver = Driver(opened(f"driver {away}", should_stop), tmp_path / "runs", LocalLauncher(), OPTIONS)
    assert not driver.run(should_stop)
    wait_until(
        "the trial's end", lambda: not is_held(folder / "process.lock")
    )  # it is asked, whether or not it has begun
    assert read_outcome(folder).state == "stopped"  # type: ignore[union-attr]
    assert "asked to stop, and so waiting no longer" in capsys.readouterr().out


def test_a_driver_that_ends_at_once_tells_its_trials_and_asks_nobody(
    opened: Callable[..., Sweep], take_away: Callable[[str], None], tmp_path: Path
):
    """The second Ctrl-C, while the database hangs."""
    folder = tmp_path / "runs" / "trial-0000"
    hangs = once_it_runs(folder / "process.lock", lambda: take_away("hanging"))

    def interrupted() -> bool:
        if hangs():
            raise KeyboardInterrupt
        return False

    driver = Driver(opened("at once", interrupted), tmp_path / "runs", LocalLauncher(), OPTIONS)
    with pytest.raises(KeyboardInterrupt):
        driver.run(lambda: hangs() and False)
    wait_until("the trial's end", lambda: not is_held(folder / "process.lock"))
    assert read_outcome(folder).state == "stopped"  # type: ignore[union-attr]


@pytest.mark.slow
@AWAY
def test_workers_are_told_too(
    opened: Callable[..., Sweep], take_away: Callable[[str], None], tmp_path: Path, away: str
):
    lock = tmp_path / "runs" / "workers" / LocalWorkers().name(0) / "process.lock"
    should_stop = once_it_runs(lock, lambda: take_away(away))
    looks: list[bool] = []

    def at_the_next_look() -> bool:  # and meanwhile the database is waited for
        looks.append(should_stop())
        return looks[-1] and len(looks) > 1 and looks[-2]

    supervisor = Supervisor(opened(f"workers {away}", should_stop), tmp_path / "runs", LocalWorkers(), OPTIONS)
    assert not supervisor.run(at_the_next_look)
    wait_until("the worker's end", lambda: not is_held(lock))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["job", "workers"])
@pytest.mark.parametrize("presses", [1, 2])
@AWAY
def test_ctrl_c_while_the_database_is_away(  # noqa: PLR0917
    server: Postgres, take_away: Callable[[str], None], tmp_path: Path, away: str, presses: int, mode: str
):
    name = f"{mode} {presses} {away}"
    command = [
        sys.executable, "-u", "-m", "sweeps.optuna_run", "--cluster", "local", "--mode", mode, "--trials", "6", "--parallel", "1",
        "--pruner", "none", "--study", name, "--storage", server.url, "--runs", str(tmp_path), "--search", "lr=log(1e-3, 1e-1)",
        "stage=selftest", "steps=1000000",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PGPASSFILE": str(server.passfile(tmp_path))}
    log, folder = tmp_path / "log", tmp_path / name / "trial-0000"
    with log.open("w") as out:
        driver = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until("the trial's first step", (folder / "metrics.jsonl").exists)
        take_away(away)
        wait_until("a word about it", lambda: "waiting for it, up to 10 minutes" in log.read_text(), timeout_s=60)
        driver.send_signal(signal.SIGINT)
        wait_until("an answer", lambda: "(once more: stop at once)" in log.read_text())
        if presses == 2 and driver.poll() is None:
            driver.send_signal(signal.SIGINT)
        driver.wait(timeout=120)
        assert driver.returncode == 130, log.read_text()
        wait_until("the trial's end", lambda: read_outcome(folder) is not None)
    finally:
        driver.kill()
        driver.wait()
        if (rank := process_here(folder)) is not None:
            os.kill(rank, signal.SIGKILL)
    assert "the same command goes on" in log.read_text()
    assert read_outcome(folder).state == "stopped"  # type: ignore[union-attr]
    lock = (
        folder / "process.lock"
        if mode == "job"
        else tmp_path / name / "workers" / LocalWorkers().name(0) / "process.lock"
    )
    wait_until("the process's end", lambda: not is_held(lock))
