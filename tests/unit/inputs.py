"""What stages read, as far as a submission looks at it: manifests, names and sizes."""

import json
from pathlib import Path

GEOMETRY = {"width": 256, "height": 144, "fps": 10, "segment_s": 10.0, "sample_rate": 16000}


def write_clips(folder: Path, shards: int = 2, **geometry: float) -> Path:
    """A folder like `python -m v2a.prepare`'s; its shards hold nothing."""
    folder.mkdir(parents=True)
    entries = []
    for number in range(shards):
        (folder / f"clips-{number}.h5").write_bytes(b"x" * 10)
        entries.append({"name": f"clips-{number}.h5", "bytes": 10, "clips": 1, "table": ""})
    manifest = {"geometry": GEOMETRY | geometry, "shards": entries, "by_split": {"train": {"clips": 2}}}
    (folder / "dataset.json").write_text(json.dumps(manifest))
    return folder


def write_codes(folder: Path, shards: int = 2) -> Path:
    """A folder like `python -m v2a.codes`'s."""
    folder.mkdir(parents=True)
    for number in range(shards):
        (folder / f"codes-{number}.h5").write_bytes(b"x")
    return folder


def write_model(folder: Path, stage: str) -> Path:
    """A folder like `python -m v2a.export`'s."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"stage": stage}))
    return folder


def write_inputs(folder: Path) -> None:
    """Everything that any stage reads, where it looks for it by itself."""
    write_clips(folder / "data" / "clips")
    write_codes(folder / "data" / "codes")
    for name, stage in (("runs/vqvae", "vqvae"), ("models/vqvae", "vqvae"), ("models/audio", "audio")):
        write_model(folder / name, stage)
    (folder / "my clips (2)").mkdir()
    (folder / "sounds").mkdir()
    (folder / "sounds" / "report.jsonl").touch()
