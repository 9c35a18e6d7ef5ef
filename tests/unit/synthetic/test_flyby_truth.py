"""What the truth of a fly-by says is what its picture shows and its sound lets hear."""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.synthetic.films import Film, encoded, flyby_with, small
from v2a.geometry import Geometry
from v2a.synthetic.aircraft import AIRCRAFT
from v2a.synthetic.clip import SOUND_SPEED
from v2a.synthetic.engine_sound import fundamental_hz, level_db, render_aircraft
from v2a.synthetic.flight import EAR, Flight, distance, heard_at
from v2a.synthetic.flyby_picture import background
from v2a.synthetic.flyby_scene import draw_scene

RATE, FPS = 48000, 20


@pytest.fixture(name="films", scope="module")
def films_fixture(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Film]:
    return {
        family: encoded("flyby", flyby_with(family), tmp_path_factory.mktemp(family))
        for family in ("propeller", "jet", "glider")
    }


def _levels(sound: np.ndarray, window_s: float = 0.2) -> np.ndarray:
    """RMS around each frame's moment, dB."""
    half = int(window_s / 2 * RATE)
    power = np.convolve(sound**2, np.ones(2 * half) / (2 * half), mode="same")
    return 10 * np.log10(np.maximum(power[:: RATE // FPS], 1e-12))


@pytest.mark.parametrize("family", ["propeller", "jet", "glider"])
def test_the_level_in_the_file_follows_the_truth(films: dict[str, Film], family: str):
    film = films[family]
    truth = np.array(film.truth["aircraft"][0]["heard"]["level_db"])
    expected = 10 * np.log10(10 ** (truth / 10) + 10 ** (film.truth["scene"]["ambience_level_db"] / 10))
    measured = _levels(film.decoded_sound)[: len(truth)]
    inside = slice(4, -4)
    assert np.ptp(truth) > 6, "a level that hardly changes would prove nothing"
    assert np.corrcoef(expected[inside], measured[inside])[0, 1] > 0.9
    assert abs(np.median(measured[inside] - expected[inside])) < 1.0
    # The other way round in time it does not fit: the test can tell.
    assert (
        np.abs(measured[inside] - expected[::-1][inside]).mean()
        > 2 * np.abs(measured[inside] - expected[inside]).mean()
    )


@pytest.mark.parametrize("kind", AIRCRAFT, ids=lambda kind: kind.name)
def test_the_expected_level_of_every_aircraft_is_what_is_rendered(kind):
    flight = Flight("crossing", 1.5, (0.0, 150.0, 60.0), 70.0, 0.1, 0.0, 0.0, 0.85)
    geometry = Geometry(64, 36, FPS, 3.0, RATE)
    sound = render_aircraft(np.random.default_rng(1), kind, flight, geometry)
    times = np.arange(geometry.frames) / FPS
    away = _levels(sound)[: len(times)] - level_db(kind, flight, times, RATE)
    assert abs(away[4:-4].mean()) < 0.5


def test_the_fundamental_in_the_file_follows_the_doppler_of_the_truth(films: dict[str, Film]):
    film = films["propeller"]
    truth = np.array(film.truth["aircraft"][0]["heard"]["fundamental_hz"])
    found, expected = [], []
    for frame in range(4, len(truth) - 4, 3):
        middle, half = frame * RATE // FPS, RATE // 10
        part = film.decoded_sound[middle - half : middle + half] * np.hanning(2 * half)
        spectrum = np.abs(np.fft.rfft(part, 1 << 17))
        hz = np.fft.rfftfreq(1 << 17, 1 / RATE)
        band = (hz > 45) & (hz < 200)
        found.append(hz[band][np.argmax(spectrum[band])])
        expected.append(truth[frame])
    assert np.ptp(expected) > 0.03 * np.mean(expected), "without a Doppler shift this would prove nothing"
    assert np.median(np.abs(np.array(found) / np.array(expected) - 1)) < 0.01
    assert np.corrcoef(found, expected)[0, 1] > 0.95


def test_emission_and_arrival_times_obey_the_speed_of_sound(films: dict[str, Film]):
    for film in films.values():
        heard = film.truth["aircraft"][0]["heard"]
        late = np.arange(len(heard["emission_s"])) / FPS - np.array(heard["emission_s"])
        assert np.allclose(late, np.array(heard["distance_m"]) / SOUND_SPEED, atol=1e-4)
        # The Doppler factor is how fast emission time passes as it is heard.
        slope = np.gradient(np.array(heard["emission_s"])) * FPS
        assert np.allclose(slope[1:-1], np.array(heard["doppler"])[1:-1], atol=0.01)


def test_what_was_seen_at_the_emission_is_what_is_heard():
    flight = Flight("turning", 2.0, (30.0, 90.0, 40.0), 60.0, 0.4, 0.2, 1.0, 1.0)
    times = np.linspace(0, 6, 50)
    heard = heard_at(flight, times)
    assert np.allclose(distance(flight, heard.emission_s), heard.distance_m, atol=1e-9)
    assert np.allclose(heard.emission_s + heard.distance_m / SOUND_SPEED, times, atol=1e-9)
    moved = (distance(flight, heard.emission_s + 1e-5) - distance(flight, heard.emission_s - 1e-5)) / 2e-5
    assert np.allclose(moved, heard.radial_mps, atol=1e-4)


def test_doppler_of_a_straight_approach_has_its_closed_form():
    """Coming straight at the ear at 68.6 m/s, a fifth of the speed of sound: a quarter higher."""
    flight = Flight("approach", 0.0, (0.0, 2000.0, float(EAR[2])), 0.2 * SOUND_SPEED, -np.pi / 2, 0.0, 0.0, 1.0)
    assert heard_at(flight, np.array([1.0, 5.0])).doppler == pytest.approx([1.25, 1.25])


def test_a_propellers_pitch_is_its_blades_times_its_turns():
    light = AIRCRAFT[0]
    climb = Flight("departure", 0.0, (0.0, 100.0, 50.0), 50.0, 0.0, 0.0, 3.0, 1.0)
    assert fundamental_hz(light, climb) == pytest.approx(2 * 2500 / 60)
    assert fundamental_hz(AIRCRAFT[-1], climb) == 0


@pytest.mark.parametrize("family", ["propeller", "jet", "glider"])
def test_the_box_holds_all_that_is_drawn(family: str):
    """Against the same frames without the aircraft: no pixel outside the box differs, and those inside reach its sides."""
    index = flyby_with(family)
    config, truth, frames, _ = small("flyby", index)
    scene = draw_scene(config.geometry(), 3, index)
    empty = np.stack(list(background(scene, np.arange(len(frames)) / FPS)))
    tight, drawn = [], 0
    for frame, box in enumerate(truth["aircraft"][0]["seen"]["box_px"]):
        changed = np.any(frames[frame] != empty[frame], axis=-1)
        if box is None:
            assert not changed.any()
            continue
        left, top, right, bottom = box
        inside = changed[top:bottom, left:right]
        assert changed.sum() == inside.sum()
        if inside.any():
            drawn += 1
            rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
            tight.append(max(rows[0], columns[0], inside.shape[0] - 1 - rows[-1], inside.shape[1] - 1 - columns[-1]))
    assert drawn > 0.4 * len(frames)
    assert np.median(tight) <= 3


@pytest.mark.parametrize("kind", ["flyby", "impacts"])
def test_picture_and_sound_start_together_in_the_file(kind: str, tmp_path: Path):
    """The codec's delay is taken out by the file's own edit list: the best shift of the decoded sound is no sample."""
    film = encoded(kind, 2, tmp_path)
    assert len(film.decoded_frames) == len(film.frames)
    assert len(film.decoded_sound) == len(film.sound)
    shifts = range(-200, 201)
    match = [float(np.dot(film.sound[500:-500], np.roll(film.decoded_sound, -shift)[500:-500])) for shift in shifts]
    assert shifts[int(np.argmax(match))] == 0
    # And frame k of the file is frame k that was rendered, not its neighbour.
    away = np.abs(film.decoded_frames.astype(float) - film.frames).mean()
    assert away < 4
    assert all(
        np.abs(film.decoded_frames[k].astype(float) - film.frames[k]).mean()
        <= np.abs(film.decoded_frames[k].astype(float) - film.frames[k + 5]).mean()
        for k in range(0, len(film.frames) - 5, 10)
    )
