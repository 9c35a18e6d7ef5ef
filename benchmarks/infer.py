"""Speed and memory of inference, as a whole program, against ffmpeg that only decodes and scales the same file.

    python benchmarks/infer.py --model models/audio video.mp4
    python benchmarks/infer.py --model models/audio video.mp4 --minutes 1 120

Speed: `python -m v2a.infer` in a process of its own (start, decoding, encoding, sound, WAV, muxing) and
`ffmpeg -i FILE -vf fps=F,scale=WxH -f null -` at the model's size, in turns; seconds of video a second of wall time, and the ratio
of the best ones. "busy" is the same of processor time, which a machine that is shared changes less. With --minutes the video is
repeated to that length by copying its stream; then the peak memory of each length is shown, and the ratio of the last to the first.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av
import torch

from v2a.audio.load import load_audio
from v2a.geometry import Geometry


@dataclass(frozen=True)
class Cost:
    """Of one program and those that it started: seconds of wall and processor time, and its own peak memory, MB."""

    wall_s: float
    busy_s: float
    memory_mb: float


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--model", type=Path, required=True, help="an exported model or an audio run")
    made.add_argument("--minutes", type=float, nargs="+", default=[], help="lengths to repeat the video to")
    made.add_argument("--rounds", type=int, default=2)
    made.add_argument("video", type=Path)
    return made


def run(command: list[str]) -> Cost:
    begun = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said.decode(errors="replace")
    return Cost(time.monotonic() - begun, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def infer(video: Path, model: Path) -> Cost:
    with tempfile.TemporaryDirectory(prefix="v2a-infer-") as out:
        options = ["--model", str(model), "--out", out]
        return run([sys.executable, "-m", "v2a.infer", *options, "--", str(video)])


def reference(video: Path, size: Geometry) -> Cost:
    scale = f"fps={size.fps},scale={size.width}:{size.height}"
    return run(
        ["ffmpeg", "-nostdin", "-v", "error", "-i", str(video), "-map", "0:v:0", "-vf", scale, "-f", "null", "-"]
    )


def seconds_of(video: Path) -> float:
    with av.open(str(video)) as container:
        return float((container.duration or 0) / 1e6)


def repeated(video: Path, minutes: float, folder: str) -> Path:
    out = Path(folder) / f"{minutes:g}-minutes.mkv"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-stream_loop", "-1", "-i", video, "-t", str(60 * minutes)]
    subprocess.run([*command, "-map", "0:v:0", "-c", "copy", out], check=True)
    return out


def compare(video: Path, model: Path, size: Geometry, rounds: int) -> Cost:
    seconds = seconds_of(video)
    ours, theirs = [], []
    for _ in range(rounds):
        theirs.append(reference(video, size))
        ours.append(infer(video, model))
    best = {name: min(getattr(cost, name) for cost in ours) for name in ("wall_s", "busy_s")}
    their = {name: min(getattr(cost, name) for cost in theirs) for name in ("wall_s", "busy_s")}
    memory = max(cost.memory_mb for cost in ours)
    ratios = [their[name] / best[name] for name in ("wall_s", "busy_s")]
    print(
        f"{video.name}, {seconds:.0f} s: {seconds / best['wall_s']:.2f} video seconds a second, ffmpeg decoding and scaling alone "
        f"{seconds / their['wall_s']:.2f}, ratio {ratios[0]:.3f} (busy {ratios[1]:.3f}), {memory:.0f} MB", flush=True,
    )  # fmt: skip
    return Cost(best["wall_s"], best["busy_s"], memory)


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    loaded = load_audio(options.model, torch.device("cpu"))
    print(f"model {loaded.identity}: clips of {loaded.geometry}")
    if not options.minutes:
        compare(options.video, options.model, loaded.geometry, options.rounds)
        return 0
    costs = []
    with tempfile.TemporaryDirectory(prefix="v2a-infer-") as folder:
        for minutes in options.minutes:
            video = repeated(options.video, minutes, folder)
            costs.append(compare(video, options.model, loaded.geometry, options.rounds))
            video.unlink()
    print(
        f"memory of {options.minutes[-1]:g} minutes ÷ {options.minutes[0]:g}: {costs[-1].memory_mb / costs[0].memory_mb:.3f}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
