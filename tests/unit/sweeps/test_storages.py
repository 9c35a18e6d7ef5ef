"""The contract of studies for a journal file, SQLite and PostgreSQL."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from sweeps import listener as listener_module
from sweeps import report
from sweeps.listener import Listener
from sweeps.opening import open_sweep
from sweeps.place import StorageError, find_place
from sweeps.storage import open_storage
from sweeps.trial_folder import Outcome, Task, write_outcome
from tests.contracts.studies import CONTRACT, ME, PLAN, Open
from tests.databases.postgres import PASSWORD, Postgres


@pytest.fixture(params=["journal", "sqlite", "postgresql"])
def open_again(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens an empty storage, again and again the same."""
    if request.param == "journal":
        return lambda: open_storage(find_place(None, tmp_path / "it's a folder" / "study.log", {}))
    if request.param == "sqlite":
        return lambda: open_storage(find_place(f"sqlite:///{tmp_path}/studies.db", tmp_path, {}))
    server: Postgres = request.getfixturevalue("server")
    monkeypatch.setenv("PGPASSFILE", str(server.passfile(tmp_path)))
    _empty(server, tmp_path)
    return lambda: open_storage(find_place(server.url, tmp_path, {}), patience_s=60)


@pytest.mark.parametrize("check", CONTRACT.values(), ids=CONTRACT)
def test_every_storage_keeps_the_contract(check: Callable[[Open, Path], None], open_again: Open, tmp_path: Path):
    check(open_again, tmp_path / "runs")
    assert callable(check)


def _empty(server: Postgres, folder: Path) -> None:
    """No study of an earlier test."""
    import optuna

    storage = open_storage(find_place(server.url, folder, {}))
    for name in optuna.get_all_study_names(storage.optuna):
        optuna.delete_study(study_name=name, storage=storage.optuna)


def test_a_password_may_be_in_a_file_of_its_owner(server: Postgres, tmp_path: Path):
    secret = tmp_path / "my storage"
    password = PASSWORD.replace(" ", "%20").replace("$", "%24").replace(";", "%3B")
    secret.write_text(server.url.replace("@", f":{password}@") + "\n")
    secret.chmod(0o600)
    place = find_place(f"@{secret}", tmp_path, {})
    assert open_sweep(open_storage(place), "from a file", PLAN).name == "from a file"
    assert PASSWORD not in place.label + place.spec + repr(place)


def _tables(url: str) -> list[str]:
    from sqlalchemy import create_engine, inspect

    engine = create_engine(url)
    try:
        return inspect(engine).get_table_names()
    finally:
        engine.dispose()


