"""How runs stand, by their folders and by one question to Slurm; and the commands that show it."""

import errno
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpc import cancel, logs, runs, status
from hpc.find import find_run
from hpc.follow import Tail, follow, say_end
from hpc.job import JobError, mark_of
from hpc.record import append, attempts
from hpc.states import process_begun, state_of, states
from tests.house.source import CHECKOUT
from tests.unit.fake_slurm import FakeSlurm
from v2a.whole import write_json

_Event = tuple[str, dict[str, object]]
_STARTED: _Event = ("started", {})
_FAILED: _Event = ("failed", {"error": "no room"})


def _run(folder: Path, name: str, job_id: str | None = None, **run: object) -> Path:
    """A run's folder after its submission."""
    run_dir = folder / name
    run_dir.mkdir(parents=True)
    write_json(run_dir / "run.json", {"stage": "selftest", "steps": 100, "spec": {"restarts": 2}, **run})
    if job_id is not None:
        append(run_dir, "submitted", where="slurm", job_id=job_id)
    return run_dir


def _job(slurm: FakeSlurm, run_dir: Path, job_id: str, state: str, **fields: object) -> None:
    flags = {"job-name": run_dir.name, "comment": mark_of(run_dir), "partition": "t4", "nodes": "2"}
    text = json.dumps({"id": job_id, "state": state, "flags": flags, **fields})
    (slurm.folder / "jobs" / f"{job_id}.json").write_text(text)


def _began(run_dir: Path, *events: tuple[str, dict[str, object]]) -> None:
    for event, fields in events:
        append(run_dir, event, **fields)


@pytest.mark.parametrize(
    ("slurms", "events", "expected"),
    [
        ("PENDING", [], "pending: Priority"),
        ("RUNNING", [_STARTED], "running: "),
        ("COMPLETING", [_STARTED], "running: "),
        ("PENDING", [_STARTED, ("failed", {"error": "killed"}), ("again", {})], "pending: Priority"),
        ("FAILED", [_STARTED, _FAILED, ("gave up", {"error": "no room; twice"})], "failed: no room; twice"),
        ("TIMEOUT", [_STARTED], "failed: Slurm says TIMEOUT"),
        ("NODE_FAIL", [_STARTED], "failed: Slurm says NODE_FAIL"),
        ("CANCELLED", [_STARTED, ("stopped", {"why": "TERM"})], "cancelled: "),
        ("FAILED", [_STARTED, ("stopped", {"why": "TERM"})], "stopped: TERM"),
        ("COMPLETED", [_STARTED], "lost: Slurm says COMPLETED"),
        (None, [_STARTED], "lost: it ended, and nothing says how"),
        (None, [_STARTED, _FAILED], "failed: no room"),
        (None, [_STARTED, _FAILED, _STARTED], "lost: it ended, and nothing says how"),
        (None, [("cancelled", {})], "cancelled: "),
    ],
)
def test_the_folder_and_slurm_together(
    slurms: str | None, events: list[_Event], expected: str, tmp_path: Path, fake_slurm: FakeSlurm
):
    run_dir = _run(tmp_path, "selftest-1", "4711")
    if slurms is not None:
        _job(fake_slurm, run_dir, "4711", slurms, reason="Priority")
    _began(run_dir, *events)
    found = state_of(run_dir)
    assert f"{found.state}: {found.reason}" == expected
    assert found.job_id == "4711"
    assert found.is_active is expected.startswith(("pending", "running"))


def test_waiting_for_another_process_is_no_restart(tmp_path: Path, fake_slurm: FakeSlurm):
    run_dir = _run(tmp_path, "selftest-1", "4711")
    _began(run_dir, *([_STARTED, ("failed", {"busy": True, "rank": 0})] * 3), _STARTED, _FAILED, _STARTED)
    assert state_of(run_dir).restarts == 1


def test_a_result_is_the_end_whatever_slurm_says(tmp_path: Path, fake_slurm: FakeSlurm):
    run_dir = _run(tmp_path, "selftest-1", "4711")
    _job(fake_slurm, run_dir, "4711", "FAILED")
    write_json(run_dir / "result.json", {"loss": 0.5})
    assert state_of(run_dir).state == "finished"
    assert state_of(run_dir).result == {"loss": 0.5}
    assert fake_slurm.calls("squeue") == []


