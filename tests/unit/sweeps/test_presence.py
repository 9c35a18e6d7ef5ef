"""Two machines with a database, and each with a folder of runs of its own: the second one is told so, and trains nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from sweeps.driver import Driver
from sweeps.launch import LocalLauncher
from sweeps.opening import open_sweep
from sweeps.options import Options
from sweeps.place import find_place
from sweeps.plan import StudyError
from sweeps.presence import Presence
from sweeps.storage import open_storage
from sweeps.study import Sweep
from sweeps.trial_folder import Handle
from tests.contracts.studies import ME, PLAN
from tests.databases.postgres import Postgres
from tests.unit.fake_slurm import FakeSlurm


@pytest.fixture
def sweep(server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    monkeypatch.setenv("PGPASSFILE", str(server.passfile(tmp_path)))
    return open_sweep(open_storage(find_place(server.url, tmp_path, {})), tmp_path.name, PLAN)


def later(presence: Presence) -> None:
    """It says its word again."""
    presence._said = -1e9
    presence.say()


def words(sweep: Sweep) -> dict[str, dict[str, object]]:
    return {name: word for name, word in sweep.study.user_attrs.items() if name.startswith("runs") and word}


def age(sweep: Sweep, seconds: float) -> None:
    for name, word in words(sweep).items():
        sweep.study.set_user_attr(name, {**word, "time": time.time() - seconds})


def test_drivers_of_one_study_see_the_same_runs(sweep: Sweep, tmp_path: Path):
    first, beside, other = (Presence(sweep, tmp_path / name) for name in ("one", "one", "another"))
    first.say()
    beside.say()
    refused = pytest.raises(StudyError, match=r"at work in .*/one on .* another folder than .*/another here.*--runs")
    with refused:
        other.say()

    trial = sweep.claim(tmp_path / "one", ME, sampler="random", trials=1, seed=None)
    assert trial is not None
    (tmp_path / "one" / "trial-0000").rename(tmp_path / "unseen")  # as it is for a machine with a disk of its own
    options = Options("", 1, 1, "random", "none", None, 2, "", 1, 1)
    with pytest.raises(StudyError, match="neither could go on with the other's trials"):
        Driver(sweep, tmp_path / "another", LocalLauncher(), options).run(lambda: False)
    assert not trial.folder.exists(), "it was taken over"

    beside.leave()
    with refused:
        other.say()
    later(first)  # and is not ended by another's word
    first.leave()
    other.say()
    with pytest.raises(StudyError, match=r"at work in .*/another on"):
        later(first)
    other.leave()
    assert words(sweep) == {}


def test_a_killed_driver_s_word_ends_and_its_place_is_taken(sweep: Sweep, tmp_path: Path):
    for name in ("one", "another") * 3:
        Presence(sweep, tmp_path / name).say()
        age(sweep, 1000)
    assert len(words(sweep)) == 1, "words of the dead do not pile up"


def test_a_word_of_an_earlier_version_counts(sweep: Sweep, tmp_path: Path):
    word = {"id": "another's", "host": "there", "folder": "/their runs", "time": time.time()}
    sweep.study.set_user_attr("runs", word)
    with pytest.raises(StudyError, match="at work in /their runs on there"):
        Presence(sweep, tmp_path / "one").say()
    age(sweep, 1000)
    Presence(sweep, tmp_path / "one").say()


def test_the_word_of_a_worker_that_is_a_job_lasts_as_long_as_the_job(
    sweep: Sweep, tmp_path: Path, fake_slurm: FakeSlurm
):
    (fake_slurm.folder / "jobs" / "77.json").write_text(json.dumps({"id": "77", "state": "RUNNING", "flags": {}}))
    worker, other = Presence(sweep, tmp_path / "one", Handle("slurm", "77")), Presence(sweep, tmp_path / "another")
    worker.say()
    age(sweep, 1000)
    with pytest.raises(StudyError, match="at work in"):
        other.say()
    Presence(sweep, tmp_path / "one", Handle("slurm", "77")).say()  # back from the queue
    assert len(words(sweep)) == 1
    age(sweep, 1000)
    fake_slurm.set("77", state="CANCELLED")
    other.say()
