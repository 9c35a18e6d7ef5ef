"""How fast videos become clips: the whole prepare stage ÷ ffmpeg with the same scaling, ÷ decoding alone, and two ranks ÷ one.

    python benchmarks/prepare.py                          # renders its own videos; about 10 minutes on 2 cores
    python benchmarks/prepare.py --videos DIR --rounds 5  # on one's own

All ways read the same files with one decoder thread, and take turns, so that a slow minute of the machine meets all. The stage's
time is that of the whole command, from the start of Python to the manifest. Frames are source frames, as decoded.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
FFMPEG = ["ffmpeg", "-nostdin", "-v", "error", "-threads", "1", "-filter_threads", "1"]
SAME_WORK = ["-vf", "fps=10,scale=256:144", "-f", "null", "-"]
DECODE_ONLY = ["-map", "0:v:0", "-fps_mode", "passthrough", "-f", "null", "-"]


def ffmpeg(files: list[Path], output: list[str]) -> None:
    for file in files:
        subprocess.run([*FFMPEG, "-i", file, *output], check=True, stdin=subprocess.DEVNULL)


def pyav_decode(files: list[Path]) -> None:
    """In a process of its own, as the others are."""
    program = (
        "import sys, av\n"
        "for name in sys.argv[1:]:\n"
        "    with av.open(name) as container:\n"
        "        stream = container.streams.video[0]\n"
        "        stream.thread_type, stream.codec_context.thread_count = 'NONE', 1\n"
        "        for frame in container.decode(stream): pass\n"
    )
    subprocess.run([sys.executable, "-c", program, *map(str, files)], check=True)


def stage(folder: Path, out: Path, reader: str) -> None:
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "v2a.prepare",
        "--workers",
        "0",
        f"videos={folder}",
        f"out={out}",
        f"reader={reader}",
    ]
    subprocess.run(command, check=True, cwd=CHECKOUT, stderr=subprocess.DEVNULL)


def ranks(folder: Path, scratch: Path, count: int) -> float:
    """Seconds of the stage itself over MPI; starting MPI and Python is the launcher's."""
    out, run = scratch / "out", scratch / "runs" / "mpi"
    shutil.rmtree(out, ignore_errors=True)
    launcher = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-np", str(count)]
    worker = [
        sys.executable,
        "-m",
        "hpc.worker",
        "--run-dir",
        str(run),
        "stage=prepare",
        f"videos={folder}",
        f"out={out}",
    ]
    quiet = {**os.environ, "OMPI_MCA_btl_vader_single_copy_mechanism": "none"}
    subprocess.run([*launcher, *worker], check=True, cwd=CHECKOUT, capture_output=True, env=quiet)
    return float(json.loads((run / "result.json").read_text())["wall_s"])


def two_ffmpeg(files: list[Path]) -> None:
    """The machine's own ceiling: two independent ffmpeg, each with every second file."""
    own = f'for f in "$@"; do {" ".join(FFMPEG)} -i "$f" {" ".join(SAME_WORK)} || exit 1; done'
    both = [subprocess.Popen(["bash", "-c", own, "bash", *files[start::2]]) for start in (0, 1)]
    if any(process.wait() for process in both):
        raise SystemExit("ffmpeg failed")


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    measured = work()
    return measured if isinstance(measured, float) else time.perf_counter() - start


def count_frames(files: list[Path]) -> int:
    probe = [
        "ffprobe",
        "-v",
        "error",
        "-select_streams",
        "v:0",
        "-count_packets",
        "-show_entries",
        "stream=nb_read_packets",
    ]
    counts = [
        subprocess.run([*probe, "-of", "csv=p=0", f], check=True, capture_output=True, text=True).stdout for f in files
    ]
    return sum(int(count.strip().strip(",")) for count in counts)


