"""Where a trial is when its folder of runs is moved, deleted, one of another machine's, or of before there were ids."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweeps.driver import Driver
from sweeps.launch import present
from sweeps.opening import open_sweep
from sweeps.options import Options
from sweeps.place import find_place
from sweeps.plan import StudyError
from sweeps.reaper import find_lost
from sweeps.running import Running, running_trial
from sweeps.storage import open_storage
from sweeps.study import Sweep
from sweeps.table import rows_of
from sweeps.trial_folder import Handle, Outcome, hold, read_outcome, write_outcome, write_place
from tests.contracts.studies import ME, PLAN
from tests.databases.postgres import PASSWORD, Postgres
from tests.unit.sweeps.at_once import AtOnce


def drive(sweep: Sweep, runs: Path, trials: int) -> list[Path]:
    launcher, options = AtOnce(), Options("", trials, 1, "random", "none", None, 2, "", 1, 1)
    assert Driver(sweep, runs, launcher, options).run(lambda: False)
    return launcher.folders


def in_file(folder: Path) -> Sweep:
    return open_sweep(open_storage(find_place(f"journal:{folder}/study.log", folder, {})), "runs", PLAN)


@pytest.fixture
def in_database(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.setenv("PGPASSFILE", str(server.passfile(tmp_path)))
    return open_sweep(open_storage(find_place(server.url, tmp_path, {})), tmp_path.name, PLAN)


def claim(sweep: Sweep, runs: Path, handle: Handle = ME) -> Running:
    found = sweep.claim(runs, handle, sampler="random", trials=99, seed=None)
    assert found is not None
    return found


def claim_as_before(sweep: Sweep, runs: Path) -> Running:
    """As by a version that kept the folder alone."""
    asked = sweep.study.ask()
    asked.suggest_float("lr", 1e-3, 1e-1, log=True)
    asked.suggest_categorical("batch", (8, 16))
    found = running_trial(
        sweep.study.user_attrs["mark"], asked.number, asked.params, runs / f"trial-{asked.number:04d}"
    )
    found.owner.take(found.folder, ME)
    asked.set_user_attr("folder", str(found.folder))
    return found


def test_a_trial_in_a_folder_that_is_not_seen_is_left_and_said(
    server: Postgres, in_database: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Its driver was killed; it trains on, on a disk that this machine does not have."""
    sweep, there, here = in_database, tmp_path / "there", tmp_path / "here"
    claim(sweep, there)
    there.rename(tmp_path / "another machine")
    with pytest.raises(StudyError, match=r"trial 0 is in .*/there/trial-0000, begun on .* not seen here.*optuna tell"):
        drive(sweep, here, trials=2)
    assert [trial.state.name for trial in sweep.trials()] == ["RUNNING", "COMPLETE"]
    assert not (here / "trial-0000").exists(), "it is trained twice"
    assert capsys.readouterr().out.count("trial 0 is in ") == 1

    there.mkdir()  # of the same name, and not the same
    with pytest.raises(StudyError, match="not seen here"):
        drive(sweep, there, trials=2)
    there_again = tmp_path / "another machine"
    assert drive(sweep, there_again, trials=2) == [there_again / "trial-0000"]

    claim(sweep, there_again)
    there_again.rename(tmp_path / "lost")
    url = server.url.replace("postgresql://", "postgresql+psycopg://")
    said = f"tell --study-name {sweep.name} --trial-number 2 --state fail"  # as the sentence says
    command = [str(Path(sys.executable).with_name("optuna")), *said.split()]
    environment = {**os.environ, "OPTUNA_STORAGE": url}
    told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert PASSWORD not in told.stderr
    assert drive(sweep, here, trials=3) == []


def test_another_folder_that_is_seen_goes_on_where_it_is(in_database: Sweep, tmp_path: Path):
    begun = claim(in_database, tmp_path / "one")
    assert drive(in_database, tmp_path / "another", trials=1) == [begun.folder]


def test_runs_that_were_moved_go_on_where_they_are(tmp_path: Path):
    old, new = tmp_path / "it's old", tmp_path / "new"
    lives = claim(
        in_file(old), old, Handle("process", str(old / "trial-0000" / "process.lock"), driver=str(old / "d.lock"))
    )
    write_place(lives.folder)
    stopped = claim(in_file(old), old)
    write_outcome(stopped.folder, Outcome("stopped"))
    held = hold(lives.folder / "process.lock")
    assert held is not None
    old.rename(new)
    sweep = in_file(new).seen_from(new)
    try:
        first, second = sweep.running()
        assert first.handle == Handle("process", str(new / "trial-0000" / "process.lock"), driver=str(new / "d.lock"))
        assert present([first.handle]) == [True], "its lock moved with it"
        assert find_lost([first, second]) == [(second, ME)]
        assert rows_of(sweep)[0][4] != "", "the host is read where the run is"
    finally:
        os.close(held)
    write_outcome(first.folder, Outcome("complete", metrics={"loss": 0.25}))
    assert drive(in_file(new), new, trials=2) == [new / "trial-0001"]
    assert not old.exists()
    assert [trial.values for trial in in_file(new).trials()] == [[0.25], [0.5]]


def test_runs_that_were_deleted_begin_anew_where_all_is_on_one_machine(tmp_path: Path):
    claim(in_file(tmp_path), tmp_path / "deleted")
    (tmp_path / "deleted").rename(tmp_path / "away")
    assert drive(in_file(tmp_path), tmp_path / "new", trials=1) == [tmp_path / "new" / "trial-0000"]
    assert not (tmp_path / "deleted").exists()


@pytest.mark.parametrize("moved", [False, True])
def test_trials_of_before_there_were_ids_go_on(tmp_path: Path, moved: bool):
    old, new = tmp_path / "old", tmp_path / "new"
    begun = claim_as_before(in_file(tmp_path), old)
    write_outcome(begun.folder, Outcome("stopped"))
    if moved:
        old.rename(new)
    folder = (new if moved else old) / "trial-0000"
    assert drive(in_file(tmp_path), new, trials=1) == [folder]
    assert read_outcome(folder) is not None
    assert old.exists() is not moved
