"""What does not go as planned: kills, other settings, little or no data, truths that are missing, models that do not fit."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.house.documents import script_faults
from tests.unit.codes.making import make_run
from tests.unit.evaluate.conftest import World
from tests.unit.evaluate.making import GEOMETRY, clip, encode, make_corpus, make_decoder_run, videos_of, write_truth
from v2a.audio.__main__ import main as train_audio
from v2a.evaluate.__main__ import main, parser, validate
from v2a.evaluate.clips import open_clips, partners, pick
from v2a.evaluate.config import Config
from v2a.evaluate.retrieval import nearest_codes
from v2a.shards.records import Clip
from v2a.stages import check_inputs, load_config, shares_tasks


def read(out: Path) -> dict:
    return json.loads((out / "metrics.json").read_text())


def read_test(run: Path) -> dict:
    return json.loads((run / "test.json").read_text())["metrics"]


def baselines(world: World, out: Path, *more: str) -> list[str]:
    """Settings of an evaluation without a model."""
    return ["--workers", "0", *(s for s in world.settings(out, *more) if not s.startswith("model="))]


def test_killed_in_the_middle_it_goes_on(world: World, tmp_path: Path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "v2a.evaluate", "--workers", "1", *world.settings(out, "sheet=2")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list((out / "parts").glob("*.json"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in (out / "parts").glob("*.json")}
    assert 3 <= len(kept) < 2 * len(videos_of("test"))
    assert not (out / "metrics.json").exists()
    (out / "parts" / ".x.json.1.unfinished").write_text("half")  # as a kill in the middle of writing leaves it
    assert main(["--workers", "0", *world.settings(out, "sheet=2")]) == 0
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    assert not list(out.rglob("*.unfinished"))
    assert main(["--workers", "0", *world.settings(tmp_path / "whole", "sheet=2")]) == 0
    assert (out / "metrics.json").read_bytes() == (tmp_path / "whole" / "metrics.json").read_bytes()
    assert (out / "sheet-decoder.png").read_bytes() == (tmp_path / "whole" / "sheet-decoder.png").read_bytes()


def test_parts_that_are_damaged_or_of_others_are_measured_again(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    assert main(baselines(world, out, "clips=4", "sheet=0")) == 0
    before = (out / "metrics.json").read_bytes()
    paths = sorted((out / "parts").iterdir())
    paths[0].write_bytes(paths[0].read_bytes()[:200])
    paths[1].write_text(paths[1].read_text().replace('"identity": "', '"identity": "0'))
    (out / "reference.npz").write_bytes(b"x" * 1000)
    capsys.readouterr()
    assert main(baselines(world, out, "clips=4", "sheet=0")) == 0
    assert "2 clips to measure, 2 done before" in capsys.readouterr().err
    assert (out / "metrics.json").read_bytes() == before


def test_other_settings_do_not_mix(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert main(baselines(world, out, "clips=2", "sheet=0")) == 0
    before = (out / "metrics.json").read_bytes()
    assert main(baselines(world, out, "clips=2", "sheet=0", "seed=5")) == 1
    assert "holds another evaluation (seed 0, now 5); choose another out=DIR" in capsys.readouterr().err
    assert main(["--dry-run", *world.settings(out), "seed=5"]) == 1, "a dry run says no other thing than the run"
    assert "holds another evaluation" in capsys.readouterr().err
    assert (out / "metrics.json").read_bytes() == before


def test_a_split_without_sound(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    test = videos_of("test")
    data = make_corpus(tmp_path / "data", make=lambda number: clip(number, has_audio=number // 2 not in test))
    codes = encode(world.encoder, data, tmp_path / "codes")
    settings = ["--workers", "0", f"data={data}", f"codes={codes}", f"out={tmp_path / 'out'}"]
    assert main(settings) == 1
    said = capsys.readouterr().err
    assert f"the split test of {data} has none ({2 * len(test)} clips are of videos without sound)" in said
    assert main([*settings, "split=validation", "sheet=0"]) == 0


def test_one_clip_alone(world: World, tmp_path: Path):
    out = tmp_path / "out"
    assert main(["--workers", "0", *world.settings(out, "clips=1")]) == 0
    found = read(out)
    assert (found["clips"], found["videos"]) == (1, 1)
    assert "shuffled" not in found["candidates"]  # there is no other video
    assert found["candidates"]["noise"]["scores"]["stft"]["low"] is None
    assert found["candidates"]["noise"]["mmd"]["squared"] is None
    assert "With 1 videos the intervals are too narrow" in (out / "table.md").read_text()
    assert (out / "sheet-decoder.png").exists()


def test_true_times_of_impacts_and_truths_that_are_missing(world: World, tmp_path: Path):
    truths = tmp_path / "truths"
    truths.mkdir()
    first, second, third, *rest = videos_of("test")
    write_truth(truths / f"{first}.json")
    (truths / f"{second}.json").write_text("{}")
    write_truth(truths / f"{third}.json")
    (truths / f"{third}.json").write_text((truths / f"{third}.json").read_text().replace(f"{third}.mp4", "other.mp4"))
    out = tmp_path / "out"
    assert main(baselines(world, out, f"truth={truths}", "sheet=0")) == 0
    found = read(out)
    missing = found["synthetic_truth"]["missing"]
    assert found["synthetic_truth"]["clips"] == 2
    assert missing["there is no JSON of its name in truth=…"] == 2 * len(rest)
    assert missing["its JSON is not the truth of a synthetic video (KeyError)"] == 2
    assert missing["its JSON is another video's, or of a kind that this version does not know"] == 2
    scores = found["candidates"]["truth"]["scores"]["impact_f1"]
    assert scores["clips"] == 2
    # The sounds of this corpus have their bursts elsewhere than the made-up truth says.
    assert 0 < scores["value"] < 1
    assert "Synthetic truth was found for 2 of" in (out / "table.md").read_text()
    assert f"{2 * len(rest)} without: there is no JSON of its name in truth=…" in (out / "table.md").read_text()


def test_retrieval_finds_a_copy_under_another_name_and_never_its_own_video(world: World, tmp_path: Path):
    target, source = videos_of("test")[0], videos_of("train")[3]

    def make(number: int) -> Clip:
        """The pictures of `source` under the name of `target`."""
        made = clip(number)
        return Clip(clip(2 * source + number % 2).video, made.audio, made.row) if number // 2 == target else made

    data = make_corpus(tmp_path / "data", make=make)
    codes = encode(world.encoder, data, tmp_path / "codes")
    config = Config(codes=str(codes), data=str(data))
    test, train = open_clips(config, "test"), open_clips(config, "train")
    wanted = [number for number in range(len(test)) if test.row(number).source == f"/films/{target}.mp4"]
    found, apart = nearest_codes(test, wanted, train, range(len(train)))
    assert [train.row(near).source for near in found] == [f"/films/{source}.mp4"] * 2
    assert apart == [0.0, 0.0]
    own, far = nearest_codes(train, range(len(train)), train, range(len(train)))
    assert all(train.row(a).group != train.row(b).group for a, b in enumerate(own))
    assert 0 <= min(far) <= max(far) <= 1


def test_models_of_other_codes_are_refused(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    stranger = make_run(tmp_path / "stranger", GEOMETRY, seed=7)
    codes = encode(stranger, world.data, tmp_path / "codes")
    settings = [s for s in world.settings(tmp_path / "out") if not s.startswith("codes=")]
    assert main(["--workers", "0", *settings, f"codes={codes}"]) == 1
    said = capsys.readouterr().err
    assert "encoder" in said
    assert not (tmp_path / "out" / "metrics.json").exists()


def test_what_is_no_model_is_said(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for path in (tmp_path / "nothing", world.encoder):
        settings = [s for s in world.settings(tmp_path / "out") if not s.startswith("model=")]
        assert main(["--workers", "0", *settings, f"model={path}"]) == 1
        assert str(path) in capsys.readouterr().err


def test_a_dry_run_writes_nothing(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--dry-run", *world.settings(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert (
        f"{2 * len(videos_of('test'))} clips of {len(videos_of('test'))} videos of the split test would be measured"
        in said
    )
    assert "null baselines: truth, redrawn, retrieval, shifted, shuffled, noise, silence" in said
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("")
    assert main(baselines(world, tmp_path / "file" / "out")) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_a_wavenet_is_trained_and_measured_beside_another_decoder(world: World, tmp_path: Path):
    settings = ("decoder=wavenet", "decoder.width=4", "decoder.stacks=1", "decoder.layers=2", "decoder.piece_s=0.1")
    run = make_decoder_run(tmp_path / "wavenet", world.encoder, world.data, world.codes, *settings)
    tested = read_test(run)
    assert math.isfinite(tested["loss"])
    assert math.isfinite(tested["log_mel"])
    measured = world.settings(tmp_path / "out", f"models={run}", "clips=2", "reference=4", "sheet=1")
    assert main(["--workers", "0", *measured]) == 0
    found = read(tmp_path / "out")["candidates"]
    for name in ("decoder", "wavenet"):
        assert found[name]["scores"]["log_mel_db"]["clips"] == 2
    assert found["wavenet"]["scores"]["log_mel_db"]["value"] != found["decoder"]["scores"]["log_mel_db"]["value"]


@pytest.mark.parametrize("kind", ["latents", "pixels"])
def test_a_decoder_of_latents_or_pixels_needs_no_codes_and_is_measured_beside_one_of_codes(
    kind: str, world: World, tmp_path: Path
):
    nowhere = tmp_path / "no-codes"
    run = make_decoder_run(tmp_path / kind, world.encoder, world.data, nowhere, f"decoder.input={kind}")
    assert math.isfinite(read_test(run)["loss"])
    check_inputs(
        "audio",
        load_config(
            "audio", [f"decoder.input={kind}", f"codes={nowhere}", f"model={world.encoder}", f"data={world.data}"]
        ),
    )
    measured = world.settings(tmp_path / "out", f"models={run}", "clips=2", "reference=4", "sheet=1")
    assert main(["--workers", "0", *measured]) == 0
    found = read(tmp_path / "out")["candidates"]
    for name in ("decoder", kind):
        assert found[name]["scores"]["log_mel_db"]["clips"] == 2


def test_crops_of_latents_are_of_whole_groups(world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    given = [f"model={world.encoder}", f"data={world.data}", "decoder.input=latents", "crop=3", "device=cpu"]
    assert train_audio([*given, "--out", str(tmp_path / "run")]) == 1
    assert "expected crops of a multiple of 4 frames, but got crop=3" in capsys.readouterr().err


def test_names_of_models():
    assert validate(["stage=evaluate", "model=a/run"]).model_names() == {"run": "a/run"}
    both = validate(["models=a/run,b/run/, c", "model=x"]).model_names()
    assert both == {"x": "x", "run": "a/run", "run-2": "b/run/", "c": "c"}
    assert list(validate(["model=a", "model=b c"]).model_names().values()) == ["a", "b c"]
    assert validate(["model=a,b"]).model_names() == {"a_b": "a,b"}
    assert validate(["model=m/truth"]).model_names() == {"model_truth": "m/truth"}
    assert validate([]).model_names() == {}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["model=a", "models=a"], "each model once, but got a, a"),
        (["model=a,b", "model=c"], "no comma in the path"),
        (["split=tset"], "no split 'tset'; did you mean test"),
        (["clips=-1"], "clips from 0 to 1000000, but got clips=-1"),
        (["reference=1"], "reference of at least 2"),
        (["data="], "data=…, but it is empty"),
        (["modle=a"], "did you mean model"),
    ],
)
def test_settings_that_are_refused(settings: list[str], said: str, capsys: pytest.CaptureFixture[str]):
    assert main(settings) == 1
    assert said in capsys.readouterr().err


def test_a_hostile_name_stays_itself_and_makes_no_folder(hostile_name: str):
    if not hostile_name:
        assert validate(["model="]).model_names() == {}
        return
    [(short, path)] = validate([f"model={hostile_name}"]).model_names().items()
    assert path == hostile_name
    assert short
    assert not set(short) & set("/\\\0\n ")


def test_help_and_launcher(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "reference=1000" in capsys.readouterr().out
    examples = [line for line in (parser().epilog or "").splitlines() if line.startswith(("python", "mpirun"))]
    assert len(examples) == 6
    assert script_faults("\n".join(examples)) == []
    assert shares_tasks("evaluate")
    assert load_config("evaluate", ["model=a b"]).model == "a b"


@pytest.mark.parametrize("sizes", [[1, 1], [3, 1, 1], [2, 2, 2], [5, 1], [1] * 9, [4, 2, 2]])
def test_partners_are_of_other_videos(sizes: list[int]):
    groups = [str(video) for video, size in enumerate(sizes) for _ in range(size)]
    for seed in range(5):
        found = partners(groups, seed)
        assert all(other is not None and groups[other] != groups[clip] for clip, other in enumerate(found))
        if max(sizes) <= len(groups) / 2:
            assert sorted(found) == list(range(len(groups)))  # each once
    assert partners(["a", "a"], 0) == [None, None]


def test_fewer_clips_are_taken_video_by_video(world: World):
    clips = open_clips(Config(codes=str(world.codes), data=str(world.data)), "train")
    picked = pick(clips, len(videos_of("train")))
    assert len({clips.row(number).group for number in picked}) == len(videos_of("train"))
    assert pick(clips, 0) == pick(clips, 999) == list(range(len(clips)))


def test_padding_after_the_real_frames_is_not_measured(world: World, tmp_path: Path):
    data = make_corpus(
        tmp_path / "data", make=lambda number: clip(number, frames=12 if number % 2 else GEOMETRY.frames)
    )
    codes = encode(world.encoder, data, tmp_path / "codes")
    out = tmp_path / "out"
    settings = [f"model={world.decoder}", f"codes={codes}", f"data={data}", f"out={out}", "device=cpu", "sheet=20"]
    assert main(["--workers", "0", *settings, "clips=8"]) == 0
    seconds = sorted(json.loads(path.read_text())["seconds"] for path in (out / "parts").iterdir())
    assert seconds == [1.2] + [2.4] * 7
    lengths = sorted(path.stat().st_size for path in (out / "wav").iterdir())
    assert lengths == [44 + 2 * 9600] * 8 + [44 + 2 * 19200] * 56
