"""Folders of runs whose files are damaged: the others are shown, and what can be known of it is."""

from pathlib import Path

import pytest

from hpc import cancel, runs, status
from hpc.states import state_of, states
from tests.unit.fake_slurm import FakeSlurm
from tests.unit.runs.making import FAILED, STARTED, make_run, note_events, put_job


@pytest.mark.parametrize("damage", ["", '{"stage": "self', "[]", "[" * 100_000])
def test_a_run_whose_description_is_damaged_lives_on(
    damage: str, tmp_path: Path, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    """Whether it is active is Slurm's to say: also when its submission was killed before it wrote down the job."""
    run_dir, noted = make_run(tmp_path, "selftest-1"), make_run(tmp_path, "selftest-2", "4712")
    for folder, job_id in ((run_dir, "4711"), (noted, "4712")):
        (folder / "run.json").write_text(damage)
        put_job(fake_slurm, folder, job_id, "RUNNING")
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
        run_dir = make_run(tmp_path, name, "4711", steps=10**400)
        (run_dir / "metrics.jsonl").write_text(f'{{"step": 7, "loss": 3}}\n{line}\n{{"step": 70, "loss": 0.5}}\n')
        with (run_dir / "attempts.jsonl").open("a") as file:
            file.write(f"{line}\n")
        note_events(run_dir, STARTED, FAILED)
    assert status.main(["--runs", str(tmp_path), "--all"]) == 0
    rows = [row.split() for row in capsys.readouterr().out.splitlines()[1:]]
    assert [row[:4] for row in rows] == [[name, "failed", "70", "0.5"] for name in ("a", "b")]
    assert status.main(["--runs", str(tmp_path), "a"]) == 0
    assert runs.main(["compare", "a", "b", "--runs", str(tmp_path)]) == 0
    assert "loss from 0.5 to 3, until step 70:" in capsys.readouterr().out


def test_descriptions_that_are_damaged_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    make_run(tmp_path, "a")
    make_run(tmp_path, "b", settings=["lr", 1])
    assert runs.main(["compare", "a", "b", "--runs", str(tmp_path)]) == 1
    assert "run.json is damaged; the command that submitted it writes it anew" in capsys.readouterr().err


def test_a_record_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path: Path, fake_slurm: FakeSlurm):
    run_dir = make_run(tmp_path, "selftest-1")
    (run_dir / "attempts.jsonl").mkdir()
    assert state_of(run_dir).state == "unknown"
    assert "attempts.jsonl cannot be read (Is a directory)" in state_of(run_dir).reason
