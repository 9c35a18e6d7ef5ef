"""Two machines with a database, and each with a folder of runs of its own: the second one is told so, and trains nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
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
from tests.contracts.studies import ME, PLAN
from tests.databases.postgres import Postgres, binaries


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sweep]:
    if binaries() is None:
        pytest.skip("there is no PostgreSQL server: apt-get install postgresql")
    server = Postgres()
    server.start()
    try:
        monkeypatch.setenv("PGPASSFILE", str(server.passfile(tmp_path)))
        yield open_sweep(open_storage(find_place(server.url, tmp_path, {})), "shared", PLAN)
    finally:
        server.remove()


def test_drivers_of_one_study_see_the_same_runs(sweep: Sweep, tmp_path: Path):
    first, beside, other = (Presence(sweep, tmp_path / name) for name in ("one", "one", "another"))
    first.say()
    beside.say()
    with pytest.raises(StudyError, match=r"at work in .*/one on .* another folder than .*/another here.*--runs"):
        other.say()

    trial = sweep.claim(tmp_path / "one", ME, sampler="random", trials=1, seed=None)
    assert trial is not None
    (tmp_path / "one" / "trial-0000").rename(tmp_path / "unseen")  # as it is for a machine with a disk of its own
    options = Options("", 1, 1, "random", "none", None, 2, "", 1, 1)
    with pytest.raises(StudyError, match="its trials would be trained twice"):
        Driver(sweep, tmp_path / "another", LocalLauncher(), options).run(lambda: False)
    assert not trial.folder.exists(), "it was taken over"

    beside.leave()
    other.say()
    sweep.study.set_user_attr("runs", {**sweep.study.user_attrs["runs"], "time": time.time() - 1000})
    Presence(sweep, tmp_path / "one").say()
