"""The page as a stage: the command's own, by one process or several; stopped, refused, and never half written."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.unit.report.making import make_inference
from v2a.config import ConfigError
from v2a.processes import ProcessTasks
from v2a.report.__main__ import main
from v2a.report.config import Config
from v2a.report.errors import ReportError
from v2a.report.stage import ReportJob, command_of
from v2a.stages import check_inputs, identity, load_config
from v2a.tasks import SerialTasks, Tasks


def never() -> bool:
    return False


def _without_its_time(page: Path) -> str:
    text, times = re.subn(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", page.read_text())
    assert times >= 1
    return text


@pytest.mark.parametrize("tasks", [SerialTasks(), ProcessTasks(2)], ids=["one process", "two processes"])
def test_it_is_the_page_of_the_command(tasks: Tasks, world: Path, tmp_path: Path):
    config = Config(runs=f"{world / 'ev'}, {world / 'fw'}", page=str(tmp_path / "new" / "page.html"), clips=1)
    made = tasks.run(ReportJob(config), never)
    page = Path(config.page)
    assert made["pages"] == 1
    assert made["megabytes"] == page.stat().st_size / 1e6
    text = _without_its_time(page)
    page.unlink()
    assert main(command_of(config).split()[3:]) == 0
    assert _without_its_time(page) == text


def test_stopped_in_the_middle_it_leaves_nothing(world: Path, tmp_path: Path):
    config = Config(runs=str(world / "ev"), page=str(tmp_path / "page.html"))
    asked = iter([False, *[True] * 99])
    assert SerialTasks().run(ReportJob(config), lambda: next(asked)) == {"pages": 0, "megabytes": 0, "stopped": 1}
    assert list(tmp_path.iterdir()) == []


def test_a_page_takes_no_other_files_place(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Neither a run's own files nor a device, which root could replace by a file."""
    taken, pipe = tmp_path / "metrics.json", tmp_path / "pipe"
    taken.write_text("{}")
    os.mkfifo(pipe)
    for path, said in ((taken, "is there, and no report"), (pipe, "no file that could be written anew")):
        assert main([str(world / "fw"), "--out", str(path)]) == 1
        assert said in capsys.readouterr().err
    assert taken.read_text() == "{}"
    assert pipe.is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "pipe"]


def test_a_folder_that_is_no_run_is_a_sentence(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReportError, match="holds no run"):
        SerialTasks().run(ReportJob(Config(runs=str(tmp_path / "empty"), page=str(tmp_path / "page.html"))), never)


def test_what_cannot_be_made_is_said_before_a_job_waits(tmp_path: Path):
    sounds = tmp_path / "sounds"
    sounds.mkdir()
    make_inference(sounds)
    check_inputs("report", load_config("report", [f"runs={sounds}", f"page={tmp_path / 'a' / 'b.html'}"]))
    for settings, said in (
        ([], "got none; say runs=DIR,DIR"),
        ([f"runs={sounds},{tmp_path / 'no'}"], "no is not there; expected the folder of .*runs=DIR,DIR"),
        ([f"runs={tmp_path}"], "holds no run; expected the folder of"),
        ([f"runs={sounds}", f"page={tmp_path}"], "is a folder; expected a file"),
        ([f"runs={sounds}", f"page={sounds / 'report.jsonl' / 'x.html'}"], "cannot be made: .* is a file"),
    ):
        with pytest.raises(ConfigError, match=said):
            check_inputs("report", load_config("report", settings))
    check_inputs(
        "report", load_config("report", ["runs=not/yet/there", f"page={tmp_path / 'x.html'}"]), made_before=("runs",)
    )
    for setting in ("clips=1001", "max_mb=0", "page="):
        with pytest.raises(ConfigError, match="expected"):
            load_config("report", [setting])


def test_paths_mean_the_same_in_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    found = identity(load_config("report", ["runs=a, b", "page=c.html"]))
    assert found["runs"] == f"{tmp_path.resolve()}/a,{tmp_path.resolve()}/b"
    assert found["page"] == f"{tmp_path.resolve()}/c.html"
