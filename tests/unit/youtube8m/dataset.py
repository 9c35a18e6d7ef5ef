"""A small YouTube-8M: records written by the tfrecord library in the dataset's layouts, and a vocabulary in its columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfrecord import TFRecordWriter

COLUMNS = "Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl,Vertical1,Vertical2,Vertical3,WikiDescription"
LABELS = {  # index: name, knowledge-graph id; the first ones as in the 2018 vocabulary
    44: ("Aircraft", "/m/0k5j"),
    46: ("Airplane", "/m/05czz6l"),
    109: ("Landing", "/m/01wjl5"),
    114: ("Airliner", "/m/0cnpz"),
    119: ("Radio-controlled aircraft", "/m/0dbbfl"),
    186: ("Helicopter", "/m/09ct_"),
    200: ("Paper; folded", "/m/a1"),
    201: ("Twin", "/m/a2"),
    202: ("twin", "/m/a3"),
}


def write_vocabulary(path: Path) -> Path:
    rows = [
        f'{index},35170,{graph},"{name}",,Vehicles,,,"A ""long"" text,\nin lines"'
        for index, (name, graph) in LABELS.items()
    ]
    path.write_text("\n".join([COLUMNS, *rows]) + "\n")
    return path


class Records:
    """Writes one file of records."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = TFRecordWriter(str(path))

    def video(self, name: str, labels: Sequence[int]) -> Records:
        self._writer.write({
            "id": (name.encode(), "byte"), "labels": (list(labels), "int"),
            "mean_rgb": ([0.5] * 1024, "float"), "mean_audio": ([0.25] * 128, "float"),
        })  # fmt: skip
        return self

    def frames(
        self, name: str, labels: Sequence[int], seconds: int = 3, segments: Sequence[Sequence[Any]] = ()
    ) -> Records:
        """Frame level; segments are (start, label, score)."""
        context = {"id": (name.encode(), "byte"), "labels": (list(labels), "int")}
        if segments:
            context |= {
                "segment_start_times": ([start for start, _, _ in segments], "int"),
                "segment_end_times": ([start + 5 for start, _, _ in segments], "int"),
                "segment_labels": ([label for _, label, _ in segments], "int"),
                "segment_scores": ([score for _, _, score in segments], "float"),
            }
        features = {"rgb": ([bytes(range(256)) * 4] * seconds, "byte"), "audio": ([bytes(128)] * seconds, "byte")}
        self._writer.write(context, features)
        return self

    def raw(self, features: dict[str, Any]) -> Records:
        self._writer.write(features)
        return self

    def close(self) -> Path:
        self._writer.close()
        return self.path