def render(folder: Path, count: int, seconds: int) -> None:
    """Videos with grain and motion, 640x360 H.264 with AAC, of equal length."""
    for number in range(count):
        picture = f"mandelbrot=size=640x360:rate=30:start_scale={0.5 + number / 9},noise=alls=12:allf=t"
        inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", "anoisesrc=amplitude=0.1:sample_rate=44100"]
        codecs = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac"]
        command = [
            "ffmpeg",
            "-nostdin",
            "-v",
            "error",
            *inputs,
            "-t",
            str(seconds),
            *codecs,
            folder / f"{number:02d}.mp4",
        ]
        subprocess.run(command, check=True)


def measure(folder: Path, files: list[Path], scratch: Path, rounds: int) -> dict[str, list[float]]:
    ways: dict[str, Callable[[], object]] = {
        "ffmpeg, fps and scale, to null": lambda: ffmpeg(files, SAME_WORK),
        "ffmpeg, decode only": lambda: ffmpeg(files, DECODE_ONLY),
        "PyAV, decode only": lambda: pyav_decode(files),
        "prepare, reader=ffmpeg": lambda: stage(folder, scratch / "out", "ffmpeg"),
        "prepare, reader=pyav": lambda: stage(folder, scratch / "out", "pyav"),
        "two ffmpeg side by side": lambda: two_ffmpeg(files),
        "prepare, 1 MPI rank": lambda: ranks(folder, scratch, 1),
        "prepare, 2 MPI ranks": lambda: ranks(folder, scratch, 2),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for done in range(rounds):
        for name, work in ways.items():
            times[name].append(timed(work))
            print(f"round {done + 1}: {name}: {times[name][-1]:.2f} s", file=sys.stderr, flush=True)
    return times


def report(frames: int, times: dict[str, list[float]]) -> None:
    print(f"{'way':34} frames/s (slowest to fastest round)")
    for name, values in times.items():
        rates = [frames / value for value in sorted(values, reverse=True)]
        print(f"{name:34} {statistics.median(rates):7.0f}  ({rates[0]:.0f} to {rates[-1]:.0f})")
    base = {name: statistics.median(values) for name, values in times.items()}
    same, one, two = base["ffmpeg, fps and scale, to null"], base["prepare, 1 MPI rank"], base["prepare, 2 MPI ranks"]
    ratios = [
        ("reader=ffmpeg ÷ ffmpeg with fps and scale", same / base["prepare, reader=ffmpeg"], "target 0.9"),
        ("reader=pyav ÷ ffmpeg with fps and scale", same / base["prepare, reader=pyav"], ""),
        (
            "reader=pyav ÷ ffmpeg decoding alone",
            base["ffmpeg, decode only"] / base["prepare, reader=pyav"],
            "target 0.8",
        ),
        ("reader=pyav ÷ PyAV decoding alone", base["PyAV, decode only"] / base["prepare, reader=pyav"], "target 0.8"),
        ("two MPI ranks ÷ one", one / two, "target 1.8"),
        ("two ffmpeg side by side ÷ one", same / base["two ffmpeg side by side"], "what this machine gives"),
    ]
    for name, ratio, note in ratios:
        print(f"{name:46} {ratio:5.2f}  {note}")


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    top.add_argument("--videos", type=Path, help="folder of videos, all readable (default: renders 12 of 30 s)")
    top.add_argument("--rounds", type=int, default=3)
    return top


def main() -> None:
    options = parser().parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "runs").mkdir()
        folder = options.videos.resolve() if options.videos else scratch / "videos"
        if not options.videos:
            folder.mkdir()
            render(folder, 12, 30)
        files = sorted(
            path for path in folder.rglob("*") if path.suffix.lower() in (".mp4", ".mkv", ".webm", ".mov", ".avi")
        )
        frames = count_frames(files)
        print(f"{len(files)} videos, {frames} frames, one decoder thread each, {options.rounds} rounds, medians")
        report(frames, measure(folder, files, scratch, options.rounds))


if __name__ == "__main__":
    main()
