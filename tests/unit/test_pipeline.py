"""From videos to a page: the chain, what waits for what, and what happens when a link fails."""

import json
import os
from pathlib import Path

import pytest

from hpc import submit
from hpc.pipeline import STAGES, parse_settings
from hpc.record import append
from hpc.states import RunState
from tests.unit.fake_slurm import FakeSlurm
from tests.unit.inputs import write_clips, write_codes
from v2a.config import ConfigError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my clips (2)").mkdir()


def _pipeline(*words: str) -> int:
    return submit.main(["--nodes", "2", "pipeline", "videos=my clips (2)/", *words])


def _finish(slurm: FakeSlurm, job_id: str) -> None:
    slurm.set(job_id, state="COMPLETED")
    (run_dir,) = [path.parent for path in Path("runs").glob("*/attempts.jsonl") if f'"{job_id}"' in path.read_text()]
    (run_dir / "result.json").write_text("{}")


def _settings(job: dict[str, object]) -> dict[str, str]:
    run = json.loads((Path("runs") / str(job["flags"]["job-name"]) / "run.json").read_text())  # type: ignore[index]
    return dict(setting.split("=", 1) for setting in run["spec"]["overrides"])


def test_six_jobs_each_after_the_one_before(fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert _pipeline("preset=tiny", "vqvae.train.steps=500") == 0
    jobs = fake_slurm.jobs()
    assert [job["flags"]["job-name"].split("-")[0] for job in jobs] == list(STAGES)
    assert [job["flags"].get("dependency") for job in jobs] == [
        None,
        *(f"afterok:{number}" for number in range(4711, 4716)),
    ]
    assert all(job["flags"]["kill-on-invalid-dep"] == "yes" for job in jobs[1:])
    prepare, vqvae, codes, audio, evaluate, report = map(_settings, jobs)
    assert prepare["split.required"] == "train,test"
    assert (prepare["videos"], prepare["out"], prepare["preset"]) == ("my clips (2)/", "data/clips", "tiny")
    assert (vqvae["data"], vqvae["preset"], vqvae["train.steps"]) == ("data/clips", "tiny", "500")
    first, second = (str(Path("runs").resolve() / jobs[number]["flags"]["job-name"]) for number in (1, 3))
    assert codes["model"] == audio["model"] == first
    assert codes["out"] == audio["codes"] == evaluate["codes"] == f"data/codes-{Path(first).name}"
    assert evaluate["model"] == second
    evaluated = f"report-of-{jobs[4]['flags']['job-name']}.html"
    assert report == {"runs": f"runs/evaluation-of-{Path(second).name},{second},{first}", "page": f"runs/{evaluated}"}
    assert [job["flags"]["nodes"] for job in jobs] == ["2", "2", "2", "2", "2", "1"], "a page is one process's"
    said = capsys.readouterr().out
    assert "prepare (prepare-" in said
    assert "submitted as job 4716" in said
    assert f"the page will be: runs/{evaluated}" in said


def test_clips_with_an_empty_split_are_refused_before_anything_is_trained(
    fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    manifest = write_clips(Path("data/mine")) / "dataset.json"
    counts = {"train": {"clips": 2}, "validation": {"clips": 1}, "test": {"clips": 0}}
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "by_split": counts}))
    command = ["pipeline", "data=data/mine"]
    assert submit.main(command) == 1
    assert "data/mine has no clip in split test, which is needed here" in capsys.readouterr().err
    assert not fake_slurm.jobs()
    assert submit.main([*command, "evaluate.split=validation"]) == 0
    assert _pipeline("prepare.split.test=0") == 1
    assert "prepare: expected split.test above 0, for split test is needed" in capsys.readouterr().err
    assert _pipeline("prepare.split.test=0", "evaluate.split=validation") == 0


