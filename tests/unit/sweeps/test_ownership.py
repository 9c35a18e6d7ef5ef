"""Whose a trial's folder is: two studies of one name, in two storages or one after the other, with the same folder of runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpc.launch import HoldsAnother
from sweeps.driver import Driver
from sweeps.opening import open_sweep
from sweeps.options import Options
from sweeps.place import find_place
from sweeps.plan import StudyError
from sweeps.reaper import find_lost, next_attempt, prepare, settle_ended
from sweeps.running import Running
from sweeps.storage import open_storage
from sweeps.study import Sweep
from sweeps.trial_folder import Handle, Outcome, hold, read_outcome, write_outcome
from tests.contracts.studies import ME, PLAN

OPTIONS = Options("", 2, 1, "random", "none", None, 2, "", 1, 1)


def study(folder: Path, storage: str) -> Sweep:
    return open_sweep(open_storage(find_place(f"journal:{folder}/{storage}.log", folder, {})), "planes", PLAN)


def claim(sweep: Sweep, runs: Path) -> Running:
    found = sweep.claim(runs, ME, sampler="random", trials=5, seed=None)
    assert found is not None
    return found


def test_another_study_s_result_is_kept_and_never_taken_for_this_one_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    runs, one = tmp_path / "it's runs", study(tmp_path, "one")
    first = claim(one, runs)
    write_outcome(first.folder, Outcome("complete", metrics={"loss": 0.25}))
    two = study(tmp_path, "two")
    second = claim(two, runs)
    assert second.folder == first.folder
    assert settle_ended(two, two.running()) == [second], "it ended before it began"
    aside = runs / "trial-0000.of-another-study-1"
    assert read_outcome(aside) == Outcome("complete", metrics={"loss": 0.25})
    assert (
        f"{first.folder} is a run of another study of this name: it is kept as {aside.name}" in capsys.readouterr().out
    )

    write_outcome(second.folder, Outcome("complete", metrics={"loss": 0.5}))
    assert settle_ended(one, one.running()) == [first], "the second study's result is not the first one's"
    assert find_lost(one.running()) == [(first, None)]
    assert next_attempt(one, first, None, Handle("process", "again"), retries=2) == Handle("process", "again")
    assert read_outcome(runs / "trial-0000.of-another-study-2") == Outcome("complete", metrics={"loss": 0.5})
    assert one.running()[0].handle == Handle("process", "again")
    assert settle_ended(two, two.running()) == [second], "it has to train again"


def test_a_deleted_study_s_folders_are_not_the_next_one_s(tmp_path: Path):
    first = claim(study(tmp_path, "one"), tmp_path)
    (first.folder / "config.json").write_text("{}")
    (tmp_path / "one.log").unlink()
    second = claim(study(tmp_path, "one"), tmp_path)
    assert not (second.folder / "config.json").exists()
    assert (tmp_path / "trial-0000.of-another-study-1" / "config.json").exists()


def test_what_another_study_still_trains_is_left_alone(tmp_path: Path):
    first = claim(study(tmp_path, "one"), tmp_path)
    held = hold(first.folder / "process.lock")
    assert held is not None
    two = study(tmp_path, "two")
    try:
        with pytest.raises(
            StudyError, match=r"trial-0000 is a run of another study of this name, and is still trained"
        ):
            claim(two, tmp_path)
    finally:
        os.close(held)
    assert first.handle == ME
    assert two.trials() == [], "the trial that had no place was set aside"
    assert claim(two, tmp_path).number == 1, "others have"


def test_a_study_s_own_folders_go_on(tmp_path: Path):
    first = claim(study(tmp_path, "one"), tmp_path)
    write_outcome(first.folder, Outcome("stopped"))
    for again in (study(tmp_path, "one"), open_sweep(study(tmp_path, "one").storage, "planes", None)):
        (found,) = again.running()
        assert (found.handle, found.outcome) == (ME, Outcome("stopped"))
    assert again.take_over(found, ME, Handle("process", "next"))
    assert (found.handle, found.outcome) == (Handle("process", "next"), Outcome("stopped")), "nothing was moved"


def test_a_folder_of_before_there_were_marks_is_known_by_its_settings(tmp_path: Path):
    sweep = study(tmp_path, "one")
    first, second = claim(sweep, tmp_path), claim(sweep, tmp_path)
    prepare(sweep, first, OPTIONS)
    (first.folder / "study.json").unlink()
    assert first.handle == ME
    assert not second.owner.owns(first.folder)


def test_a_trial_whose_folder_holds_a_run_of_other_settings_fails_and_the_next_begins(tmp_path: Path):
    class Launcher:
        poll_s = 0.0

        def start(self, folder: Path, handle: Handle) -> None:
            del handle
            if folder.name == "trial-0000":
                raise HoldsAnother(f"{folder} holds a run with steps=7")
            write_outcome(folder, Outcome("complete", metrics={"loss": 0.5}))

        def stop(self, folders: object) -> None:
            del folders

    sweep = study(tmp_path, "one")
    assert Driver(sweep, tmp_path, Launcher(), OPTIONS).run(lambda: False)
    assert [trial.state.name for trial in sweep.trials()] == ["FAIL", "COMPLETE"]
    assert "holds a run with steps=7" in sweep.trials()[0].user_attrs["reason"]
