"""The table of a shard as bytes: JSON by columns, which keeps any text exactly, paths that are not UTF-8 included."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, TypeVar

from v2a.shards.records import ClipRow, VideoRecord

T = TypeVar("T")


def encode_table(rows: Sequence[ClipRow], videos: Sequence[VideoRecord]) -> bytes:
    """Rows and records as ASCII; lone surrogates become escapes, -inf is "-Infinity"."""
    return json.dumps({"clips": _columns(ClipRow, rows), "videos": _columns(VideoRecord, videos)}).encode("ascii")


def decode_table(data: bytes) -> tuple[list[ClipRow], list[VideoRecord]]:
    """The inverse of `encode_table`.

    Raises:
        ValueError: not such a table.
    """
    try:
        parts = json.loads(data)
        videos = parts["videos"]
        if "moments" in videos:  # JSON has lists only
            videos["moments"] = [[tuple(moment) for moment in moments] for moments in videos["moments"]]
        return _records(ClipRow, parts["clips"]), _records(VideoRecord, videos)
    except (KeyError, TypeError) as error:
        raise ValueError(f"the table lacks or has too many columns ({error})") from error


def _columns(kind: type, records: Sequence[Any]) -> dict[str, list[Any]]:
    return {field.name: [getattr(record, field.name) for record in records] for field in dataclasses.fields(kind)}


def _records(kind: type[T], columns: dict[str, list[Any]]) -> list[T]:
    names = list(columns)
    return [kind(**dict(zip(names, values, strict=True))) for values in zip(*columns.values(), strict=True)]
