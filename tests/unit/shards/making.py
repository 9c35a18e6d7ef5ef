"""Small clips and datasets for tests; every clip is different, and can be made again to compare with."""

from pathlib import Path

import numpy as np

from v2a.geometry import Geometry
from v2a.shards.manifest import write_manifest
from v2a.shards.records import Clip, ClipRow, VideoRecord
from v2a.shards.splits import Splits
from v2a.shards.writer import ShardWriter

TINY = Geometry(width=16, height=8, fps=10, segment_s=1.2, sample_rate=400)
ODD = Geometry(width=6, height=10, fps=7, segment_s=3.0, sample_rate=11027)  # 1575 and 2/7 samples a frame
LABEL = "é😀\n\x01"
SOURCE = "/films/a\udcff b\n'\".mp4"  # a byte that is not UTF-8


def make_clip(number: int, geometry: Geometry = TINY, **row: object) -> Clip:
    random = np.random.default_rng(number)
    values = {
        "source": SOURCE,
        "content": f"{number // 3:032x}",
        "group": f"{number // 3:032x}",
        "label": LABEL,
        "segment": number % 3,
        "start_s": number % 3 * geometry.segment_s,
        "frames": geometry.frames,
        "has_audio": True,
        "level_db": -20.25,
        "motion": 1.0 / 3,
    } | row
    # Half of a frame is smooth, so that compression has something to do.
    video = random.integers(0, 256, (geometry.frames, geometry.height, geometry.width, 3), np.uint8)
    video[:, geometry.height // 2 :] = number % 256
    audio = random.integers(-(2**15), 2**15, geometry.samples, np.int64).astype(np.int16)
    return Clip(video, audio, ClipRow(**values))


def make_record(number: int = 0, **values: object) -> VideoRecord:
    known = {
        "source": SOURCE, "bytes": 2**40, "mtime_ns": 2**60 + number, "content": f"{number:032x}", "span": "0-5",
        "seconds": 3.6, "clips": 3, "dropped": {"still": 2}, "remainder_s": 0.1,
        "facts": {"codec": "h264", "fps": 29.97}, "notes": [LABEL],
    }  # fmt: skip
    return VideoRecord(**known | values)


def make_dataset(folder: Path, clips: int, geometry: Geometry = TINY, **settings: object) -> list[Clip]:
    """A dataset of `clips` clips, three of a video; `each` changes the rows, the rest goes to the writer."""
    folder.mkdir(exist_ok=True)
    each = settings.pop("each", lambda number: {})
    splits = settings.pop("splits", Splits())
    made = [make_clip(number, geometry, **each(number)) for number in range(clips)]
    with ShardWriter(folder, geometry, **{"prefix": "w0", "clips_per_shard": 5} | settings) as writer:
        for number, clip in enumerate(made):
            writer.add(clip)
            if number % 3 == 2:
                writer.end_video(make_record(number // 3))
    write_manifest(folder, geometry, {"fit": "stretch"}, splits)
    return made


def same(one: Clip, other: Clip) -> bool:
    return (
        one.row == other.row and np.array_equal(one.video, other.video) and np.array_equal(one.audio, other.audio)
        and one.video.dtype == other.video.dtype and one.audio.dtype == other.audio.dtype
    )  # fmt: skip
