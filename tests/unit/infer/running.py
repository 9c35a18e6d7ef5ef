"""A video for the command, the command in this process, and what it leaves in its folder."""

from __future__ import annotations

import json
import subprocess
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from v2a.infer.__main__ import main

RATE = 8000  # Hz, of the models in conftest.py


def film(path: Path, *options: str, seconds: float = 2.0, fps: str = "25") -> Path:
    """A moving picture without sound."""
    picture = ["-f", "lavfi", "-i", f"testsrc2=size=64x36:rate={fps}:duration={seconds}"]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", *picture, *codec, *options, path], check=True, stdin=subprocess.DEVNULL
    )
    return path


def run(*arguments: object) -> int:
    """The command, in this process."""
    return main([str(argument) for argument in (*arguments, "--workers", "0", "--device", "cpu")])


def lines(path: Path) -> list[dict[str, Any]]:
    """Of a .jsonl file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def report(out: Path) -> dict[str, dict[str, Any]]:
    """Lines of `report.jsonl` by the input's file name."""
    found = lines(out / "report.jsonl")
    assert len({Path(line["input"]) for line in found}) == len(found)
    return {Path(line["input"]).name: line for line in found}


def reasons(out: Path) -> dict[str, tuple[str, str]]:
    """Kind and reason of each failure, by the input's file name."""
    return {Path(line["input"]).name: (line["kind"], line["reason"]) for line in lines(out / "failures.jsonl")}


def made(out: Path) -> set[str]:
    """Names of all files in the folder that are not the program's own notes."""
    notes = {"report.json", "report.jsonl", "failures.jsonl"}
    return {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file() and ".infer" not in p.parts} - notes


def wav(path: Path) -> tuple[npt.NDArray[np.int16], int]:
    """Samples and rate."""
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


def picture_span(path: Path) -> tuple[float, float]:
    """Time stamps of the first picture and of the end of the last one, s."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        stamps = sorted(float(frame.pts * frame.time_base) for frame in frames)
        usual = float(frames[-1].duration * frames[-1].time_base) if frames[-1].duration else stamps[-1] - stamps[-2]
    return stamps[0], stamps[-1] + usual


def packets(path: Path) -> list[bytes]:
    """Of the picture, as they are stored."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.video[0]) if packet.size]


def nothing_is_left(out: Path) -> bool:
    """No claim, no working folder."""
    return not [path for kind in ("claims", "work", "placing") for path in (out / ".infer" / kind).glob("*")]
