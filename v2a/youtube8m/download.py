"""One video through yt-dlp: it is there under its final name when it is whole, and never otherwise."""

from __future__ import annotations

import os
import re
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v2a.youtube8m.tables import InputError
from v2a.youtube8m.whole import check_whole

# What yt-dlp's sentences mean, the first that fits. None of these gets better by itself, but for those in TEMPORARY.
_KINDS = (
    ("disk", r"no space left|errno 28|disk quota|read-only file system"),
    ("private", r"private video|video is private"),
    ("age-restricted", r"confirm your age|age-restricted|age restricted|inappropriate for some users"),
    ("sign-in", r"not a bot|sign in to confirm you|rate-limited by youtube|login required|please sign in|try again later"),
    ("geo-blocked", r"in your country|geo.?restrict|not available from your location|blocked it in"),
    ("copyright", r"copyright"),
    ("members", r"members-only|join this channel|requires payment|premium members"),
    ("removed", r"has been removed|account.{0,60}terminated|closed (?:their|his|her) |no longer available|video unavailable"),
    ("rate-limited", r"http error 429|too many requests"),
    ("refused", r"http error 403"),  # of YouTube a sign of too many requests, or of a yt-dlp that is too old
    ("not-found", r"http error (?:404|410)|does not exist|video is not available|incomplete youtube id"),
    ("no-format", r"requested format is not available|no video formats|drm protected"),
    ("live", r"live event|premieres? in|is live|will begin"),
    ("network", r"timed? ?out|http error 5\d\d|connection|unable to (?:download|connect)|more expected|content too short|resolve"),
)  # fmt: skip
TEMPORARY = frozenset({"network", "rate-limited", "refused", "sign-in", "damaged", "other"})
_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Wishes:
    """What to download and how.

    Attributes:
        template: address with {id} in it.
        format: yt-dlp's format expression, or "" for the best of at most `max_height`.
        max_height: lines of the picture.
        cookies: a file of cookies that yt-dlp may use and update.
    """

    template: str
    format: str = ""
    max_height: int = 360
    cookies: Path | None = None

    def expression(self) -> str:
        """yt-dlp's format expression. "?": also formats whose height nobody says."""
        limit = f"[height<=?{self.max_height}]"
        return self.format or f"bv*{limit}+ba/b{limit}"


@dataclass(frozen=True)
class Outcome:
    """What came of one video: `file` when it is whole, else a kind of failure with a reason; kind "stopped" is neither."""

    file: Path | None = None
    title: str = ""
    kind: str = ""
    reason: str = ""


class _Quiet:
    """yt-dlp's logger: what it says comes back in its exceptions, and the rest is for nobody."""

    def debug(self, text: str) -> None: ...

    def info(self, text: str) -> None: ...

    def warning(self, text: str) -> None: ...

    def error(self, text: str) -> None: ...


def need_library() -> None:
    """Raises an InputError that says how to get yt-dlp, if it is not there."""
    try:
        import yt_dlp  # type: ignore[import-untyped]  # noqa: F401
    except ImportError as error:
        raise InputError(f'downloading needs yt-dlp ({error}): pip install "v2a-hpc[youtube8m]"') from None


def download(video_id: str, folder: Path, wishes: Wishes, stop: threading.Event) -> Outcome:
    """Download one video to `folder/<video id>.<ext>`; goes on with what an earlier try left in `folder/.partial`.

    Raises:
        OSError: the disk is full, or may not be written to.
    """
    partial = folder.resolve() / ".partial" / video_id
    partial.mkdir(parents=True, exist_ok=True)
    outcome = _run(wishes.template.replace("{id}", video_id), partial, wishes, stop)
    if outcome.kind == "disk":
        raise OSError(28, outcome.reason, str(partial))
    if outcome.file is None:
        if not any(partial.iterdir()):
            partial.rmdir()
        return outcome
    fault = check_whole(outcome.file)
    if fault:
        shutil.rmtree(partial)  # else the next try takes it for done
        return Outcome(kind="damaged", reason=fault)
    final = folder / f"{video_id}{outcome.file.suffix}"
    _sync(outcome.file)
    os.replace(outcome.file, final)
    shutil.rmtree(partial, ignore_errors=True)
    return Outcome(final, outcome.title)


def _run(url: str, partial: Path, wishes: Wishes, stop: threading.Event) -> Outcome:
    from yt_dlp import YoutubeDL
    from yt_dlp.utils import DownloadCancelled, YoutubeDLError  # type: ignore[import-untyped]

    def watch(_progress: dict[str, Any]) -> None:
        if stop.is_set():
            raise DownloadCancelled

    descriptor = os.open(partial, os.O_RDONLY)
    # yt-dlp expands $NAME in the template's path, and knows no escape for it: such a folder is named by its descriptor.
    place = f"/proc/{os.getpid()}/fd/{descriptor}" if "$" in str(partial) else str(partial)
    try:
        with YoutubeDL(_options(place, wishes) | {"progress_hooks": [watch]}) as loader:
            info = loader.extract_info(url, download=True) or {}
    except DownloadCancelled:
        return Outcome(kind="stopped")
    except YoutubeDLError as error:
        return _failure(str(error))
    except OSError as error:
        return _failure(f"{error} (connection)" if not error.errno else str(error))
    finally:
        os.close(descriptor)
    done = info.get("requested_downloads") or [{}]
    path = partial / Path(done[0].get("filepath") or "nothing").name
    if not path.is_file():
        return Outcome(
            kind="live" if info.get("is_live") else "no-format", reason="yt-dlp found nothing to download there"
        )
    return Outcome(path, str(info.get("title") or ""))


def _options(place: str, wishes: Wishes) -> dict[str, Any]:
    return {
        "format": wishes.expression(),
        "outtmpl": {"default": place.replace("%", "%%") + "/video.%(ext)s"},
        "merge_output_format": "mp4/mkv",
        "cookiefile": str(wishes.cookies) if wishes.cookies else None,
        "match_filter": lambda info, **_: "it is live" if info.get("is_live") else None,  # a stream without an end
        "logger": _Quiet(),
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "color": "no_color",
        "noplaylist": True,
        "playlist_items": "1",
        "cachedir": False,
        "updatetime": False,
        "socket_timeout": _TIMEOUT_S,
        "retries": 4,
        "fragment_retries": 4,
        "extractor_retries": 2,
        "retry_sleep_functions": {"http": lambda n: min(2**n, 30), "fragment": lambda n: min(2**n, 30)},
    }


def _failure(text: str) -> Outcome:
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).removeprefix("ERROR: ")
    text = re.split(r" \(caused by |; please report this issue|\. +Use --cookies|; +see +https", text)[0].strip()
    kind = next((kind for kind, pattern in _KINDS if re.search(pattern, text, re.IGNORECASE)), "other")
    return Outcome(kind=kind, reason=text[:500])


def _sync(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())
