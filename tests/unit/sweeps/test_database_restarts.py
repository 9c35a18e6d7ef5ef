"""A PostgreSQL server that is restarted while it is read from, while a lock is held, and while a trial is chosen."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeps.listener import Listener
from sweeps.opening import open_sweep
from sweeps.place import StorageError, find_place
from sweeps.running import Running
from sweeps.storage import open_storage
from sweeps.study import Sweep
from sweeps.trial_folder import Handle, Outcome, Task
from tests.contracts.studies import ME, PLAN
from tests.databases.postgres import Postgres
from tests.house.source import CHECKOUT


@pytest.fixture
def opened(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Sweep]:
    """Opens a study as another process would."""
    monkeypatch.setenv("PGPASSFILE", str(server.passfile(tmp_path)))
    return lambda name: open_sweep(open_storage(find_place(server.url, tmp_path, {}), patience_s=60), name, PLAN)


def claim(sweep: Sweep, runs: Path, trials: int) -> Running | None:
    return sweep.claim(runs, ME, sampler="random", trials=trials, seed=None)


def restart(server: Postgres) -> None:
    server.stop()
    server.start()


def test_a_connection_that_breaks_between_the_rows_of_an_answer_is_made_again(
    server: Postgres, opened: Callable[[str], Sweep], tmp_path: Path
):
    """The server ends behind the first of several queries of one reading: what its trials are, and then their parameters."""
    import sqlalchemy

    sweep = opened("rows")
    assert claim(sweep, tmp_path, 2) is not None
    other = opened("rows")
    queries: list[str] = []

    def end_the_server(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "FROM trials" in statement and not queries:
            queries.append(statement)
            restart(server)

    engine = other.storage.optuna._backend.engine  # type: ignore[attr-defined]
    sqlalchemy.event.listen(engine, "after_cursor_execute", end_the_server)
    assert [trial.state.name for trial in other.trials()] == ["RUNNING"]
    assert len(queries) == 1, "the server was never ended"
    assert [trial.state.name for trial in other.trials()] == ["RUNNING"]


def test_a_lock_that_went_with_the_database_is_noticed(server: Postgres, opened: Callable[[str], Sweep]):
    with opened("a study").storage.lock("something") as held:
        assert held()
        restart(server)
        assert not held()
    with opened("a study").storage.lock("something") as held:
        assert held()


def test_two_that_open_a_new_study_at_once_after_a_restart_make_one_mark(
    server: Postgres, opened: Callable[[str], Sweep], monkeypatch: pytest.MonkeyPatch
):
    """The database is restarted while the first makes its mark, so the second one finds no lock, and makes one too."""
    others: list[Sweep] = []
    make = secrets.token_hex

    def slow(size: int) -> str:
        if not others:
            monkeypatch.setattr(secrets, "token_hex", make)
            restart(server)
            others.append(opened("new"))
        return make(size)

    monkeypatch.setattr(secrets, "token_hex", slow)
    mine = opened("new")
    assert len(others) == 1
    assert mine._entries.mark == others[0]._entries.mark == mine.study.user_attrs["mark"] != ""


@pytest.mark.parametrize(
    ("act", "trials", "kept", "aside"),
    [("unfit", 3, [1, 2], [0]), ("ask", 1, [0], [1])],
    ids=["one sets aside what the other chooses", "both choose the last one"],
)
def test_two_that_choose_at_once_after_a_restart_share_no_trial_and_choose_none_too_many(  # noqa: PLR0917
    server: Postgres,
    opened: Callable[[str], Sweep],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    act: str,
    trials: int,
    kept: list[int],
    aside: list[int],
):
    """A driver chooses, and is at this act when the database restarts and forgets its lock; then another one chooses."""
    slow, quick = opened(act), opened(act)
    go_on: Callable[..., object] = getattr(slow._next, act)
    others: list[Running | None] = []

    def let_the_other_choose(*arguments: object) -> object:
        if not others:
            restart(server)
            others.append(claim(quick, tmp_path / "quick", trials))
        return go_on(*arguments)

    monkeypatch.setattr(slow._next, act, let_the_other_choose)
    mine = claim(slow, tmp_path / "slow", trials)
    assert [trial.number for trial in (*others, mine) if trial is not None] == kept
    assert [trial.number for trial in slow.running()] == kept
    assert [trial.number for trial in slow.study.get_trials() if "set_aside" in trial.user_attrs] == aside


def test_a_trial_is_taken_over_and_settled_once_whatever_the_database_does(
    server: Postgres, opened: Callable[[str], Sweep], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    slow, quick = opened("lost"), opened("lost")
    trial = claim(slow, tmp_path, 1)
    assert trial is not None
    state, done = slow._entries.state, []

    def take_first(number: int) -> str:
        found = state(number)
        if not done:
            restart(server)
            done.append(quick.take_over(trial, ME, Handle("process", "quick", 2)))
        return found

    monkeypatch.setattr(slow._entries, "state", take_first)
    assert not slow.take_over(trial, ME, Handle("process", "slow", 2))
    assert done == [True]
    assert trial.handle == Handle("process", "quick", 2)

    def settle_first(number: int) -> str:
        found = state(number)
        if len(done) == 1:
            restart(server)
            done.append(quick.settle(trial, Outcome("pruned", "quick")) == "pruned")
        return found

    monkeypatch.setattr(slow._entries, "state", settle_first)
    assert slow.settle(trial, Outcome("failed", "slow")) == "pruned"
    assert quick.trials()[0].user_attrs["reason"] == "quick"


def test_a_server_that_hangs_keeps_nothing_from_training(
    server: Postgres, opened: Callable[[str], Sweep], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """While it hangs reports come back, though nobody can answer them; when it goes on they are all there."""
    sweep = opened("hangs")
    trial = claim(sweep, tmp_path, 1)
    assert trial is not None
    listener = Listener(Task(server.url, "hangs", trial.number, "selftest", [], "loss", "median", 100, 1))
    assert not listener(1, {"loss": 3.0})
    server.hang()
    try:
        assert not listener(2, {"loss": 2.0})
        assert "did not answer within 2 s; the trial goes on, and reports later" in capsys.readouterr().out
        assert not any(listener(step, {"loss": 1.0}) for step in range(3, 50)), "nobody waits again"
    finally:
        server.wake()
    listener.finish()
    assert list(sweep.trials()[0].intermediate_values) == list(range(1, 50))


def test_a_study_that_is_gone_ends_no_run(
    server: Postgres, opened: Callable[[str], Sweep], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    import optuna

    sweep = opened("deleted")
    trial = claim(sweep, tmp_path, 1)
    assert trial is not None
    listener = Listener(Task(server.url, "deleted", trial.number, "selftest", [], "loss", "median", 100, 1))
    assert not listener(1, {"loss": 3.0})
    optuna.delete_study(study_name="deleted", storage=sweep.storage.optuna)
    assert not listener(2, {"loss": 2.0})
    listener.finish()
    assert "the trial goes on" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("known", ["a job", "a study that has begun"])
def test_a_database_that_is_away_at_the_start_is_waited_for(server: Postgres, tmp_path: Path, known: str):
    passfile = {"PGPASSFILE": str(server.passfile(tmp_path))}
    command = [
        sys.executable, "-m", "sweeps.optuna_run", "--mode", "workers", "--trials", "1", "--pruner", "none", "--study", known,
        "--storage", server.url, "--runs", str(tmp_path), "--search", "lr=log(1e-3, 1e-1)", "stage=selftest", "steps=1",
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    environment |= {"PYTHONPATH": str(CHECKOUT), **passfile}
    if known == "a job":
        environment["SLURM_JOB_ID"] = "77"
    else:
        (tmp_path / known / "workers").mkdir(parents=True)
        command += ["--cluster", "local"]
    server.stop()
    try:
        driver = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert driver.stdout is not None
        lines = iter(driver.stdout.readline, "")
        said = next((line for line in lines if "cannot be reached" in line), "it said nothing")
    finally:
        server.start()
    rest = driver.communicate(timeout=240)[0]
    assert "waiting for it, up to 10 minutes" in said
    assert driver.returncode == 0, said + rest
    assert f"{known}: 1 complete" in rest or "trial 0: complete" in rest


def test_a_server_that_refuses_is_not_waited_for(server: Postgres, tmp_path: Path):
    """Nor are ten minutes for a name that somebody has just written down."""
    wrong = find_place(None, tmp_path, {"OPTUNA_STORAGE": server.url.replace("@", ":wrong-secret@")})
    for place in (wrong, find_place(None, tmp_path, {"OPTUNA_STORAGE": wrong.url.replace("/postgres", "/nothing")})):
        with pytest.raises(StorageError, match="cannot be reached") as error:
            open_storage(place, first_s=100_000)
        assert "wrong-secret" not in str(error.value)


def test_tables_that_are_gone_are_a_sentence(server: Postgres, opened: Callable[[str], Sweep], tmp_path: Path):
    import sqlalchemy

    sweep = opened("no tables")
    url = find_place(server.url, tmp_path, {}).url
    with sqlalchemy.create_engine(url).begin() as connection:
        connection.execute(sqlalchemy.text("ALTER TABLE trials RENAME TO gone"))
    try:
        with pytest.raises(StorageError, match=r"127\.0\.0\.1.* does not work: .*trials"):
            sweep.trials()
    finally:
        with sqlalchemy.create_engine(url).begin() as connection:
            connection.execute(sqlalchemy.text("ALTER TABLE gone RENAME TO trials"))
