"""`python -m sweeps.optuna_run`: what it checks and says before anything is started."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from sweeps import compare, optuna_run, report, trial, worker
from sweeps.command import make_command
from sweeps.opening import open_sweep
from sweeps.place import find_place
from sweeps.plan import Plan, differences
from sweeps.storage import open_storage
from tests.contracts.studies import ME
from tests.media.moving import moving_discs

TINY = ["--search", "lr=log(1e-3, 1e-1)", "stage=selftest", "steps=3"]


def run(*arguments: str, runs: Path) -> int:
    return optuna_run.main(["--cluster", "local", "--runs", str(runs), *arguments])


def test_without_arguments_it_names_the_commands_that_make_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert optuna_run.main([]) == 1
    said = capsys.readouterr().err
    assert "there is nothing to train on in data=data/clips" in said
    assert "python -m v2a.synthetic flyby" in said
    assert "python -m v2a.prepare videos=data/flyby out=data/clips preset=tiny" in said
    assert list(tmp_path.iterdir()) == []


def test_without_arguments_and_with_data_it_is_a_small_study_of_stage_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    moving_discs(tmp_path / "data" / "clips")
    assert optuna_run.main(["--dry-run", "--cluster", "local"]) == 0
    said = capsys.readouterr().out
    assert "12 trials of stage vqvae, 2 at once, as local processes" in said
    assert "preset=tiny" in said
    assert "search: quantizer.codes=choice(64, 128, 256, 512)" in said
    assert "objective: validation/psnr:maximize; sampler tpe, pruner asha" in said
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--search", "lrr=log(1e-3, 1e-1)", "stage=selftest"], "did you mean lr"),
        (["--search", "lr=log(1e-3, 2)", "stage=selftest"], "lr cannot be searched at 2.0"),
        (["--sampler", "grid", "--trials", "10", "stage=selftest"], "the grid has 15 points"),
        (
            [
                "--sampler",
                "grid",
                "--cut-grid",
                "--trials",
                "3",
                "--search",
                "steps=int(1, 1000000000000)",
                "stage=selftest",
            ],
            "the grid has 1,000,000,000,000 points (1,000,000,000,000 steps), and 100,000 is the most",
        ),
        (
            ["--sampler", "grid", "--trials", "9", "--search", "steps=int(1, 100000)", "stage=selftest"],
            "ask for --trials 100000",
        ),
        (["--sampler", "grid", "--cut-grid", "stage=selftest"], "takes --trials points of the grid's 15"),
        (["--trials", "0", *TINY], "expected --trials of at least 1"),
        (["--parallel", "0", *TINY], "expected --parallel of at least 1"),
        (["--retries", "-1", *TINY], "expected --retries of at least 0, but got -1"),
        (["--study", "a/b", *TINY], "expected a study's name"),
        (["--study", "ä" * 51, *TINY], "of at most 100 bytes, but got"),
        (["--objective", "loss", *TINY], "expected an objective like"),
        (
            ["--objective", "loss:min", "--objective", "weights:min", "--pruner", "asha", *TINY],
            "several objectives is not pruned",
        ),
        (
            ["--objective", "loss:min", "--objective", "weights:min", "--sampler", "cmaes", *TINY],
            "cmaes knows one objective",
        ),
        (["--objective", "loss:min", "--objective", "loss:min", *TINY], "loss is an objective twice"),
        (["--objective", "seed:min", *TINY], "seed is the same for every trial"),
        (["--objective", "lr:min", *TINY], "lr alone is known before a trial runs"),
        (["--seed", "-1", *TINY], "expected --seed from 0 to 2**32 - 1, but got -1"),
        (
            ["--search", "lr=log(1e-3, 1e-1, 1e999)", "stage=selftest"],
            "to be a whole number of points of a grid, but got 1e999",
        ),
        (["--profile", "nope", *TINY], "there is no profile 'nope'"),
        (["--storage", "journal:/dev/null", *TINY], "/dev/null cannot be used"),
        (["--storage", "postgresql://a:b@c/d", *TINY], "a password on the command line"),
        (["--storage", "postgresql://a@127.0.0.1:1/d", *TINY], "postgresql://a@127.0.0.1:1/d cannot be reached"),
        (["--nodes", "0", *TINY], "expected --nodes of at least 1"),
        (["--time", "soon", *TINY], "expected a time like"),
        (["--space", "missing.yaml", *TINY], "missing.yaml cannot be read"),
        (["stage=prepare"], "stage=prepare does not train; sweeps are of stage=vqvae"),
        (["stage=vqvea"], "did you mean vqvae"),
        (["lr=0.1"], "expected exactly one stage=NAME"),
        (["stage=audio"], "there is nothing to train on in data=data/clips"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_nothing_is_begun(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    for more in ([], ["--dry-run"]):
        assert run(*more, *arguments, runs=tmp_path / "runs") == 1
        captured = capsys.readouterr()
        assert captured.err.startswith("optuna_run: ")
        assert said in captured.err
        assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{a: b", "cannot be read"),
        ("- {name: lr, kind: log, low: 1e-3, high: 0.1, when: 5}", "expected the condition of lr to be text"),
        (
            "- {name: lr, kind: log, low: 1e-3, high: 0.1, points: 3.5}",
            "two points of a grid or more for lr, but got 3.5",
        ),
    ],
)
def test_a_bad_space_file_is_a_sentence(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "space.yaml").write_text(text)
    assert run("--dry-run", "--space", str(tmp_path / "space.yaml"), "stage=selftest", runs=tmp_path) == 1
    assert said in capsys.readouterr().err


def test_what_does_not_hold_is_left_out_with_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = ["--dry-run", "--search", "batch=choice(8, 16) if steps=7", *TINY]
    assert run(*given, runs=tmp_path) == 0
    assert "left out: batch=choice(8, 16) if steps=7, which does not hold" in capsys.readouterr().out


def test_a_grid_takes_all_points_when_no_number_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("--dry-run", "--sampler", "grid", "--search", "batch=choice(8, 16)", *TINY, runs=tmp_path) == 0
    assert ": 10 trials of stage selftest" in capsys.readouterr().out


@pytest.mark.parametrize("module", [optuna_run, report, compare, trial, worker])
def test_options_are_not_guessed_from_their_beginnings(module: ModuleType):
    assert not module.parser().allow_abbrev


def test_a_dry_run_says_how_the_study_stands_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    given = ["--dry-run", "--study", "mine"]
    assert run(*given, *TINY, runs=tmp_path) == 0
    assert "dry run: a new study" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    for spec in (f"journal:{tmp_path}/study.log", f"sqlite:///{tmp_path}/study.db"):
        parsed = optuna_run.parser().parse_intermixed_args(["--cluster", "local", "--runs", str(tmp_path)])
        parsed.search = TINY[1:2]
        plan = make_command(parsed, "selftest", ["steps=3"]).plan
        sweep = open_sweep(open_storage(find_place(spec, tmp_path, {})), "mine", plan)
        assert sweep.claim(tmp_path / "trials", ME, sampler="random", trials=1, seed=1) is not None
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        assert run(*given, "--storage", spec, *TINY, runs=tmp_path) == 0
        assert "goes on with the study that is there, and has 1 trials" in capsys.readouterr().out
        assert run("--dry-run", "--study", "other", "--storage", spec, *TINY, runs=tmp_path) == 0
        assert "dry run: a new study" in capsys.readouterr().out
        assert run(*given, "--storage", spec, "--search", "batch=choice(8, 16)", *TINY, runs=tmp_path) == 1
        assert "batch: not searched, not kind choice, choices [8, 16]" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_space_comes_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "my space.yaml"
    file.write_text(
        "- {name: lr, kind: log, low: 1e-3, high: 0.1}\n- {name: batch, kind: choice, choices: [8, 16], when: seed=0}\n"
    )
    assert run("--dry-run", "--space", str(file), "stage=selftest", runs=tmp_path) == 0
    said = capsys.readouterr().out
    assert "search: lr=log(0.001, 0.1)" in said
    assert "search: batch=choice(8, 16) if seed=0" in said


def test_the_same_search_has_the_same_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    names = set()
    for more in ([], ["--trials", "99"], ["--sampler", "random"], ["--search", "batch=choice(8, 16)"]):
        assert run("--dry-run", *more, *TINY, runs=tmp_path) == 0
        names.add(re.findall(r"study (\S+):", capsys.readouterr().out)[0])
    assert len(names) == 2
    assert all(name.startswith("selftest-") for name in names)


def test_the_order_of_settings_makes_no_other_study(tmp_path: Path):
    def name_of(*settings: str) -> str:
        given = optuna_run.parser().parse_args(
            ["--cluster", "local", "--runs", str(tmp_path), "--search", "lr=log(1e-3, 1e-1)"]
        )
        return make_command(given, "selftest", list(settings)).study

    assert name_of("steps=3", "batch=8") == name_of("batch=8", "steps=3") == name_of("steps=2", "batch=8", "steps=3")
    assert name_of("steps=3", "batch=8") != name_of("steps=3", "batch=16")
    there, mine = (
        Plan("selftest", settings, (), ()) for settings in (("steps=3", "batch=8"), ("batch=8", "steps=3", "seed=1"))
    )
    assert differences(there, there) == []
    assert differences(there, mine) == ["settings: seed=0, not seed=1"]
    assert differences(there, replace(mine, settings=("batch=8", "steps=3"))) == []


def test_the_data_are_found_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clips = tmp_path / "data" / "clips"
    moving_discs(clips)
    monkeypatch.chdir(tmp_path)
    given = optuna_run.parser().parse_args(["--cluster", "local", "--runs", "runs"])
    plans = [
        make_command(given, "vqvae", ["preset=tiny", "model=paper", *data]).plan
        for data in ([], ["data=data/clips"], [f"data={clips}"])
    ]
    assert plans[0] == plans[1] == plans[2]
    assert f"data={clips}" in plans[0].overrides({})
    assert "model=paper" in plans[0].overrides({}), "a group of settings is no folder"
