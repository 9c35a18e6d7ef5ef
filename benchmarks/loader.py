"""How fast clips are loaded: the loader ÷ reading the same bytes, beside WebDataset and decoding the videos on the fly.

    python benchmarks/loader.py --quick                    # about a minute, rough
    python benchmarks/loader.py                            # 60 clips of the paper's geometry, about 700 MB, all in the page cache
    python benchmarks/loader.py --videos some/folder       # from real videos

Without --videos, ffmpeg renders moving test pictures as H.264, 640x360, 30 frames/s. All variants give random 16-frame crops, or
whole clips, in shuffled order, as batches of uint8 tensors. They take turns, so that a slow minute of the machine meets them all.
torchcodec and WebDataset are measured when they are installed (`pip install -e .[bench]`). The decoders give no sound.
"""

import argparse
import io
import itertools
import os
import random
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import torch

from v2a.geometry import Geometry
from v2a.loading.dataset import ClipDataset
from v2a.loading.loader import make_loader
from v2a.loading.order import ShuffledBatches
from v2a.shards.folder import shard_paths
from v2a.shards.manifest import write_manifest
from v2a.shards.records import Clip, ClipRow
from v2a.shards.splits import Splits
from v2a.shards.writer import ShardWriter

PAPER = Geometry()
CROP = 16
BATCH = {"crops": 8, "whole": 4}
SECONDS = 30  # of a rendered video: three clips
Source = tuple[Path, float]  # video, start of a clip in it
Variant = Callable[[int], None]  # loads so many clips


