"""Steps run after what they need, once, several at a time; here they are short commands of Python."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from v2a.reproduce.run import StepFailed, is_done, log_of, run_steps, seconds_of
from v2a.reproduce.steps import Step


def writes(folder: Path, name: str, needs: tuple[str, ...] = (), text: str = "x") -> Step:
    """Adds a line to a file of its name, if the files of what it needs are there."""
    code = (
        "import pathlib, sys; folder, name, text, *needs = sys.argv[1:]; folder = pathlib.Path(folder); "
        "assert all((folder / need).exists() for need in needs); (folder / name).open('a').write(text); print('wrote', name)"
    )
    return Step(name, (sys.executable, "-c", code, str(folder), name, text, *needs), needs)


def never() -> bool:
    return False


@pytest.mark.parametrize("jobs", [1, 3])
def test_steps_run_after_what_they_need_and_once(jobs: int, tmp_path: Path):
    steps = [
        writes(tmp_path, "a"), writes(tmp_path, "b"), writes(tmp_path, "c", ("a", "b")), writes(tmp_path, "d", ("c",)),
    ]  # fmt: skip
    out = tmp_path / "out"
    assert run_steps(steps, out, jobs, never)
    assert run_steps(steps, out, jobs, never)
    assert [(tmp_path / name).read_text() for name in "abcd"] == ["x"] * 4
    assert log_of(steps[3], out).read_text() == "wrote d\n"
    assert seconds_of(steps[0], out) > 0


def test_a_changed_command_runs_again(tmp_path: Path):
    out = tmp_path / "out"
    assert run_steps([writes(tmp_path, "a")], out, 1, never)
    assert run_steps([writes(tmp_path, "a", text="y")], out, 1, never)
    assert (tmp_path / "a").read_text() == "xy"


def test_a_failure_is_shown_with_its_last_words_and_what_was_done_is_kept(tmp_path: Path):
    broken = Step("bad", (sys.executable, "-c", "print('so far'); raise SystemExit('no such flute')"), ("a",))
    steps, out = [writes(tmp_path, "a"), broken, writes(tmp_path, "after", ("bad",))], tmp_path / "out"
    with pytest.raises(StepFailed, match=r"bad failed(.|\n)*so far(.|\n)*no such flute"):
        run_steps(steps, out, 2, never)
    assert is_done(steps[0], out)
    assert not is_done(broken, out)
    assert not (tmp_path / "after").exists()


def test_when_asked_to_stop_nothing_more_begins(tmp_path: Path):
    out = tmp_path / "out"
    steps = [writes(tmp_path, "a"), writes(tmp_path, "b", ("a",))]
    assert not run_steps(steps, out, 1, (tmp_path / "a").exists)
    assert (tmp_path / "a").exists()
    assert not (tmp_path / "b").exists()
    assert run_steps(steps, out, 1, never)


def test_what_it_needs_was_made_by_another_command(tmp_path: Path):
    """A step of the same command is done again, when those before it are others."""
    out, step = tmp_path / "out", writes(tmp_path, "a")
    assert run_steps([replace(step, recipe="small")], out, 1, never)
    assert not is_done(replace(step, recipe="full"), out)


def test_commands_under_way_are_asked_to_stop(tmp_path: Path):
    code = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(130)); print(1, flush=True); time.sleep(60)"
    step, out = Step("long", (sys.executable, "-c", code)), tmp_path / "out"
    log = log_of(step, out)
    assert not run_steps([step], out, 1, lambda: log.exists() and log.read_text() == "1\n")
    assert not is_done(step, out)
    assert seconds_of(step, out) > 0, "the time until it was stopped counts"


def test_the_time_of_a_step_that_was_stopped_is_added(tmp_path: Path):
    code = (
        "import pathlib, sys, time; there = pathlib.Path(sys.argv[1]); again = there.exists(); there.touch(); "
        "time.sleep(0 if again else 60)"
    )
    begun = tmp_path / "begun"
    step, out = Step("long", (sys.executable, "-c", code, str(begun))), tmp_path / "out"
    assert not run_steps([step], out, 1, begun.exists)
    before = seconds_of(step, out)
    assert run_steps([step], out, 1, never)
    assert is_done(step, out)
    assert seconds_of(step, out) > before > 0


def test_long_commands_are_seen_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("v2a.reproduce.run._SAY_S", 0.0)
    code = "import time; print('step 1/9'); print('step 2/9', flush=True); time.sleep(1)"
    assert run_steps([Step("long", (sys.executable, "-c", code))], tmp_path / "out", 1, never)
    told = capsys.readouterr().err
    assert "long: step 2/9\n" in told
    assert "step 1/9" not in told


def test_nothing_runs_on_when_a_record_cannot_be_written(tmp_path: Path):
    out, code = tmp_path / "out", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    long = Step("long", (sys.executable, "-c", code))
    short = "import pathlib, sys, time\nwhile not pathlib.Path(sys.argv[1]).read_text(): time.sleep(0.05)"
    out.mkdir()
    (out / "done").write_text("in the way")
    steps = [long, Step("short", (sys.executable, "-c", short, str(log_of(long, out))))]
    with pytest.raises(OSError, match="could not be written"):
        run_steps(steps, out, 2, never)
    with pytest.raises(ProcessLookupError):
        os.kill(int(log_of(long, out).read_text()), 0)


@pytest.mark.parametrize("record", ["", "[]", "{", '{"command": 3}'])
def test_a_broken_record_is_no_record(record: str, tmp_path: Path):
    out = tmp_path / "out"
    (out / "done").mkdir(parents=True)
    (out / "done" / "a.json").write_text(record)
    assert not is_done(writes(tmp_path, "a"), out)