def test_a_page_that_is_gone_or_out_of_date_is_made_again(fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    Path("run").mkdir()
    Path("run/stage.json").write_text('{"stage": "audio"}')
    page, command = Path("page.html"), ["stage=report", "runs=run", "page=page.html"]
    assert submit.main(command) == 0
    page.write_text("made")
    _finish(fake_slurm, "4711")
    assert submit.main(command) == 0
    assert len(fake_slurm.jobs()) == 1
    Path("run/metrics.jsonl").write_text('{"step": 1}')  # it trains on
    os.utime(page, (1, 1))
    assert submit.main(command) == 0
    assert "its page is gone, or older than the runs on it: it goes on" in capsys.readouterr().err
    assert len(fake_slurm.jobs()) == 2
    page.write_text("made")
    _finish(fake_slurm, "4712")
    assert submit.main(command) == 0
    assert len(fake_slurm.jobs()) == 2
    page.unlink()
    assert submit.main(command) == 0
    assert len(fake_slurm.jobs()) == 3


def test_a_comma_in_the_folder_of_runs_is_refused_before_anything_is_trained(
    fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert submit.main(["--runs", "a,b", "pipeline", "videos=my clips (2)/"]) == 1
    assert "expected no comma in --runs of a pipeline" in capsys.readouterr().err
    assert fake_slurm.jobs() == []


def test_another_evaluation_has_another_page(fake_slurm: FakeSlurm):
    assert _pipeline() == 0
    assert _pipeline("evaluate.clips=5") == 0
    before, after = (
        [job["flags"]["job-name"] for job in jobs] for jobs in (fake_slurm.jobs()[4:6], fake_slurm.jobs()[6:])
    )
    assert len(before) == len(after) == 2
    assert set(before).isdisjoint(after)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (("failed", {"error": "no room"}), "--after first: it has failed: no room; submit it first"),
        (("gave up", {"error": "twice"}), "--after first: it has failed: twice; submit it first"),
        (("cancelled", {}), "--after first: it was cancelled; submit it first"),
    ],
)
def test_what_never_finishes_is_not_waited_for(
    event: tuple[str, dict[str, object]], said: str, fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]
):
    assert submit.main(["--name", "first", "stage=selftest"]) == 0
    later = ["--name", "later", "--after", "first", "stage=selftest"]
    append(Path("runs/first"), event[0], **event[1])
    fake_slurm.set("4711", state="FAILED")
    assert submit.main(later) == 1
    assert said in capsys.readouterr().err
    assert len(fake_slurm.jobs()) == 1
    assert submit.main(["--name", "first", "stage=selftest"]) == 0
    assert submit.main(later) == 0
    assert fake_slurm.jobs()[-1]["flags"]["dependency"] == "afterok:4712"
    assert json.loads(Path("runs/later/run.json").read_text())["after"] == [str(Path("runs/first").resolve())]