def render_videos(folder: Path, clips: int) -> list[Path]:
    """Moving test pictures with a tone, each video in other colours."""
    made = []
    for number in range(-(-clips * 10 // SECONDS)):
        made.append(folder / f"{number:03d}.mp4")
        command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc2=s=640x360:r=30:d={SECONDS}"]
        command += ["-f", "lavfi", "-i", f"sine=f={200 + 20 * number}:d={SECONDS}", "-vf", f"hue=h={number * 18}"]
        command += [
            "-c:v",
            "libx264",
            "-preset",
            "veryfast",
            "-g",
            "60",
            "-pix_fmt",
            "yuv420p",
            "-c:a",
            "aac",
            "-shortest",
        ]
        subprocess.run([*command, str(made[-1])], check=True)
    return made


def decode(path: Path, times: list[float]) -> np.ndarray:
    """The frames seen at these times, s, by PyAV, one thread: uint8 `[n, 144, 256, 3]`."""
    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        scaler = av.video.reformatter.VideoReformatter()
        first = (stream.start_time or 0) * stream.time_base
        if times[0] > 0:
            container.seek(int((times[0] + first) / stream.time_base), stream=stream)
        last = None
        for frame in container.decode(stream):
            while (
                last is not None and len(frames) < len(times) and frame.time - float(first) > times[len(frames)] + 1e-4
            ):
                frames.append(_scaled(scaler, last))
            last = frame
            if len(frames) == len(times):
                break
        while last is not None and len(frames) < len(times):
            frames.append(_scaled(scaler, last))
    return np.stack(frames)


def _scaled(scaler, frame) -> np.ndarray:
    return scaler.reformat(frame, PAPER.width, PAPER.height, "rgb24", interpolation="AREA").to_ndarray()


def make_dataset(videos: list[Path], folder: Path, clips: int) -> list[Source]:
    """Clips of the videos in shards, and where each is from."""
    sources: list[Source] = []
    sound = (np.random.default_rng(0).normal(size=PAPER.samples) * 3000).astype(np.int16)
    with ShardWriter(folder, PAPER, prefix="bench", clips_per_shard=10) as writer:
        for path in videos:
            with av.open(str(path)) as container:
                seconds = (container.duration or 0) / 1e6
            for start in range(0, int(seconds) - 9, 10):
                if len(sources) == clips:
                    break
                row = ClipRow(
                    str(path), f"{path}", str(path), "", start // 10, float(start), PAPER.frames, True, -20.0, 1.0
                )
                writer.add(Clip(decode(path, _times(start, PAPER.frames)), sound, row))
                sources.append((path, float(start)))
    write_manifest(folder, PAPER, {}, Splits(0, 0))
    return sources


def _times(start: float, count: int) -> list[float]:
    return [start + frame / PAPER.fps for frame in range(count)]


def reading(folder: Path, kind: str, piece: int, buffers: int) -> Variant:
    """The limit: as many bytes as the clips have, in the order of the files, into the same few buffers."""
    memory = [bytearray(piece) for _ in range(buffers)]
    frames = CROP if kind == "crops" else PAPER.frames
    of_clip = frames * PAPER.frame_bytes + 2 * PAPER.samples_until(frames)

    def load(clips: int) -> None:
        left = clips * of_clip
        turn = itertools.cycle(memory)
        for path in itertools.cycle(shard_paths(folder)):
            file = os.open(path, os.O_RDONLY)
            while left > 0 and (count := os.readv(file, [memoryview(next(turn))[: min(left, piece)]])):
                left -= count
            os.close(file)
            if left <= 0:
                return

    return load


def ours(folder: Path, kind: str, *, workers: int = 0, threads: int = 1) -> Variant:
    """The loader of this project, checksums and sound included."""
    dataset = ClipDataset(folder, "all", frames=CROP if kind == "crops" else None, threads=threads)
    loader = iter(make_loader(dataset, ShuffledBatches(len(dataset), seed=0, batch=BATCH[kind]), workers=workers))
    return lambda clips: _drain(itertools.islice(loader, clips // BATCH[kind]))


def webdataset(folder: Path, kind: str, workers: int = 0) -> Variant:
    """WebDataset on tar files of the same arrays, shuffled as it recommends; it cannot read a part of a clip."""
    import webdataset as wds

    def crop(sample: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        video, audio = sample
        start = random.randrange(len(video) - CROP + 1)
        first = PAPER.samples_until(start)
        return video[start : start + CROP], audio[first : first + PAPER.samples_until(CROP)]

    urls = sorted(map(str, folder.glob("*.tar")))
    data = wds.WebDataset(urls, shardshuffle=len(urls), nodesplitter=None, empty_check=False).repeat().shuffle(20)
    data = data.decode().to_tuple("video.npy", "audio.npy")
    if kind == "crops":
        data = data.map(crop)
    loader = iter(wds.WebLoader(data.batched(BATCH[kind]), batch_size=None, num_workers=workers))
    return lambda clips: _drain(itertools.islice(loader, clips // BATCH[kind]))


def write_tars(folder: Path, target: Path) -> None:
    """The same clips as `.npy` files in tar files, one for each shard."""
    dataset = ClipDataset(folder, "all")
    target.mkdir()
    for begin in range(0, len(dataset), 10):
        with tarfile.open(target / f"{begin:04d}.tar", "w") as tar:
            for clip in range(begin, min(begin + 10, len(dataset))):
                for name in ("video", "audio"):
                    data = io.BytesIO()
                    np.save(data, dataset[clip][name].numpy())
                    info = tarfile.TarInfo(f"{clip:05d}.{name}.npy")
                    info.size = data.tell()
                    tar.addfile(info, io.BytesIO(data.getvalue()))


def pyav(sources: list[Source], kind: str) -> Variant:
    """Decode just the wanted part of the video with PyAV, one thread."""
    parts = _parts(sources, kind)
    return lambda clips: _stack(kind, (torch.from_numpy(decode(*next(parts))) for _ in range(clips)))


def torchcodec(sources: list[Source], kind: str) -> Variant:
    """The same with torchcodec: one thread, decoders that stay open, frames scaled inside."""
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    decoders: dict[Path, VideoDecoder] = {}
    parts = _parts(sources, kind)

    def part() -> torch.Tensor:
        path, times = next(parts)
        if path not in decoders:
            scale = Resize((PAPER.height, PAPER.width))
            decoders[path] = VideoDecoder(str(path), num_ffmpeg_threads=1, dimension_order="NHWC", transforms=[scale])
        end = decoders[path].metadata.end_stream_seconds or 0.0
        return decoders[path].get_frames_played_at([min(at, end - 0.05) for at in times]).data

    return lambda clips: _stack(kind, (part() for _ in range(clips)))


def _parts(sources: list[Source], kind: str) -> Iterator[tuple[Path, list[float]]]:
    draw = random.Random(0)
    while True:
        path, start = draw.choice(sources)
        room = PAPER.frames - CROP
        yield (
            path,
            _times(start + draw.randint(0, room) / PAPER.fps, CROP) if kind == "crops" else _times(start, PAPER.frames),
        )


def _stack(kind: str, clips: Iterator[torch.Tensor]) -> None:
    while batch := list(itertools.islice(clips, BATCH[kind])):
        torch.stack(batch)


def _drain(batches: Iterator[object]) -> None:
    for _ in batches:
        pass


def variants(data: Path, sources: list[Source], kind: str) -> dict[str, tuple[Variant, int]]:
    """Every way of loading, and how many clips it loads in a round."""
    many, few = (400, 8) if kind == "crops" else (120, 4)
    frames = CROP if kind == "crops" else PAPER.frames
    batch = BATCH[kind] * frames * PAPER.frame_bytes
    found = {
        "loader": (ours(data, kind), many),
        "reading, into two buffers of a batch": (reading(data, kind, batch, 2), many),
        "reading, into one buffer of 1 MB": (reading(data, kind, 1 << 20, 1), many),
        "loader, 2 threads": (ours(data, kind, threads=2), many),
        "loader, 2 workers": (ours(data, kind, workers=2), many),
    }
    if find_spec("webdataset"):
        found["WebDataset"] = (webdataset(data / "tar", kind), 40)
        # More than its workers fetch ahead while the others have their turns.
        found["WebDataset, 2 workers"] = (webdataset(data / "tar", kind, workers=2), 240)
    if find_spec("torchcodec"):
        found["torchcodec, on the fly"] = (torchcodec(sources, kind), few)
    found["PyAV, on the fly"] = (pyav(sources, kind), few)
    return found


def measure(ways: dict[str, tuple[Variant, int]], rounds: int) -> dict[str, list[float]]:
    """Clips per second of each, round by round; one round before is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, (load, clips) in ways.items():
            start = time.perf_counter()
            load(clips)
            if number:
                rates[name].append(clips / (time.perf_counter() - start))
    return rates


def print_table(kind: str, rates: dict[str, list[float]]) -> None:
    print(f"\n{f'random crops of {CROP} frames' if kind == 'crops' else 'whole clips'}, batches of {BATCH[kind]}")
    print(f"  {'':<40}{'clips/s':>10}{'min':>10}{'loader ÷ this':>16}{'min':>8}")
    for name, values in rates.items():
        ratios = [mine / other for mine, other in zip(rates["loader"], values, strict=True)]
        middle, least = statistics.median(values), min(values)
        print(f"  {name:<40}{middle:>10.1f}{least:>10.1f}{statistics.median(ratios):>16.2f}{min(ratios):>8.2f}")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--videos", type=Path, metavar="DIR", help="make the clips from the videos here, not from rendered ones"
    )
    made.add_argument("--clips", type=int, default=60, help="how many clips (default: 60, 11 MB each)")
    made.add_argument("--rounds", type=int, default=9)
    made.add_argument("--quick", action="store_true", help="12 clips, 3 rounds")
    return made


def main() -> None:
    options = parser().parse_args()
    clips, rounds = (12, 3) if options.quick else (options.clips, options.rounds)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if options.videos:
            videos = [
                path for path in sorted(options.videos.rglob("*")) if path.suffix in (".mp4", ".mkv", ".webm", ".mov")
            ]
        else:
            videos = render_videos(folder, clips)
        data = folder / "data"
        data.mkdir()
        sources = make_dataset(videos, data, clips)
        if find_spec("webdataset"):
            write_tars(data, data / "tar")
        size = sum(path.stat().st_size for path in shard_paths(data))
        print(
            f"{len(sources)} clips of {PAPER}, {size / 1e6:.0f} MB in {len(shard_paths(data))} shards; {os.cpu_count()} cores"
        )
        for kind in BATCH:
            print_table(kind, measure(variants(data, sources, kind), rounds))
        for name in ("webdataset", "torchcodec"):
            if not find_spec(name):
                print(f"\n{name} is not installed, so it was left out: pip install -e .[bench]")


if __name__ == "__main__":
    main()
