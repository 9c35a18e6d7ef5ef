"""A small corpus whose sounds differ as real ones do, its codes, and a decoder that was trained for a moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.unit.codes.making import make_run
from v2a.audio.__main__ import main as train_audio
from v2a.codes.config import Config as CodesConfig
from v2a.codes.job import CodesJob
from v2a.geometry import Geometry
from v2a.shards.manifest import write_manifest
from v2a.shards.records import Clip, ClipRow
from v2a.shards.splits import Splits, split_of
from v2a.shards.writer import ShardWriter
from v2a.tasks import SerialTasks

GEOMETRY = Geometry(width=16, height=8, fps=10, segment_s=2.4, sample_rate=8000)
RATE = GEOMETRY.sample_rate
SPLITS = Splits(validation=0.1, test=0.4)
CLICKS = (0.35, 0.8, 1.3, 1.9)

Row = dict[str, object]


def sound(number: int) -> np.ndarray:
    """int16 [S]: bursts at moments of the clip's own in a tone of its own, louder or quieter."""
    random = np.random.default_rng(number)
    time = np.arange(GEOMETRY.samples) / RATE
    wave = 0.001 * random.standard_normal(len(time))
    for moment in random.permutation(np.arange(0.2, 2.2, 0.25))[:4]:
        after = np.clip(time - moment, 0, None)
        colour = np.sin(2 * np.pi * random.uniform(200, 3000) * after) + 0.5 * random.standard_normal(len(time))
        wave += 10 ** random.uniform(-1.5, -0.5) * (time >= moment) * np.exp(-after / 0.08) * colour
    return np.clip(wave * 12000, -32767, 32767).astype(np.int16)


def content(video: int) -> str:
    """A made-up hash of a video's bytes."""
    return f"{video + 100:032x}"


def clip(number: int, **row: object) -> Clip:
    """Clip `number % 2` of video `number // 2`."""
    name = content(number // 2)
    known: Row = {
        "source": f"/films/{number // 2}.mp4", "content": name, "group": name, "label": "", "segment": number % 2,
        "start_s": number % 2 * GEOMETRY.segment_s, "frames": GEOMETRY.frames, "has_audio": True, "level_db": -20.0, "motion": 1.0,
    }  # fmt: skip
    video = np.random.default_rng(number).integers(
        0, 256, (GEOMETRY.frames, GEOMETRY.height, GEOMETRY.width, 3), np.uint8
    )
    return Clip(video, sound(number), ClipRow(**{**known, **row}))


def make_corpus(folder: Path, clips: int = 40, make: Callable[[int], Clip] = clip) -> Path:
    """A dataset of the clips that `make` gives."""
    folder.mkdir(parents=True)
    with ShardWriter(folder, GEOMETRY, prefix="w0", clips_per_shard=16) as writer:
        for number in range(clips):
            writer.add(make(number))
    write_manifest(folder, GEOMETRY, {}, SPLITS)
    return folder


def encode(model: Path, data: Path, out: Path) -> Path:
    """Its codes."""
    SerialTasks().run(
        CodesJob(CodesConfig(model=str(model), data=str(data), out=str(out), device="cpu")), lambda: False
    )
    return out


def make_encoder(folder: Path) -> Path:
    """A run of stage 1."""
    return make_run(folder, GEOMETRY)


def make_decoder_run(folder: Path, encoder: Path, data: Path, codes: Path, *settings: str) -> Path:
    """A run of stage 2, a few steps of it."""
    few = ["train.steps=2", "train.validate_every=10", "train.batch=2"]
    few += ["decoder.channels=8", "decoder.blocks=1", "decoder.bands=16"]
    given = [f"model={encoder}", f"data={data}", f"codes={codes}", "crop=12", "device=cpu", *few, *settings]
    assert train_audio([*given, "--out", str(folder)]) == 0
    return folder


def videos_of(split: str, clips: int = 40) -> list[int]:
    """Numbers of the videos of a split."""
    return [video for video in range(clips // 2) if split_of(content(video), SPLITS) == split]


def write_truth(path: Path, seconds: float = 2 * GEOMETRY.segment_s) -> None:
    """A truth of impacts as `v2a.synthetic` writes it, with blows at known times of each clip."""
    times = [start + moment for start in np.arange(0, seconds, GEOMETRY.segment_s) for moment in CLICKS]
    contacts = [{"arrival_s": time, "peak_db": -10.0} for time in times]
    truth = {
        "kind": "impacts",
        "geometry": {"fps": 10},
        "scene": {},
        "contacts": contacts,
        "video": {"file": f"{path.stem}.mp4"},
    }
    path.write_text(json.dumps(truth))