def test_a_job_of_the_same_number_may_be_another_runs(tmp_path: Path, fake_slurm: FakeSlurm):
    """A cluster that was set up anew counts from one again."""
    run_dir, other = _run(tmp_path, "selftest-1", "4711"), _run(tmp_path / "others", "selftest-1")
    _job(fake_slurm, other, "4711", "RUNNING")
    assert state_of(run_dir).state == "lost"


def test_a_run_is_known_by_any_way_to_its_folder(
    tmp_path: Path, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
):
    run_dir = _run(tmp_path, "selftest-1", "4711")
    _job(fake_slurm, run_dir, "4711", "RUNNING")
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert state_of(Path("selftest-1")).state == state_of(tmp_path / "link" / "selftest-1").state == "running"


def test_a_run_of_a_batch_script_is_a_run_too(
    tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    run_dir = tmp_path / "runs" / "mine"
    run_dir.mkdir(parents=True)
    write_json(run_dir / "config.json", {"stage": "vqvae"})
    append(run_dir, "submitted", where="slurm", job_id="4711", job_name="v2a-vqvae")
    job = {"id": "4711", "state": "RUNNING", "flags": {"job-name": "v2a-vqvae"}}
    (fake_slurm.folder / "jobs" / "4711.json").write_text(json.dumps(job))
    assert status.main(["--runs", str(tmp_path / "runs")]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["mine", "running"]
    assert state_of(run_dir).stage == "vqvae"


def test_accounting_remembers_what_the_controller_forgot(tmp_path: Path, fake_slurm: FakeSlurm):
    run_dir = _run(tmp_path, "selftest-1", "4711")
    (fake_slurm.folder / "sacct").write_text("4711|TIMEOUT|0:0|2026-11-30T00:00:00|t4|2|t4-[1-2]|selftest-1\n")
    assert state_of(run_dir).reason == "Slurm says TIMEOUT"
    (fake_slurm.folder / "sacct").write_text("4711|CANCELLED by 0|0:0|Unknown|t4|2|None assigned|selftest-1\n")
    assert state_of(run_dir).state == "cancelled"


def test_without_slurm_nothing_is_guessed(tmp_path: Path, fake_slurm: FakeSlurm):
    run_dir = _run(tmp_path, "selftest-1", "4711")
    (fake_slurm.folder / "down").touch()
    assert (state_of(run_dir).state, state_of(run_dir).reason) == ("unknown", "Slurm does not answer")
    assert state_of(tmp_path / "missing").state == "none"


@pytest.mark.parametrize("damage", ["", '{"stage": "self', "[]", "[" * 100_000])
def test_a_run_whose_description_is_damaged_lives_on(
    damage: str, tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    """Whether it is active is Slurm's to say: also when its submission was killed before it wrote down the job."""
    run_dir, noted = _run(tmp_path, "selftest-1"), _run(tmp_path, "selftest-2", "4712")
    for folder, job_id in ((run_dir, "4711"), (noted, "4712")):
        (folder / "run.json").write_text(damage)
        _job(fake_slurm, folder, job_id, "RUNNING")
    found = states([run_dir, noted])
    assert [(one.state, one.job_id) for one in found.values()] == [("running", "4711"), ("running", "4712")]
    assert cancel.main([str(run_dir)]) == 0
    assert fake_slurm.calls("scancel") == ["scancel 4711"]
    fake_slurm.set("4712", state="FAILED")
    assert (state_of(noted).state, state_of(noted).reason) == (
        "failed",
        "Slurm says FAILED; run.json cannot be read; the command that submitted it writes it anew",
    )


@pytest.mark.parametrize(
    "line",
    [
        "[" * 200_000,
        '{"step": ' * 100_000,
        f'{{"step": 1{"0" * 400}, "loss": 9}}',
        f'{{"step": {"9" * 5000}, "loss": 9}}',
        '{"step": NaN, "loss": 9}',
        '{"step": "many", "loss": 9}',
        '{"step": 70, "step_ms": 1e308, "lr": 1e999}',
        '{"event": ["cancelled"], "step": null}',
    ],
    ids=lambda line: line[:12],
)
def test_a_line_that_is_damaged_is_passed_over(
    line: str, tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    """In one run, and all of them are to be shown."""
    for name in ("a", "b"):
        run_dir = _run(tmp_path, name, "4711", steps=10**400)
        (run_dir / "metrics.jsonl").write_text(f'{{"step": 7, "loss": 3}}\n{line}\n{{"step": 70, "loss": 0.5}}\n')
        with (run_dir / "attempts.jsonl").open("a") as file:
            file.write(f"{line}\n")
        _began(run_dir, _STARTED, _FAILED)
    assert status.main(["--runs", str(tmp_path), "--all"]) == 0
    rows = [row.split() for row in capsys.readouterr().out.splitlines()[1:]]
    assert [row[:4] for row in rows] == [[name, "failed", "70", "0.5"] for name in ("a", "b")]
    assert status.main(["--runs", str(tmp_path), "a"]) == 0
    assert runs.main(["compare", "a", "b", "--runs", str(tmp_path)]) == 0
    assert "loss from 0.5 to 3, until step 70:" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000, "null\0byte"])
def test_names_that_no_folder_can_have(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert status.main(["--runs", str(tmp_path), name]) == 1
    assert "there is no run" in capsys.readouterr().err


def test_descriptions_that_are_damaged_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    _run(tmp_path, "a")
    _run(tmp_path, "b", settings=["lr", 1])
    assert runs.main(["compare", "a", "b", "--runs", str(tmp_path)]) == 1
    assert "run.json is damaged; the command that submitted it writes it anew" in capsys.readouterr().err


def test_a_record_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path, fake_slurm: FakeSlurm):
    run_dir = _run(tmp_path, "selftest-1")
    (run_dir / "attempts.jsonl").mkdir()
    assert state_of(run_dir).state == "unknown"
    assert "attempts.jsonl cannot be read (Is a directory)" in state_of(run_dir).reason


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_broken_link_is_named_by_what_waited_for_it(forgotten: bool, tmp_path: Path, fake_slurm: FakeSlurm):
    first = _run(tmp_path, "prepare-1", "4711")
    second = _run(tmp_path, "vqvae-1", "4712", after=[str(first)])
    third = _run(tmp_path, "codes-1", "4713", after=[str(second), "/nowhere", "x" * 999, "\0", None, 7])
    alone = _run(tmp_path, "alone", "4714", after=[str(tmp_path / "alone")])
    _began(first, _STARTED, _FAILED, ("gave up", {"error": "no room; twice"}))
    for number, run_dir in enumerate((first, second, third, alone)):
        _job(fake_slurm, run_dir, str(4711 + number), "CANCELLED" if number else "FAILED", forgotten=forgotten)
    for run_dir in (second, third):
        found = state_of(run_dir)
        assert (found.state, found.reason) == (
            "cancelled",
            "it waited for prepare-1, which has failed: no room; twice",
        )
    assert fake_slurm.calls("squeue") == fake_slurm.calls("squeue")[:2], "one question for each that was asked about"
    assert "waited for prepare-1" not in state_of(alone).reason
    append(third, "cancelled", why="hpc.cancel")
    assert (state_of(third).state, state_of(third).reason) == ("cancelled", "")
    _began(second, _STARTED)
    assert "waited" not in state_of(second).reason, "it did begin"


def test_a_local_run_lives_as_long_as_its_supervisor(tmp_path: Path):
    run_dir = _run(tmp_path, "selftest-1")
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    here = {"where": "local", "host": socket.gethostname(), "pid": process.pid, "begun": process_begun(process.pid)}
    append(run_dir, "submitted", **here)
    assert state_of(run_dir).state == "running"
    assert cancel.main([str(run_dir)]) == 0
    assert process.wait(timeout=60) == -signal.SIGTERM
    assert state_of(run_dir).state == "cancelled"
    append(run_dir, "submitted", **{**here, "pid": os.getpid(), "begun": "1"})
    assert state_of(run_dir).state == "lost", "another process has its number now"
    append(run_dir, "submitted", **{**here, "host": "elsewhere"})
    assert state_of(run_dir).state == "unknown"
    append(run_dir, "failed", error="no room")
    assert state_of(run_dir).reason == "no room"


@pytest.fixture
def many(tmp_path: Path, fake_slurm: FakeSlurm) -> Path:
    """Two hundred runs: most have finished, some run, wait, or broke."""
    folder = tmp_path / "runs"
    for number in range(200):
        run_dir = _run(folder, f"selftest-{number:03d}", str(5000 + number))
        lines = [
            json.dumps({"step": 10 * n, "loss": 1 / n, "clips_per_s": 12.5, "data_wait": 0.25, "step_ms": 500})
            for n in range(1, 9)
        ]
        (run_dir / "metrics.jsonl").write_text("\n".join(lines) + "\n")
        if number < 190:
            write_json(run_dir / "result.json", {"loss": 0.125})
            continue
        append(run_dir, "started")
        state = "RUNNING" if number < 195 else "PENDING" if number < 198 else "TIMEOUT"
        _job(
            fake_slurm, run_dir, str(5000 + number), state, nodes="t4-[1-2]" if number < 195 else "", reason="Resources"
        )
    return folder


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
        run_dir = _run(Path(runs_dir), name)
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
    run_dir = _run(tmp_path, "bell\x07\x9b2J", "4711", profile="\x1b[2J")
    _began(run_dir, _STARTED, ("failed", {"error": "no r\x1b]0;owned\x07oo\u202em ü\x1b[2J\nat t4-1\r"}))
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
    run_dir = _run(tmp_path, "selftest-1")
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


def test_runs_are_found_by_what_people_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    one, two = _run(tmp_path / "runs", "vqvae-12ab"), _run(tmp_path / "runs", "vqvae-34cd")
    monkeypatch.chdir(tmp_path)
    assert find_run(Path("runs"), "vqvae-12ab") == find_run(Path("elsewhere"), "runs/vqvae-12ab") == one
    assert find_run(Path("runs"), "vqvae-3") == two
    for name, said in (
        ("vqvae", "several runs begin with 'vqvae': vqvae-12ab, vqvae-34cd"),
        ("vqvae-12ac", "there are: vqvae-12ab"),
        ("", "there is no run ''"),
    ):
        with pytest.raises(JobError, match=said):
            find_run(Path("runs"), name)
    with pytest.raises(JobError, match=r"there are none; python -m hpc.submit makes one"):
        find_run(Path("elsewhere"), "x")


def test_cancel_says_what_it_did(tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    run_dir = _run(tmp_path, "selftest-1", "4711")
    _job(fake_slurm, run_dir, "4711", "RUNNING")
    assert cancel.main(["--runs", str(tmp_path), "selftest-1"]) == 0
    assert "selftest-1 was running, and is cancelled" in capsys.readouterr().out
    assert fake_slurm.jobs()[0]["state"] == "CANCELLED"
    assert attempts(run_dir)[-1]["event"] == "cancelled"
    assert cancel.main(["--runs", str(tmp_path), "selftest-1", "selftest-2"]) == 1
    captured = capsys.readouterr()
    assert "selftest-1 is cancelled already; nothing to cancel" in captured.out
    assert "cancel: there is no run 'selftest-2'" in captured.err
    assert len(fake_slurm.calls("scancel")) == 1


def test_a_full_disk_keeps_nothing_from_being_cancelled(
    tmp_path: Path, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run_dir = _run(tmp_path, "selftest-1", "4711")
    _job(fake_slurm, run_dir, "4711", "RUNNING")
    monkeypatch.setattr("hpc.record.os.write", full)
    assert cancel.main(["--runs", str(tmp_path), "selftest-1"]) == 0
    assert fake_slurm.jobs()[0]["state"] == "CANCELLED"
    assert "its record could not be written ([Errno 28] No space left on device)" in capsys.readouterr().err


def test_a_cancellation_that_slurm_refuses_is_none(
    tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    run_dir = _run(tmp_path, "selftest-1", "4711")
    _job(fake_slurm, run_dir, "4711", "RUNNING")
    (fake_slurm.folder / "deny").write_text("scancel: error: Kill job error on job id 4711: Access/permission denied")
    assert cancel.main(["--runs", str(tmp_path), "selftest-1"]) == 1
    assert "Access/permission denied" in capsys.readouterr().err
    fake_slurm.set("4711", state="FAILED")
    _began(run_dir, _STARTED, _FAILED)
    assert (state_of(run_dir).state, state_of(run_dir).reason) == ("failed", "no room")


def test_logs_of_a_rank(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_dir = _run(tmp_path, "selftest-1", "9")
    assert logs.main(["--runs", str(tmp_path), "selftest-1"]) == 1
    assert "has no output of rank 0 yet" in capsys.readouterr().err
    (run_dir / "submitit").mkdir()
    for job_id in ("9", "10"):
        for rank in (0, 1):
            (run_dir / "submitit" / f"{job_id}_{rank}_log.out").write_text(f"job {job_id} rank {rank}\n")
    assert logs.main(["--runs", str(tmp_path), "selftest-1"]) == 0
    assert capsys.readouterr().out == "job 9 rank 0\njob 10 rank 0\n"
    assert logs.main(["--runs", str(tmp_path), "selftest-1", "--rank", "1"]) == 0
    assert capsys.readouterr().out == "job 9 rank 1\njob 10 rank 1\n"


def test_following_logs_ends_with_the_run(tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    run_dir = _run(tmp_path, "selftest-1", "4711")
    _job(fake_slurm, run_dir, "4711", "FAILED")
    (run_dir / "submitit").mkdir()
    (run_dir / "submitit" / "4711_0_log.out").write_text("its last words\n")
    assert logs.main(["--runs", str(tmp_path), "selftest-1", "--follow"]) == 0
    assert capsys.readouterr().out.splitlines() == ["[4711] failed", "its last words"]


def test_two_runs_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for name, lr in (("a", 0.1), ("b", 0.2)):
        run_dir = _run(tmp_path, name, settings={"train": {"lr": lr, "steps": 100}, "seed": 1})
        lines = [json.dumps({"step": n, "loss": lr * (100 - n)}) for n in range(1, 101)]
        (run_dir / "metrics.jsonl").write_text("\n".join(lines))
        write_json(run_dir / "result.json", {"loss": lr})
    assert runs.main(["compare", "a", "b", "--runs", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["settings that differ:", "  train.lr  0.1  |  0.2"]
    assert "loss from 0 to 19.8, until step 100:" in said
    curve = next(line.split()[1] for line in said if line.startswith("  b "))
    assert (curve[0], curve[-1], len(curve)) == ("█", "▁", 48)
    rows = [line.split() for line in said]
    assert ["1", "9.9", "19.8"] in rows
    assert ["100", "0", "0"] in rows
    assert ["loss", "0.1", "0.2"] in rows
    assert runs.main(["compare", "a", "b", "--metric", "psnr", "--runs", str(tmp_path)]) == 1
    assert "neither run has 'psnr'; they have: loss" in capsys.readouterr().err


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


def test_many_states_are_one_question(many: Path, fake_slurm: FakeSlurm):
    found = states(sorted(many.iterdir()))
    assert sum(state.state == "finished" for state in found.values()) == 190
    assert len(fake_slurm.calls("squeue")) == 1


def test_runs_of_batch_scripts_are_compared_by_what_their_workers_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name, overrides, ranks in (("a", ["train.lr=1e-3"], 4), ("b", ["train.lr=1e-5", "model=paper"], 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(
            json.dumps({"stage": "vqvae", "overrides": overrides, "world_size": ranks})
        )
        (tmp_path / name / "attempts.jsonl").write_text('{"event": "started", "time": 1.0}\n')
        (tmp_path / name / "metrics.jsonl").write_text(
            '{"step": 1, "loss": 2.0}\n{"step": NaN, "loss": 1.0}\n{"step": 2, "loss": 1' + "0" * 400 + "}\n"
        )
    assert runs.main(["compare", "a", "b", "--runs", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert [line.split() for line in said.splitlines()[1:4]] == [
        ["model", "(none)", "|", "paper"], ["train.lr", "1e-3", "|", "1e-5"], ["world_size", "4", "|", "2"],
    ]  # fmt: skip
    assert "loss from 2 to 2, until step 1" in said


@pytest.mark.parametrize("seconds", ["inf", "nan", "0", "-1", "soon", "1e9"])
def test_seconds_that_cannot_be_waited_are_refused(seconds: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        status.main(["--runs", str(tmp_path), "--watch", seconds])
    assert "expected seconds above 0, at most a day" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["hpc.status"], ["hpc.runs", "compare", "a", "b"]])
def test_a_terminal_without_a_sign_is_no_end(words: list[str], tmp_path: Path):
    for name in ("a", "b"):
        (_run(tmp_path, name) / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n')
    for number in range(25):
        _run(tmp_path, f"selftest-{number}")
    done = subprocess.run(
        [sys.executable, "-m", *words, "--runs", str(tmp_path)],
        cwd=CHECKOUT, env={**os.environ, "PYTHONIOENCODING": "ascii"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "?" in done.stdout
