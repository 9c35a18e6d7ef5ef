"""What the truth of a clip of impacts says is what its picture shows and its sound lets hear."""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.synthetic.films import encoded, small
from v2a.synthetic.clip import SOUND_SPEED
from v2a.synthetic.materials import MATERIALS, Body
from v2a.synthetic.modal_sound import Blow, strike, strike_amplitude

RATE, FPS = 48000, 20


def _alone(contacts: list[dict], gap_s: float = 0.2) -> list[dict]:
    """Strikes that are clearly heard, with nothing just before them."""
    times = [contact["arrival_s"] for contact in contacts]
    return [
        contact
        for contact in contacts
        if contact["peak_db"] > -34
        and 0.1 < contact["arrival_s"] < 5.9
        and not any(-gap_s < other - contact["arrival_s"] < 0 for other in times)
    ]


def _onset(sound: np.ndarray, expected_s: float) -> float:
    """Moment of the steepest rise of energy (windows of 2 ms) within 60 ms around, s: found from the sound alone."""
    first = int((expected_s - 0.06) * RATE)
    part = np.diff(sound[first : first + int(0.12 * RATE)], prepend=0.0)  # less of the low ringing of what came before
    energy = np.convolve(part**2, np.ones(96), mode="full")[: len(part)]
    rise = np.log(energy[96:] + 1e-7) - np.log(energy[:-96] + 1e-7)
    return (first + 96 + int(np.argmax(rise)) - 48) / RATE


def test_onsets_in_the_file_are_where_contacts_arrive(tmp_path: Path):
    errors = []
    for index in range(8):
        (tmp_path / str(index)).mkdir()
        film = encoded("impacts", index, tmp_path / str(index), fps=2)
        errors += [_onset(film.decoded_sound, c["arrival_s"]) - c["arrival_s"] for c in _alone(film.truth["contacts"])]
    assert len(errors) >= 15
    assert np.mean(np.abs(errors) < 0.010) >= 0.95
    assert abs(np.median(errors)) < 0.003


def test_arrivals_are_later_by_the_way_of_the_sound():
    _, truth, _, _ = small("impacts", 0)
    for contact in truth["contacts"]:
        assert contact["arrival_s"] - contact["time_s"] == pytest.approx(contact["distance_m"] / SOUND_SPEED, abs=1e-5)
        where = np.linalg.norm(np.array(contact["position_m"]) - np.array(truth["camera"]["eye_m"]))
        assert contact["distance_m"] == pytest.approx(where, abs=0.01)


def test_before_the_first_contact_there_is_only_ambience():
    quiet = 0
    for index in range(12):
        _, truth, _, sound = small("impacts", index, seconds=3.0, fps=5)
        first = min((c["arrival_s"] for c in truth["contacts"]), default=3.0)
        if first > 0.3:
            quiet += 1
            before = sound[: int((first - 0.01) * RATE)] / 32768
            level = 20 * np.log10(np.sqrt(np.mean(before**2)))
            assert level == pytest.approx(truth["scene"]["ambience_level_db"], abs=3.5)
    assert quiet >= 3


def test_a_body_is_drawn_within_its_box_and_moves_with_its_track():
    """Frame against frame: what changed lies in some body's box (with its shadow below), bar the grain and the clock."""
    for index in range(4):
        _, truth, frames, _ = small("impacts", index)
        calm = np.median(frames, axis=0)
        boxes = [body["box_px"] for body in truth["bodies"]]
        assert all(len(found) == len(frames) for found in boxes)
        for frame in range(0, len(frames), 7):
            covered = np.zeros(calm.shape[:2], bool)
            for found in boxes:
                if found[frame] is not None:
                    left, top, right, bottom = found[frame]
                    covered[top:bottom, left:right] = True
            bright = np.abs(frames[frame].astype(float) - calm).max(axis=-1) > 60
            bright[:14] = False  # the clock
            # What rests for most of the clip is part of the calm picture; where it is gone, that is no body either.
            rests = np.zeros_like(bright)
            for found in boxes:
                for box in found:
                    if box is not None:
                        rests[box[1] : box[3], box[0] : box[2]] = True
            assert not (bright & ~covered & ~rests).any()


def _falling(material: str, size: float) -> Body:
    half = size / 2
    return Body("ball", MATERIALS[material], (1, 2, 3), half, half, half, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0)  # type: ignore[index]


def _centroid(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound)) ** 2
    return float(np.sum(spectrum * np.fft.rfftfreq(len(sound), 1 / RATE)) / np.sum(spectrum))


def _strike(material: str, size: float, speed: float = 3.0) -> np.ndarray:
    body = _falling(material, size)
    blow = Blow(body, speed, strike_amplitude(body, speed, 5.0), None)
    return strike(np.random.default_rng(0), blow, RATE)


@pytest.mark.parametrize("material", sorted(MATERIALS))
def test_larger_is_lower_and_louder_harder_is_brighter(material: str):
    small_one, large = _strike(material, 0.15), _strike(material, 0.5)
    assert _centroid(large) < 0.7 * _centroid(small_one)
    assert np.abs(large).max() > np.abs(small_one).max()
    soft, hard = _strike(material, 0.3, 0.5), _strike(material, 0.3, 6.0)
    assert np.abs(hard).max() > 8 * np.abs(soft).max()
    assert _centroid(hard) > _centroid(soft)


def test_materials_sound_in_their_order():
    centroids = [_centroid(_strike(name, 0.2)) for name in ("rubber", "plastic", "wood", "metal", "glass")]
    assert centroids == sorted(centroids)
    ringing = {
        name: np.sum(_strike(name, 0.2)[9600:] ** 2) / np.sum(_strike(name, 0.2) ** 2)
        for name in ("metal", "wood", "stone")
    }
    assert ringing["metal"] > 0.02 > 10 * max(ringing["wood"], ringing["stone"])


def test_a_strike_starts_at_its_first_sample():
    sound = _strike("stone", 0.2)
    assert np.abs(sound[:96]).max() > 0.3 * np.abs(sound).max()
