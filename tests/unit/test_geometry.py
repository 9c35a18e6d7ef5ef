"""One value, and the lengths that follow from it."""

import pytest

from v2a.geometry import Geometry


def test_the_paper():
    geometry = Geometry()
    assert (geometry.frames, geometry.samples, geometry.frame_bytes) == (100, 160_000, 110_592)
    assert geometry.latent_grid([(2, 4, 4), (2, 2, 2)]) == (25, 18, 32)
    assert str(geometry) == "256x144, 10 frames/s, 10 s, 16000 Hz"


def test_frames_start_at_whole_samples_and_never_drift():
    geometry = Geometry(fps=24, sample_rate=16000, segment_s=10)
    starts = [geometry.samples_until(frame) for frame in range(geometry.frames + 1)]
    assert starts[0] == 0
    assert starts[-1] == geometry.samples
    assert all(0 <= frame / 24 - start / 16000 < 1 / 16000 for frame, start in enumerate(starts))


def test_it_survives_plain_values():
    geometry = Geometry(width=64, segment_s=2.5)
    assert Geometry.from_dict(geometry.as_dict()) == geometry


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0}, "expected width of at least 1, but got width=0"),
        ({"width": 10**5, "height": 10**5}, "expected at most"),
        ({"segment_s": 0.0}, "expected segments of up to 3600 s, but got segment_s=0"),
        ({"segment_s": float("nan")}, "expected segments of up to 3600 s"),
        ({"segment_s": 0.25}, "expected a whole number of frames in a segment, but 0.25 s at 10/s are 2.5"),
        ({"segment_s": 0.1, "sample_rate": 11025}, "expected a whole number of samples in a segment"),
    ],
)
def test_what_has_no_whole_lengths_is_refused(changes: dict[str, float], message: str):
    with pytest.raises(ValueError, match=message):
        Geometry(**changes)  # type: ignore[arg-type]


def test_strides_that_do_not_divide_name_the_nearest_length():
    with pytest.raises(ValueError, match=r"expected height a multiple of 32 .* but got 144; 128 is"):
        Geometry().latent_grid([(2, 4, 4), (2, 8, 2)])


@pytest.mark.parametrize("values", [{}, {"width": 1}, {**Geometry().as_dict(), "depth": 1}])
def test_other_values_are_refused(values: dict[str, int]):
    with pytest.raises(ValueError, match="expected a geometry of width, height, fps, segment_s, sample_rate"):
        Geometry.from_dict(values)
