"""Small folders as the stages leave them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image
from scipy.io import wavfile

RATE = 16000
NAMES = ("ours", "truth", "redrawn", "retrieval", "shifted", "shuffled", "noise", "silence")
HOSTILE = '<img src=x onerror="window.hacked = 1">\'; $(x) {{ 7*7 }} \n#é.mp4'


def make_video(path: Path, seconds: float = 1.5, size: tuple[int, int] = (64, 48)) -> Path:
    """H.264 without sound at 10 frames/s: a bar that moves to the right."""
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        for number in range(round(seconds * 10)):
            picture = np.full((size[1], size[0], 3), 60, np.uint8)
            picture[:, : 4 + 3 * number] = (220, 120, 40)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
    return path


def make_wave(path: Path, seconds: float, hertz: float) -> float:
    """A tone; returns its mean square."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (8000 * np.sin(np.arange(round(seconds * RATE)) / RATE * 2 * np.pi * hertz)).astype(np.int16)
    wavfile.write(path, RATE, samples)
    return float(np.square(samples / 32767).mean())


def scores(value: float, clips: int) -> dict[str, Any]:
    """A measure as metrics.json has it."""
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "clips": clips, "videos": clips}


def candidate(log_mel: float, envelope_r: float, clips: int) -> dict[str, Any]:
    """A candidate with two measures, and those of all clips together."""
    return {
        "scores": {"log_mel_db": scores(log_mel, clips), "envelope_r": scores(envelope_r, clips)},
        "mmd": {"squared": 0.1, "standard_error": 0.01, "n": clips}, "diversity": 0.5, "nearest_ratio": None, "mse_ratio": 1.0,
        "onset_f1": None, "of_noise": log_mel / 10, "of_retrieval": log_mel / 8,
    }  # fmt: skip


def make_evaluation(folder: Path, videos: list[Path], seconds: float = 1.5) -> Path:
    """An evaluation of one clip of each video, all of them on the sheet; "ours" is better than its rivals."""
    wave = folder / "wav"
    lines = []
    for place, video in enumerate(videos):
        for number, name in enumerate(NAMES):
            square = make_wave(wave / f"{place:02d}-{name}.wav", seconds, 200 * (number + 1))
            lines.append(
                [f"clip{place}", str(video), "0.0", str(seconds), f"video{place}", name, "5.0", "0.5", "-1", square]
            )
    with (folder / "clips.csv").open("w", newline="") as file:
        head = [
            "clip",
            "source",
            "start_s",
            "seconds",
            "video",
            "candidate",
            "log_mel_db",
            "envelope_r",
            "level_db",
            "mse_silence",
        ]
        csv.writer(file).writerows([head, *lines])
    bad = {"ours": 4.0, "truth": 0.0, "redrawn": 2.0, "shifted": 3.0, "retrieval": 8.0, "noise": 10.0, "shuffled": 11.0}
    clips = len(videos)
    settings = {"models": {"ours": "abc"}, "split": "test", "n": clips, "seed": 0, "sheet": 10, "reference": 5}
    content = {
        "format": "v2a-evaluation", "version": 1, "settings": settings, "clips": clips, "videos": clips, "interval": "95 %",
        "candidates": {name: candidate(bad.get(name, 25.0), 1 - bad.get(name, 25.0) / 25, clips) for name in NAMES},
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(content))
    return folder


def make_run(folder: Path, stage: str, lines: list[str] | None = None) -> Path:
    """A training run with a few records and pictures."""
    (folder / "pictures").mkdir(parents=True)
    config = {"data": "my clips", "preset": "base", "train": {"steps": 40, "batch": 4}}
    (folder / "stage.json").write_text(json.dumps({"stage": stage, "config": config, "geometry": {"fps": 10}}))
    records = [
        {"step": step, "loss": 4 / step, "usage": 0.5, "perplexity": 20.0, "psnr": 20 + step / 10}
        for step in (10, 20, 30, 40)
    ]
    records.append({"step": 40, "validation/loss": 0.2, "validation/psnr": 23.0, "validation/clips": 3.0})
    text = [json.dumps(record) for record in records] if lines is None else lines
    (folder / "metrics.jsonl").write_text("".join(line + "\n" for line in text))
    for name in ("frame", "reconstruction", "codes"):
        Image.new("RGB", (16, 9), "navy").save(folder / "pictures" / f"{name}.png")
    return folder


def make_inference(folder: Path, name: str = "a.mp4") -> Path:
    """One video with generated sound, and one that failed."""
    folder.mkdir(parents=True, exist_ok=True)
    make_video(folder / name)
    make_wave(folder / "a.wav", 1.5, 300)
    done = {
        "input": "in/a.mp4",
        "model": "m",
        "encoder": "e",
        "seed": 3,
        "seconds": 1.5,
        "notes": ["a frame was damaged"],
    }
    (folder / "report.jsonl").write_text(json.dumps({**done, "outputs": {"video": name, "sound": "a.wav"}}) + "\n")
    (folder / "failures.jsonl").write_text(
        json.dumps({"input": "<b>x", "kind": "bad", "reason": "it is no video"}) + "\n"
    )
    return folder