def test_a_report_makes_no_tables(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from sqlalchemy import create_engine, text

    monkeypatch.setenv("PGPASSFILE", str(server.passfile(tmp_path)))
    place = find_place(server.url, tmp_path, {})
    engine = create_engine(place.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE nothing"))
    engine.dispose()
    (tmp_path / "nothing.db").touch()
    for spec in (server.url.replace("/postgres", "/nothing"), f"sqlite:///{tmp_path}/nothing.db"):
        place = find_place(spec, tmp_path, {})
        for more in ([], ["--table"]):
            assert report.main(["mine", "--storage", spec, "--runs", str(tmp_path / "runs"), *more]) == 1
            assert f"there is no study 'mine' in {place.label}" in capsys.readouterr().err
        assert _tables(place.url if place.kind == "postgresql" else spec) == []
        open_sweep(open_storage(place), "another", PLAN)
        assert report.main(["mine", "--storage", spec, "--runs", str(tmp_path / "runs")]) == 1
        assert "there are: another" in capsys.readouterr().err
        assert report.main(["another", "--storage", spec, "--table"]) == 0


def test_a_wrong_password_names_the_host_alone(server: Postgres, tmp_path: Path):
    url = server.url.replace("@", ":wrong-secret@")
    with pytest.raises(StorageError, match=rf"sweeper@127\.0\.0\.1:{server.port}/postgres cannot be reached") as error:
        open_storage(find_place(None, tmp_path, {"OPTUNA_STORAGE": url}))
    assert "wrong-secret" not in str(error.value)


def test_the_local_socket_is_a_place_too_and_a_parameter_may_be_the_password(server: Postgres, tmp_path: Path):
    there = f"postgresql:///postgres?host={server.folder}&port={server.port}&user=sweeper"
    place = find_place(None, tmp_path, {"OPTUNA_STORAGE": f"{there}&password={quote(PASSWORD)}"})
    assert open_sweep(open_storage(place), "by the socket", PLAN).name == "by the socket"
    wrong = find_place(None, tmp_path, {"OPTUNA_STORAGE": f"{there}&password=wrong-secret"})
    with pytest.raises(StorageError, match="password authentication failed") as error:
        open_storage(wrong)
    assert "wrong-secret" not in str(error.value)


def test_a_database_that_is_away_is_waited_for(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Stopped in the middle of a study, and started again when someone is seen to wait for it."""
    monkeypatch.setenv("PGPASSFILE", str(server.passfile(tmp_path)))
    sweep = open_sweep(open_storage(find_place(server.url, tmp_path, {}), patience_s=200), "away", PLAN)
    assert sweep.claim(tmp_path, ME, sampler="random", trials=2, seed=None) is not None
    server.stop()
    found: list[object] = []
    asking = threading.Thread(
        target=lambda: found.append(sweep.claim(tmp_path, ME, sampler="random", trials=2, seed=None))
    )
    asking.start()
    try:
        said = ""
        while "waiting for it" not in said:
            assert asking.is_alive(), "it did not wait"
            time.sleep(0.1)
            said += capsys.readouterr().out
    finally:
        server.start()
    asking.join(timeout=200)
    assert found[0] is not None
    assert "answers again" in capsys.readouterr().out
    assert [trial.state.name for trial in sweep.trials()] == ["RUNNING", "RUNNING"]


def test_a_trial_trains_on_while_the_database_is_away_and_reports_later(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PGPASSFILE", str(server.passfile(tmp_path)))
    sweep = open_sweep(open_storage(find_place(server.url, tmp_path, {})), "reports", PLAN)
    trial = sweep.claim(tmp_path, ME, sampler="random", trials=1, seed=None)
    assert trial is not None
    listener = Listener(Task(server.url, "reports", trial.number, "selftest", [], "loss", "median", 100, 1))
    assert not listener(1, {"loss": 3.0})
    server.stop()
    try:
        assert not listener(2, {"loss": 2.0})
        assert not listener(3, {"loss": 1.0}), "nobody is asked again at once"
        assert "reports later" in capsys.readouterr().out
    finally:
        server.start()
    assert not listener(4, {"other": 1.0})
    listener.finish()
    assert sweep.trials()[0].intermediate_values == {1: 3.0, 2: 2.0, 3: 1.0}
    again = Listener(Task(server.url, "reports", trial.number, "selftest", [], "loss", "median", 100, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a trial that goes on from step 1 says nothing twice
        assert not any(again(step, {"loss": 0.5}) for step in (2, 3, 4))
    assert sweep.trials()[0].intermediate_values == {1: 3.0, 2: 2.0, 3: 1.0, 4: 0.5}


def test_what_a_trial_could_not_report_before_it_ended_is_in_the_study_when_that_is_told(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PGPASSFILE", str(server.passfile(tmp_path)))
    monkeypatch.setattr(listener_module, "_LAST_WAIT_S", 2.0)
    sweep = open_sweep(open_storage(find_place(server.url, tmp_path, {}), patience_s=60), "late", PLAN)
    trial = sweep.claim(tmp_path, ME, sampler="random", trials=1, seed=None)
    assert trial is not None
    listener = Listener(Task(server.url, "late", trial.number, "selftest", [], "loss", "median", 100, 1))
    assert not listener(1, {"loss": 3.0})
    server.stop()
    try:
        assert not listener(20, {"loss": 2.0})
        assert not listener(100, {"loss": 1.0})
        left = listener.finish()
    finally:
        server.start()
    assert left == {"20": 2.0, "100": 1.0}
    write_outcome(trial.folder, Outcome("complete", metrics={"loss": 1.0}, step=100, unsaid=left))
    assert trial.outcome is not None
    assert sweep.settle(trial, trial.outcome) == "complete"
    assert sweep.trials()[0].intermediate_values == {1: 3.0, 20: 2.0, 100: 1.0}
    assert sweep.settle(trial, trial.outcome) == "complete", "told twice is told once"


def test_a_database_that_stays_away_is_given_up_with_its_host(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PGPASSFILE", str(server.passfile(tmp_path)))
    sweep = open_sweep(open_storage(find_place(server.url, tmp_path, {}), patience_s=0.5), "gone", PLAN)
    server.stop()
    try:
        with pytest.raises(StorageError, match=rf"127\.0\.0\.1:{server.port}/postgres cannot be reached"):
            sweep.claim(tmp_path, ME, sampler="random", trials=2, seed=None)
        with pytest.raises(StorageError, match=rf"127\.0\.0\.1:{server.port}/postgres cannot be reached: .*refused"):
            open_storage(find_place(server.url, tmp_path, {}))
    finally:
        server.start()
