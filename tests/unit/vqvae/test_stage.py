"""The stage as its users meet it: a run folder, the same command again, and sentences for what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.media.moving import TINY, moving_discs
from tests.unit.vqvae.runs import SMALL, context, small
from v2a.shards.manifest import write_manifest
from v2a.shards.splits import Splits
from v2a.stages import run_stage
from v2a.training.checkpoint import CheckpointError
from v2a.training.stamp import read_stamp
from v2a.vqvae.__main__ import main


@pytest.fixture(scope="module")
def finished(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A run that went to its end."""
    out = tmp_path_factory.mktemp("run") / "run"
    return out, run_stage("vqvae", small(discs), context(out))


def test_a_run_leaves_its_records(finished: tuple[Path, dict[str, float]]):
    out, metrics = finished
    assert sorted(path.name for path in out.iterdir() if path.name != ".training.lock") == [
        "checkpoints", "metrics.jsonl", "pictures", "stage.json", "tensorboard", "test.json",
    ]  # fmt: skip
    assert metrics["step"] == 12
    assert 0 < metrics["test/ssim"] <= 1
    assert metrics["validation/psnr"] > 5
    assert metrics["test/clips"] + metrics["validation/clips"] < 20
    assert 0 < metrics["epoch/usage"] <= 1
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert {"loss", "psnr", "usage", "perplexity", "clips_per_s", "step_ms", "data_wait"} <= set(lines[0])


def test_pictures_and_curves_can_be_looked_at(finished: tuple[Path, dict[str, float]]):
    out, _ = finished
    with Image.open(out / "pictures" / "video.gif") as video:
        assert (video.n_frames, video.size) == (20, (3 * 64, 36))
    with Image.open(out / "pictures" / "codes.png") as codes:
        assert codes.size == (64, 36)
    board = EventAccumulator(str(out / "tensorboard"))
    board.Reload()
    assert {"loss", "psnr", "validation/ssim", "epoch/usage"} <= set(board.Tags()["scalars"])
    assert sorted(board.Tags()["images"]) == ["codes", "error", "frame", "reconstruction", "video"]
    assert [event.step for event in board.Scalars("validation/psnr")] == [6, 12]
    assert board.Images("video")[-1].encoded_image_string.startswith(b"GIF8")


def test_the_same_command_again_trains_nothing_and_says_the_same(discs: Path, finished: tuple[Path, dict[str, float]]):
    out, metrics = finished
    before = (out / "metrics.jsonl").read_text()
    assert run_stage("vqvae", small(discs), context(out)) == metrics
    assert (out / "metrics.jsonl").read_text() == before


def test_the_test_is_of_the_weights_that_are_there(discs: Path, tmp_path: Path):
    """The advice for damaged checkpoints is to remove them and begin anew."""
    first = run_stage("vqvae", small(discs), context(tmp_path / "one"))
    shutil.rmtree(tmp_path / "one" / "checkpoints")
    again = run_stage("vqvae", small(discs, "train.lr=1e-2"), context(tmp_path / "one"))
    fresh = run_stage("vqvae", small(discs, "train.lr=1e-2"), context(tmp_path / "two"))
    assert again["test/psnr"] == fresh["test/psnr"] != first["test/psnr"]
    fewer = run_stage("vqvae", small(discs, "train.lr=1e-2", "train.steps=6"), context(tmp_path / "two"))
    assert fewer["test/psnr"] == fresh["test/psnr"]
    assert json.loads((tmp_path / "two" / "test.json").read_text())["step"] == 12 == fewer["step"]


def test_a_stopped_run_says_so_and_tests_nothing(discs: Path, tmp_path: Path):
    asked = iter([False] * 3)
    metrics = run_stage("vqvae", small(discs), context(tmp_path, lambda: next(asked, True)))
    assert (metrics["step"], metrics["stopped"]) == (3, 1)
    assert not [name for name in metrics if name.startswith("test/")]
    assert [path.name for path in (tmp_path / "checkpoints").glob("*.pt")] == ["step-00000003.pt"]


def test_another_network_in_the_same_folder_is_refused(discs: Path, finished: tuple[Path, dict[str, float]]):
    out, _ = finished
    with pytest.raises(
        ValueError, match=r"holds a run with model.dim=16; go on with the same settings, or choose another"
    ):
        run_stage("vqvae", small(discs, "model.dim=4"), context(out))
    stamp = read_stamp(out)
    assert stamp is not None
    assert stamp["config"]["model"]["dim"] == 16
    assert stamp["geometry"] == TINY.as_dict()


def test_another_loss_in_the_same_folder_is_refused(discs: Path, finished: tuple[Path, dict[str, float]]):
    """Its scores could not be compared with those of the checkpoints that are there."""
    with pytest.raises(ValueError, match=r"holds a run with loss_scale=0.1; go on with the same settings"):
        run_stage("vqvae", small(discs, "loss_scale=10"), context(finished[0]))


