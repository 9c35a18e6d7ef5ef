"""Stretch, crop and pad: what lands where, for any shape, pixel aspect and turn."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.unit.media.films import H264, ffmpeg
from tests.unit.media.reads import read
from v2a.geometry import Geometry
from v2a.media.fit import place
from v2a.media.readers import READERS
from v2a.media.reading import Fit

_CLIP = (256, 144)


@pytest.mark.parametrize(
    ("fit", "stored", "aspect", "rotation", "scaled", "corner"),
    [
        ("stretch", (640, 480), None, 0, (256, 144), (0, 0)),
        ("stretch", (640, 480), Fraction(4, 3), 90, (144, 256), (0, 0)),
        ("crop", (640, 360), None, 0, (256, 144), (0, 0)),
        ("crop", (640, 480), None, 0, (256, 192), (0, -24)),
        ("crop", (640, 480), Fraction(4, 3), 0, (256, 144), (0, 0)),
        ("crop", (1920, 800), None, 0, (346, 144), (-45, 0)),
        ("crop", (360, 640), None, 0, (256, 455), (0, -156)),
        ("crop", (640, 360), None, 90, (455, 256), (0, -156)),
        ("pad", (640, 480), None, 0, (192, 144), (32, 0)),
        ("pad", (1920, 800), None, 0, (256, 107), (0, 18)),
        ("pad", (640, 360), None, 270, (144, 81), (87, 0)),
        ("pad", (640, 480), Fraction(4, 3), 180, (256, 144), (0, 0)),
        ("pad", (10000, 1), None, 0, (256, 1), (0, 71)),
        ("crop", (10000, 1), None, 0, (2048, 144), (-896, 0)),
        ("stretch", (640, 360), Fraction(0), 7, (256, 144), (0, 0)),
    ],
)
def test_sizes(  # noqa: PLR0917
    fit: Fit,
    stored: tuple[int, int],
    aspect: Fraction | None,
    rotation: int,
    scaled: tuple[int, int],
    corner: tuple[int, int],
):
    found = place(fit, stored, aspect, rotation, _CLIP)
    assert (found.scaled_width, found.scaled_height) == scaled
    assert (found.left, found.top) == corner


def test_the_scaler_is_chosen_by_growth():
    assert place("stretch", (640, 360), None, 0, _CLIP).filter_name == "area"
    assert place("stretch", (640, 100), None, 0, _CLIP).filter_name == "bicubic"


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_turned_picture_lands_as_numpy_turns_it(rotation: int):
    found = place("pad", (40, 20), None, rotation, (40, 40))
    scaled = np.random.default_rng(0).integers(1, 255, (found.scaled_height, found.scaled_width, 3), dtype=np.uint8)
    clip = np.full((40, 40, 3), 99, np.uint8)
    found.put(scaled, clip)
    turned = np.rot90(scaled, rotation // 90)
    height, width = turned.shape[:2]
    assert (clip[found.top : found.top + height, found.left : found.left + width] == turned).all()
    assert clip.astype(int).sum() == turned.astype(int).sum()


def _quarters(path: Path, *options: str) -> Path:
    """Red, green, blue and white quarters, 4:3."""
    parts = "".join(f"color={c}:s=160x120,format=rgb24[{c}];" for c in ("red", "lime", "blue", "white"))
    ffmpeg(
        "-filter_complex", parts + "[red][lime][blue][white]xstack=inputs=4:layout=0_0|160_0|0_120|160_120,trim=duration=1",
        *H264, "-colorspace", "bt470bg", *options, path,
    )  # fmt: skip
    return path


_COLOURS = {"r": (255, 0, 0), "g": (0, 255, 0), "b": (0, 0, 255), "w": (255, 255, 255), ".": (0, 0, 0)}


def _corners(video: npt.NDArray[np.uint8], inset: int) -> str:
    """Names of the colours near the four corners, by rows."""
    height, width = video.shape[:2]
    found = ""
    for y in (10, height - 11):
        for x in (inset, width - 1 - inset):
            pixel = video[y, x].astype(int)
            found += min(_COLOURS, key=lambda name: int(np.abs(pixel - _COLOURS[name]).sum()))
    return found


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("fit", "clockwise", "inset", "corners"),
    [
        ("stretch", 0, 10, "rgbw"),
        ("stretch", 90, 10, "brwg"),
        ("stretch", 180, 10, "wbgr"),
        ("stretch", 270, 10, "gwrb"),
        ("crop", 0, 10, "rgbw"),
        ("crop", 90, 10, "brwg"),
        ("pad", 0, 10, "...."),
        ("pad", 0, 40, "rgbw"),
        ("pad", 270, 60, "...."),
        ("pad", 270, 100, "gwrb"),
    ],
)
def test_colours_and_turns(  # noqa: PLR0917
    fit: Fit, clockwise: int, inset: int, corners: str, reader: str, tmp_path: Path
):
    path = _quarters(tmp_path / "quarters.mp4")
    if clockwise:
        ffmpeg(
            "-i",
            path,
            "-c",
            "copy",
            "-metadata:s:v:0",
            f"rotate={360 - clockwise}",  # counter-clockwise
            tmp_path / "turned.mp4",
        )
        path = tmp_path / "turned.mp4"
    found = read(reader, path, Geometry(segment_s=1.0), fit=fit)
    assert found.error is None
    assert found.facts is not None
    assert found.facts.rotation == (360 - clockwise) % 360
    assert _corners(found.segments[0].video[5], inset) == corners


def test_both_readers_put_colour_in_the_same_place(tmp_path: Path):
    """Small and colourful, and enlarged: half a pixel of chroma shows."""
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x36:d=1", *H264, tmp_path / "x.mp4")
    one, other = (read(reader, tmp_path / "x.mp4", Geometry(segment_s=1.0)).video for reader in READERS)
    assert np.abs(one.astype(int) - other).mean() < 0.5


@pytest.mark.parametrize("reader", READERS)
def test_anamorphic_pixels_count(reader: str, tmp_path: Path):
    """4:3 stored with pixels of 4:3 is 16:9 as it is shown: nothing to pad."""
    path = _quarters(tmp_path / "wide.mp4", "-aspect", "16:9")
    found = read(reader, path, Geometry(segment_s=1.0), fit="pad")
    assert _corners(found.segments[0].video[5], 5) == "rgbw"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("matrix", "full"), [("bt709", False), ("bt470bg", False), ("bt470bg", True)])
def test_colours_follow_the_files_matrix_and_range(matrix: str, full: bool, reader: str, tmp_path: Path):
    """A colour made with some matrix and range comes back as it was, within the coder's loss."""
    colour = (180, 60, 40)
    option = "full" if full else "tv"
    ffmpeg(
        "-f", "lavfi", "-i", f"color=0x{colour[0]:02x}{colour[1]:02x}{colour[2]:02x}:s=320x180:d=0.5,format=rgb24,"
        f"scale=out_color_matrix={matrix}:out_range={option},format=yuv420p",
        "-c:v", "libx264", "-qp", "1", "-colorspace", matrix, "-color_range", "pc" if full else "tv", tmp_path / "x.mp4",
    )  # fmt: skip
    found = read(reader, tmp_path / "x.mp4")
    assert np.abs(found.video[0].astype(int) - colour).max() <= 4
