"""`hpc.status`: one run, or two hundred, for people and for programs."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpc import logs, status
from hpc.follow import Tail, follow, say_end
from hpc.states import state_of
from tests.house.source import CHECKOUT
from tests.unit.fake_slurm import FakeSlurm
from tests.unit.runs.making import STARTED, make_run, note_events


def test_two_hundred_runs_are_two_questions(many: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert status.main(["--runs", str(many)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert _questions(fake_slurm) == ["squeue"]
    assert lines[0].split() == ["run", "state", "step", "loss", "clips/s", "wait", "left", "where"]
    assert len(lines) == 1 + 20 + 8 + 1
    assert lines[-1] == "… and 172 that ended before (--all shows them)"
    assert lines[-2].split() == ["selftest-197", "pending", "80/100", "0.125", "12.5", "25%", "t4", "Resources"]
    assert lines[21].split() == ["selftest-190", "running", "80/100", "0.125", "12.5", "25%", "0:00:10", "t4-[1-2]"]
    assert lines[20].split()[:2] == ["selftest-199", "failed"]
    assert "\x1b" not in "".join(lines)
    assert status.main(["--runs", str(many), "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 201
    for number in range(195, 200):
        fake_slurm.set(str(5000 + number), forgotten=True)
    assert status.main(["--runs", str(many)]) == 0
    assert _questions(fake_slurm)[2:] == ["squeue", "sacct"], "one more for all that Slurm's controller has forgotten"


def _questions(slurm: FakeSlurm) -> list[str]:
    """Every program of Slurm's that was started, in order."""
    return [line.split()[0] for line in (slurm.folder / "calls").read_text().splitlines()]


def test_status_for_programs(many: Path, capsys: pytest.CaptureFixture[str]):
    assert status.main(["--runs", str(many), "--json"]) == 0
    found = {one["run"]: one for one in json.loads(capsys.readouterr().out)}
    assert len(found) == 200
    running = found["selftest-190"]
    assert (running["state"], running["step"], running["steps"], running["left_s"], running["node_list"]) == (
        "running",
        80,
        100,
        10.0,
        "t4-[1-2]",
    )
    assert found["selftest-000"]["result"] == {"loss": 0.125}


def test_status_of_one_run(many: Path, capsys: pytest.CaptureFixture[str]):
    assert status.main(["--runs", str(many), "selftest-190"]) == 0
    said = capsys.readouterr().out
    assert "state        running" in said
    command = said.splitlines()[-1].split(maxsplit=1)[1]
    assert command == f"python -m hpc.logs selftest-190 --runs {many}"
    assert status.main(["--runs", str(many), "selftest-999"]) == 1
    assert "there is no run 'selftest-999' in" in capsys.readouterr().err


def test_status_names_the_command_that_shows_the_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    for runs_dir, name in (("runs", "mine"), ("it's $HOME", "yours; ls")):
        run_dir = make_run(Path(runs_dir), name)
        (run_dir / "logs").mkdir()
        (run_dir / "logs" / "local-001.out").write_text(f"words of {name}\n")
        assert status.main([str(run_dir)]) == 0
        words = shlex.split(capsys.readouterr().out.splitlines()[-1])
        assert words[1:4] == ["python", "-m", "hpc.logs"]
        assert logs.main(words[4:]) == 0
        assert capsys.readouterr().out == f"words of {name}\n"
        assert ("--runs" in words) is (runs_dir != "runs")


def test_what_a_run_says_does_not_reach_the_terminal_as_an_order(
    tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    run_dir = make_run(tmp_path, "bell\x07\x9b2J", "4711", profile="\x1b[2J")
    note_events(run_dir, STARTED, ("failed", {"error": "no r\x1b]0;owned\x07oo\u202em ü\x1b[2J\nat t4-1\r"}))
    for words in ([], [str(run_dir)]):
        assert status.main(["--runs", str(tmp_path), *words]) == 0
        said = capsys.readouterr().out
        assert all(line.isprintable() for line in said.splitlines())
        assert "no r\\x1b]0;owned\\x07oo\\u202em ü\\x1b[2J" in said
    assert follow(run_dir, Tail(run_dir)).state == "failed"
    assert say_end(state_of(run_dir)) == 1
    assert status.main(["--runs", str(tmp_path), "\x1b[2J"]) == 1
    assert logs.main(["--runs", str(tmp_path), "bell"]) == 1
    assert all(line.isprintable() for line in "".join(capsys.readouterr()).splitlines())


def test_status_for_programs_is_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_dir = make_run(tmp_path, "selftest-1")
    (run_dir / "result.json").write_text('{"loss": NaN, "psnr": Infinity, "more": [-Infinity, 1], "step": 9}')
    assert status.main(["--runs", str(tmp_path), "--json"]) == 0

    def refuse(word: str) -> None:
        raise AssertionError(word)

    (found,) = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert found["result"] == {"loss": None, "psnr": None, "more": [None, 1], "step": 9}


def test_status_without_runs_says_what_makes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert status.main(["--runs", str(tmp_path / "none")]) == 0
    assert "there are no runs in" in capsys.readouterr().out


def test_a_closed_pipe_ends_quietly(many: Path):
    command = f"{sys.executable} -m hpc.status --all --runs '{many}' | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("run ")
    assert done.stderr == ""


def test_watching_goes_on_until_ctrl_c(many: Path):
    command = [sys.executable, "-m", "hpc.status", "--runs", str(many), "--watch", "1"]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    heads = 0
    deadline = time.monotonic() + 120
    while heads < 2:
        assert time.monotonic() < deadline
        heads += process.stdout.readline().startswith("run ")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130


@pytest.mark.parametrize("seconds", ["inf", "nan", "0", "-1", "soon", "1e9"])
def test_seconds_that_cannot_be_waited_are_refused(seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        status.main(["--runs", str(tmp_path), "--watch", seconds])
    assert "expected seconds above 0, at most a day" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["hpc.status"], ["hpc.runs", "compare", "a", "b"]])
def test_a_terminal_without_a_sign_is_no_end(words: list[str], tmp_path: Path):
    for name in ("a", "b"):
        (make_run(tmp_path, name) / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n')
    for number in range(25):
        make_run(tmp_path, f"selftest-{number}")
    done = subprocess.run(
        [sys.executable, "-m", *words, "--runs", str(tmp_path)],
        cwd=CHECKOUT, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "?" in done.stdout