def test_a_resume_says_what_is_otherwise_now(discs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run_stage("vqvae", small(discs, "train.steps=3"), context(tmp_path))
    capsys.readouterr()
    run_stage("vqvae", small(discs, "train.steps=5", "train.weight_decay=0"), context(tmp_path))
    said = capsys.readouterr().out
    assert "train.steps was 3 in this run, and is 5 from now on" in said
    assert "train.weight_decay was 0.01 in this run, and is 0.0 from now on" in said
    assert "going on from step 3" in said


def test_other_clips_in_the_same_folder_are_refused(finished: tuple[Path, dict[str, float]], tmp_path: Path):
    out, _ = finished
    stamp = (out / "stage.json").read_bytes()
    with pytest.raises(ValueError, match="belongs to another order"):
        run_stage("vqvae", small(moving_discs(tmp_path, seed=1)), context(out))
    assert (out / "stage.json").read_bytes() == stamp


def test_another_seed_in_the_same_folder_is_refused_and_leaves_no_trace(
    discs: Path, finished: tuple[Path, dict[str, float]], capsys: pytest.CaptureFixture[str]
):
    """train.steps is above what is done: the run would go on."""
    out, _ = finished
    before = {path: path.read_bytes() for path in out.glob("*.json*")}
    with pytest.raises(ValueError, match="belongs to another order: the seed was 0 and is 1"):
        run_stage("vqvae", small(discs, "train.seed=1", "train.steps=20"), context(out))
    assert {path: path.read_bytes() for path in out.glob("*.json*")} == before
    assert "from now on" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        (["model.dim=4"], r"its encoder\.\S+ is of shape \[16, .*\], this one's of \[4, .*\], and [0-9]+ more differ"),
        (["model=residual"], r"it has no encoder\.linear, and [0-9]+ more differ"),
        (["quantizer=gradient"], r"it has quantizer\.\w+"),
    ],
)
def test_a_checkpoint_of_another_network_is_refused_in_a_sentence(
    discs: Path, finished: tuple[Path, dict[str, float]], tmp_path: Path, changes: list[str], difference: str
):
    """In a folder whose stage.json is gone."""
    shutil.copytree(finished[0], tmp_path / "run", ignore=shutil.ignore_patterns("stage.json"))
    sentence = (
        f"this checkpoint is of another network: {difference}.*; go on with the run's own settings or choose another"
    )
    with pytest.raises(CheckpointError, match=sentence) as caught:
        run_stage("vqvae", small(discs, *changes), context(tmp_path / "run"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "stage.json").exists()


def test_less_steps_than_are_done_are_nothing_to_do(
    finished: tuple[Path, dict[str, float]], discs: Path, capsys: pytest.CaptureFixture[str]
):
    out, metrics = finished
    before = {path: path.read_bytes() for path in out.glob("*.json*")}
    assert main([f"data={discs}", *SMALL, "train.steps=6", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "already at step 12, beyond train.steps=6; nothing to do" in said
    assert f"psnr {metrics['test/psnr']:.4g}" in said
    for wrong in ("finished", "going on", "from now on"):
        assert wrong not in said
    assert {path: path.read_bytes() for path in out.glob("*.json*")} == before


def test_a_damaged_stamp_is_named(finished: tuple[Path, dict[str, float]], tmp_path: Path):
    (tmp_path / "stage.json").write_text((finished[0] / "stage.json").read_text()[:50])
    with pytest.raises(ValueError, match=r"stage.json is damaged .*; remove it"):
        read_stamp(tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (["data=nowhere"], "nowhere"),
        (["model.strides=4x8x8"], "expected height a multiple of 8"),
        (["crop=6"], "expected crop a multiple of 4, the model's stride in time"),
        (["crop=40"], "expected crops of 1 to 20 frames"),
        (["loss_scale=0"], "expected loss_scale above 0"),
        (["train.lrr=1"], "did you mean train.lr"),
        (["model=papier"], "expected model.name to be paper or residual"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    discs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: list[str], sentence: str
):
    assert main(["preset=tiny", "model=paper", f"data={discs}", *changes, "--out", str(tmp_path / "run")]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


@pytest.mark.parametrize("below", ["", "run"])
@pytest.mark.parametrize("how", ["", "--dry-run"])
def test_a_run_folder_that_is_a_file_is_said(
    discs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], below: str, how: str
):
    file = tmp_path / "a file; $HOME"
    file.write_text("mine")
    assert main([f"data={discs}", *SMALL, *how.split(), "--out", str(file / below)]) == 1
    assert f"vqvae: {file} is a file, and a folder is to be there; move it away, or choose" in capsys.readouterr().err
    assert file.read_text() == "mine"


def test_a_folder_where_a_file_is_to_be_is_said(discs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "metrics.jsonl").mkdir()
    assert main([f"data={discs}", *SMALL, "--out", str(tmp_path)]) == 1
    assert "metrics.jsonl is a folder, and a file is to be there; move it away" in capsys.readouterr().err


def test_a_split_without_clips_is_no_hindrance(tmp_path: Path):
    data = moving_discs(tmp_path / "clips", clips=1)
    metrics = run_stage("vqvae", small(data, "train.steps=2"), context(tmp_path / "run"))
    assert metrics["step"] == 2
    assert metrics["test/clips"] == 0


def test_without_a_validation_split_the_test_shows_its_pictures(tmp_path: Path):
    """Of few videos none are put aside for validation; what the page shows of the network is the paper's figure all the same."""
    data = moving_discs(tmp_path / "clips", clips=8)
    write_manifest(data, TINY, {}, Splits(0.0, 0.4))
    out = tmp_path / "run"
    assert run_stage("vqvae", small(data, "train.steps=2"), context(out))["test/clips"] > 0
    shown = {path.name: path.stat().st_mtime_ns for path in (out / "pictures").iterdir()}
    assert shown.keys() >= {"frame.png", "reconstruction.png", "codes.png", "video.gif"}
    run_stage("vqvae", small(data, "train.steps=2"), context(out))
    assert {path.name: path.stat().st_mtime_ns for path in (out / "pictures").iterdir()} == shown, "drawn once"


def test_a_dry_run_writes_nothing(discs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--dry-run", "preset=tiny", f"data={discs}", "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert "codes of a clip: 5x9x8" in said
    assert "the codebook starts from k-means of 16,384 encodings" in said
    assert list(tmp_path.iterdir()) == []
    assert main(["--dry-run", "preset=tiny", f"data={discs}", "quantizer.codes=8192"]) == 0
    assert "the codebook starts from k-means of 262,144 encodings" in capsys.readouterr().out