def test_the_same_again_submits_nothing_twice(fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert _pipeline() == 0
    assert _pipeline() == 0
    assert len(fake_slurm.jobs()) == 6
    assert "pending already as job 4711" in capsys.readouterr().out


def test_what_is_done_is_not_done_again(fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert _pipeline() == 0
    _finish(fake_slurm, "4711")
    write_clips(Path("data/clips"))
    for job_id in ("4712", "4713", "4714", "4715", "4716"):
        fake_slurm.set(job_id, state="CANCELLED")
    assert _pipeline() == 0
    jobs = fake_slurm.jobs()
    assert [job["flags"].get("dependency") for job in jobs[6:]] == [
        None,
        "afterok:4717",
        "afterok:4718",
        "afterok:4719",
        "afterok:4720",
    ]
    assert ": finished" in capsys.readouterr().out


def test_new_videos_are_prepared_and_trained_on_anew(fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    (Path("my clips (2)") / "a.mp4").touch()
    assert _pipeline() == 0
    _finish(fake_slurm, "4711")
    write_clips(Path("data/clips"))
    capsys.readouterr()
    assert _pipeline("--dry-run") == 0
    said = capsys.readouterr().out
    assert [line.split()[3:5] for line in said.splitlines()[:4:2]] == [["is", "finished:"], ["is", "pending:"]]
    (Path("my clips (2)") / "b.mp4").touch()
    assert _pipeline() == 0
    names = [job["flags"]["job-name"] for job in fake_slurm.jobs()]
    assert names[6] == names[0]
    assert len(set(names)) == 11, "five new runs read the new clips"
    assert fake_slurm.jobs()[7]["flags"]["dependency"] == "afterok:4717"
    (Path("my clips (2)") / "c.mp4").touch()
    assert _pipeline() == 0
    assert len(fake_slurm.jobs()) == 12, "what waits already is not joined by another"


def test_a_dry_run_shows_the_chain(fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert _pipeline("--dry-run", "preset=tiny") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[::2]] == list(STAGES)
    assert "to do: 2 ranks, slurm" in lines[0]
    assert f"to do, after {lines[0].split()[2]}: 2 ranks, slurm" in lines[2]
    assert "data=data/clips" in lines[3]
    assert fake_slurm.jobs() == []
    assert not Path("runs").exists()


def test_without_videos_it_begins_with_clips_that_are_there(fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert submit.main(["pipeline", "data=data/clips"]) == 1
    assert "submit: there is no data set at data/clips: python -m v2a.prepare" in capsys.readouterr().err
    write_clips(Path("data/clips"))
    assert submit.main(["pipeline", "data=data/clips"]) == 0
    assert len(fake_slurm.jobs()) == 5


def test_a_link_that_fails_stops_the_rest_and_is_named(
    fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def ended(run_dir: Path, _tail: object) -> RunState:
        failed = run_dir.name.startswith("vqvae")
        return RunState(
            run_dir, run_dir.name.split("-")[0], "failed" if failed else "finished", "no room" if failed else ""
        )

    monkeypatch.setattr("hpc.chain.follow", ended)
    assert _pipeline("--follow") == 1
    said = capsys.readouterr().err
    assert said.startswith("pipeline: vqvae (vqvae-")
    assert "failed: no room; stopped with it: codes, audio, evaluate, report. The same command goes on" in said
    assert [job["state"] for job in fake_slurm.jobs()] == ["PENDING", "PENDING", *["CANCELLED"] * 4]


def test_codes_of_ones_own_place(fake_slurm: FakeSlurm):
    write_clips(Path("data/clips"))
    write_codes(Path("elsewhere"))
    assert submit.main(["pipeline", "codes=elsewhere"]) == 0
    assert _settings(fake_slurm.jobs()[1])["out"] == "elsewhere"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("steps=5", "expected videos=…, data=…, codes=…, preset=… or STAGE.key=value with a stage of prepare, vqvae"),
        ("infer.seed=5", "but got 'infer.seed=5'"),
        ("vqvae.train.steps", "but got 'vqvae.train.steps'"),
        ("preset=huge", "there is no preset 'huge'"),
        ("evaluate.nonsense=1", "evaluate: there is no key 'nonsense'"),
        (
            "prepare.out=elsewhere",
            r"expected no prepare.out, for it follows from the links before; .* say videos=…, data=…, codes=…",
        ),
        ("codes.out=elsewhere", "expected no codes.out"),
        ("report.clips=-1", "report: expected clips from 0 to 1000"),
        ("report.page=x.html", "expected no report.page"),
    ],
)
def test_settings_that_no_link_has_are_refused(setting: str, message: str):
    with pytest.raises(ConfigError, match=message):
        parse_settings(["videos=x", setting])


def test_a_stages_own_settings_are_checked(fake_slurm: FakeSlurm, capsys: pytest.CaptureFixture[str]):
    assert _pipeline("vqvae.train.stepz=5", "--dry-run") == 1
    assert "submit: vqvae: there is no key 'train.stepz'; did you mean train.steps" in capsys.readouterr().err
    assert _pipeline("evaluate.nonsense=1") == 1
    assert "submit: evaluate: there is no key 'nonsense'" in capsys.readouterr().err
    assert fake_slurm.jobs() == [], "the last link is looked at before the first is submitted"
    assert submit.main(["--cluster", "debug", "pipeline", "videos=x"]) == 1
    assert "debug runs one stage" in capsys.readouterr().err
    assert submit.main(["--name", "x", "pipeline", "videos=x"]) == 1
    assert "expected no --name" in capsys.readouterr().err
