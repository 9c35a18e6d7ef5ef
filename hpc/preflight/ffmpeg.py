"""Judge ffmpeg and ffprobe: can videos be read, scaled, and given sound?"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hpc.preflight.finding import Finding
from hpc.preflight.limits import Answer, ask

_FFMPEG_LIMIT_S = 20.0
_GET_FFMPEG = (
    "apt-get install ffmpeg, on a cluster `module load ffmpeg`, or without root: conda install -c conda-forge ffmpeg"
)

# What the sources of videos use, and the decoders that read it. The decoder called plain "av1" needs a GPU of its own.
DECODERS: dict[str, tuple[str, ...]] = {
    "h264": ("h264", "libopenh264"),
    "hevc": ("hevc",),
    "vp9": ("vp9", "libvpx-vp9"),
    "av1": ("libdav1d", "libaom-av1", "libgav1"),
    "aac": ("aac", "libfdk_aac"),
    "opus": ("opus", "libopus"),
}
_AAC_ENCODERS = ("aac", "libfdk_aac")


@dataclass(frozen=True)
class FfmpegFacts:
    """What ffmpeg and ffprobe answered: to -version both, and ffmpeg to -decoders, -encoders and -filters."""

    ffmpeg: Answer
    ffprobe: Answer
    decoders: str = ""
    encoders: str = ""
    filters: str = ""


def gather_ffmpeg(limit_s: float = _FFMPEG_LIMIT_S, environ: Mapping[str, str] | None = None) -> FfmpegFacts:
    """Run the ffmpeg and ffprobe of PATH; each call ends within `limit_s`."""

    def listed(what: str) -> str:
        answer = ask(["ffmpeg", "-hide_banner", what], limit_s, environ)
        return answer.text if answer.outcome == "answered" else ""

    ffmpeg = ask(["ffmpeg", "-version"], limit_s, environ)
    ffprobe = ask(["ffprobe", "-version"], limit_s, environ)
    if ffmpeg.outcome != "answered":
        return FfmpegFacts(ffmpeg, ffprobe)
    return FfmpegFacts(ffmpeg, ffprobe, listed("-decoders"), listed("-encoders"), listed("-filters"))


def judge_ffmpeg(facts: FfmpegFacts) -> Finding:
    """Judge whether videos can be read, scaled, and given sound."""
    for answer in (facts.ffmpeg, facts.ffprobe):
        if answer.outcome == "missing":
            return Finding("ffmpeg", "fail", f"{answer.text}, so no video can be read", _GET_FFMPEG)
        if answer.outcome != "answered":
            return Finding("ffmpeg", "fail", answer.text, f"repair or replace it: {_GET_FFMPEG}")
    named = re.search(r"ffmpeg version (\S+)", facts.ffmpeg.text)
    version = named[1] if named else "of an unknown version"
    decoders, encoders, filters = (_names(text) for text in (facts.decoders, facts.encoders, facts.filters))
    missing = [f"decoder {name}" for name, ways in DECODERS.items() if not decoders.intersection(ways)]
    missing += [] if encoders.intersection(_AAC_ENCODERS) else ["encoder aac"]
    missing += [] if "scale" in filters else ["filter scale"]
    if missing:
        sentence = f"ffmpeg {version} lacks {', '.join(missing)}: videos that need it will be refused"
        return Finding("ffmpeg", "warn", sentence, f"use a complete ffmpeg: {_GET_FFMPEG}")
    return Finding("ffmpeg", "ok", f"ffmpeg {version} and ffprobe; reads {', '.join(DECODERS)}; scales; writes aac")


def _names(listing: str) -> set[str]:
    """Second column of ffmpeg's listings: flags, name, description."""
    return {found[1] for found in re.finditer(r"^ \S+ +(\S+)", listing, re.MULTILINE)}
