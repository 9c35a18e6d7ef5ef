"""What a stage reads is looked for before a job waits in a queue."""

import json
import shutil
from pathlib import Path

import pytest

from tests.unit.inputs import GEOMETRY, write_clips, write_inputs
from v2a.config import ConfigError
from v2a.inputs import read_dataset
from v2a.stages import check_inputs, load_config, stage_names


def _check(stage: str, *settings: str, made_before: tuple[str, ...] = ()) -> None:
    check_inputs(stage, load_config(stage, settings), made_before)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("stage", "gone", "message"),
    [
        (
            "vqvae",
            "data/clips",
            "there is no data set at data/clips: python -m v2a.prepare videos=DIR out=data/clips makes one",
        ),
        ("codes", "data/clips", "there is no data set at data/clips"),
        ("codes", "runs/vqvae", "there is no model at runs/vqvae: python -m v2a.vqvae trains one"),
        ("audio", "models/vqvae", "there is no model at models/vqvae: python -m v2a.vqvae trains one"),
        (
            "audio",
            "data/codes",
            "there are no codes at data/codes: python -m v2a.codes model=models/vqvae data=data/clips out=data/codes",
        ),
        ("evaluate", "data/codes", "there are no codes at data/codes: python -m v2a.codes model=MODEL"),
        ("infer", "models/audio", "there is no model at models/audio: python -m v2a.audio trains one"),
        ("infer", "my clips (2)", r"there are no videos at my clips \(2\): say videos=PATH"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_makes_it(stage: str, gone: str, message: str):
    write_inputs(Path())
    settings = ["videos=my clips (2)"] if stage == "infer" else []
    _check(stage, *settings)
    shutil.rmtree(gone)
    with pytest.raises(ConfigError, match=message):
        _check(stage, *settings)


def test_every_stage_passes_when_all_is_there():
    write_inputs(Path())
    for stage in stage_names():
        more = {"prepare": ["videos=my clips (2)"], "infer": ["videos=my clips (2)"], "report": ["runs=sounds"]}
        _check(stage, *more.get(stage, []))
    assert read_dataset("data/clips")["geometry"]["width"] == 256


def test_what_an_earlier_job_makes_is_not_looked_for():
    _check("audio", made_before=("data", "model", "codes"))
    with pytest.raises(ConfigError, match="there is no model at models/vqvae"):
        _check("audio", made_before=("data", "codes"))


@pytest.mark.parametrize(
    ("breaking", "message"),
    [
        (
            lambda f: (f / "clips-1.h5").unlink(),
            r"data is not whole: clips-1.h5 is missing. .*python -m v2a.shards index data",
        ),
        (lambda f: (f / "clips-0.h5").write_bytes(b"x"), "clips-0.h5 has 1 bytes instead of 10"),
        (lambda f: (f / "dataset.json").unlink(), "data has no dataset.json: python -m v2a.shards index data"),
        (lambda f: (f / "dataset.json").write_text("{"), "dataset.json cannot be read"),
        (lambda f: (f / "dataset.json").write_text("[]"), "dataset.json cannot be read"),
        (lambda f: (f / "dataset.json").write_bytes(b"\xff\x00"), "dataset.json cannot be read"),
        (lambda f: (f / "dataset.json").write_text('{"geometry": {}, "shards": []}'), "dataset.json cannot be read"),
    ],
)
def test_a_data_set_that_is_not_whole_is_refused(breaking, message: str):
    breaking(write_clips(Path("data")))
    with pytest.raises(ConfigError, match=message):
        _check("vqvae", "data=data")


def test_a_geometry_that_does_not_fit_is_refused():
    write_clips(Path("data"), width=250)
    with pytest.raises(
        ConfigError, match=r"the clips of data \(250x144.* do not fit the model's strides: expected width a multiple"
    ):
        _check("vqvae", "data=data")
    write_clips(Path("short"), segment_s=1.0)
    with pytest.raises(ConfigError, match="crop=20 is longer than the clips of short, which have 10 frames"):
        _check("vqvae", "data=short")


def test_nothing_to_train_on_is_refused():
    write_clips(Path("data"))
    manifest = json.loads(Path("data/dataset.json").read_text())
    Path("data/dataset.json").write_text(json.dumps({**manifest, "by_split": {"train": {"clips": 0}}}))
    with pytest.raises(ConfigError, match="data has no clip to train on"):
        _check("vqvae", "data=data")


@pytest.mark.parametrize("empty", ["train", "test"])
def test_an_evaluation_of_an_empty_split_is_refused(empty: str):
    write_clips(Path("data"))
    manifest = json.loads(Path("data/dataset.json").read_text())
    counts = {name: {"clips": 0 if name == empty else 2} for name in ("train", "validation", "test")}
    Path("data/dataset.json").write_text(json.dumps({**manifest, "by_split": counts}))
    with pytest.raises(ConfigError, match=f"data has no clip in split {empty}, which is needed here"):
        _check("evaluate", "data=data", made_before=("model", "codes"))
    if empty == "test":
        _check("evaluate", "data=data", "split=validation", made_before=("model", "codes"))
        _check("codes", "data=data", made_before=("model",))


def test_a_model_of_another_stage_is_refused():
    write_inputs(Path())
    with pytest.raises(ConfigError, match="expected a model of stage vqvae, but models/audio is of stage audio"):
        _check("codes", "model=models/audio")
    Path("models/vqvae/config.json").write_text("{}")
    with pytest.raises(
        ConfigError, match=r"models/vqvae holds neither a run of a training stage nor an exported model"
    ):
        _check("audio")


def test_a_model_of_other_clips_is_refused():
    write_inputs(Path())
    geometry = {**GEOMETRY, "width": 32, "height": 16}
    Path("models/vqvae/config.json").write_text(json.dumps({"stage": "vqvae", "geometry": geometry}))
    for stage in ("codes", "audio"):
        with pytest.raises(
            ConfigError, match=r"models/vqvae is a model of clips of 32x16, .* but those of data/clips are 256x144"
        ):
            _check(stage, "model=models/vqvae")
    Path("models/vqvae/config.json").write_text(json.dumps({"stage": "vqvae", "geometry": GEOMETRY}))
    _check("codes", "model=models/vqvae")


def test_an_output_that_cannot_be_made_is_refused():
    write_inputs(Path())
    Path("file").touch()
    with pytest.raises(ConfigError, match=r"file/x cannot be made: .*file is a file; choose another out=DIR"):
        _check("codes", "out=file/x", "model=models/vqvae")


def test_codes_without_a_byte_are_none():
    write_inputs(Path())
    Path("data/codes/codes-1.h5").write_bytes(b"")
    with pytest.raises(ConfigError, match="data/codes has codes of 1 of 2 shards"):
        _check("audio")


def test_a_manifest_of_another_shape_is_a_sentence():
    write_clips(Path("data"))
    manifest = json.loads(Path("data/dataset.json").read_text())
    for text in (json.dumps({**manifest, "by_split": []}), "[" * 200_000, "[]"):
        Path("data/dataset.json").write_text(text)
        with pytest.raises(ConfigError, match=r"data/dataset.json cannot be read"):
            _check("vqvae", "data=data")


def test_a_run_without_a_checkpoint_is_no_model_yet():
    write_inputs(Path())
    Path("runs/vqvae/stage.json").write_text('{"stage": "vqvae"}')
    with pytest.raises(ConfigError, match=r"runs/vqvae has no checkpoint yet"):
        _check("codes")
    Path("runs/vqvae/checkpoints").mkdir()
    Path("runs/vqvae/checkpoints/step-00000001.json").touch()
    _check("codes")


def test_codes_of_some_shards_are_not_enough():
    write_inputs(Path())
    Path("data/codes/codes-1.h5").unlink()
    with pytest.raises(ConfigError, match=r"data/codes has codes of 1 of 2 shards of data/clips: python -m v2a.codes"):
        _check("audio")
