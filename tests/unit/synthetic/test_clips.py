"""Clips are pure functions of (kind, seed, number, sizes), and all of them differ."""

import json

import numpy as np
import pytest
from PIL import Image

from v2a.geometry import Geometry
from v2a.synthetic.clip import Clip, dump, to_pcm
from v2a.synthetic.config import KINDS, Config
from v2a.synthetic.corpus import render_clip
from v2a.synthetic.flyby_scene import draw_scene as draw_flyby
from v2a.synthetic.impacts_scene import draw_scene as draw_impacts

TINY = Config(out="unused", seconds=1.0, width=128, height=72, fps=10, sample_rate=16000)


def _first(clip: Clip) -> np.ndarray:
    return next(iter(clip.frames))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_number_is_the_same_clip(kind: str):
    one, two = (render_clip(kind, TINY, 4) for _ in range(2))
    assert [frame.tobytes() for frame in one.frames] == [frame.tobytes() for frame in two.frames]
    assert one.sound.tobytes() == two.sound.tobytes()
    assert dump(one.truth) == dump(two.truth)


@pytest.mark.parametrize("kind", KINDS)
def test_clips_have_the_geometry_that_was_asked_for(kind: str):
    clip = render_clip(kind, TINY, 0)
    frames = list(clip.frames)
    assert {(frame.shape, frame.dtype.name) for frame in frames} == {((72, 128, 3), "uint8")}
    assert len(frames) == 10
    assert (clip.sound.shape, clip.sound.dtype) == ((16000,), np.int16)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [(64, 64, 1, 2.0, 22050), (72, 200, 12, 1.0, 44100), (400, 100, 30, 0.5, 48000)])
def test_odd_shapes_are_rendered(kind: str, sizes: tuple[int, int, int, float, int]):
    width, height, fps, seconds, rate = sizes
    config = Config(out="unused", width=width, height=height, fps=fps, seconds=seconds, sample_rate=rate)
    for index in range(3):
        clip = render_clip(kind, config, index)
        assert [frame.shape for frame in clip.frames] == [(height, width, 3)] * config.geometry().frames
        assert len(clip.sound) == config.geometry().samples


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_clips_look_alike(kind: str):
    """Thumbnails of 16x9 of the first frame, 40 clips of two seeds: the nearest pair differs by several grey levels."""
    clips = [
        render_clip(kind, Config(**{**TINY.__dict__, "seed": seed}), index) for seed in (0, 1) for index in range(20)
    ]
    small = [np.asarray(Image.fromarray(_first(clip)).resize((16, 9)), float).ravel() for clip in clips]
    away = np.abs(np.array(small)[:, None] - np.array(small)[None]).mean(axis=2) + 1e3 * np.eye(len(small))
    assert away.min() > 1.0
    assert np.median(away) > 15
    assert len({clip.sound.tobytes() for clip in clips}) == len(clips)


def test_thousands_of_flights_are_all_different():
    """Parameters only: no panorama has to be painted for a path."""
    from v2a.synthetic.aircraft import AIRCRAFT
    from v2a.synthetic.clip import generator
    from v2a.synthetic.flight import draw_flight

    flights = {
        draw_flight(generator("flyby", seed, index, "scene"), AIRCRAFT[index % len(AIRCRAFT)], 10.0)
        for seed in range(2)
        for index in range(1500)
    }
    assert len(flights) == 3000


def test_every_aircraft_ground_hour_and_way_of_filming_occurs():
    geometry = Geometry(64, 36, 5, 4.0, 16000)
    scenes = [draw_flyby(geometry, 0, index) for index in range(120)]
    assert {len(scene.actors) for scene in scenes} == {0, 1, 2}
    assert len({actor.kind.name for scene in scenes for actor in scene.actors}) == 11
    assert len({scene.ground_name for scene in scenes}) == 7
    assert len({scene.sky.hour.name for scene in scenes}) == 8
    assert {scene.camera.mode for scene in scenes} == {"fixed", "pan", "handheld"}
    assert len({actor.flight.path for scene in scenes for actor in scene.actors}) == 4


def test_every_place_material_and_shape_occurs():
    scenes = [draw_impacts(64, 36, 6.0, 0, index) for index in range(50)]
    bodies = [body for scene in scenes for body in scene.world.bodies]
    assert len({scene.place.kind.name for scene in scenes}) == 6
    assert len({body.material.name for body in bodies}) == 6
    assert {body.shape for body in bodies} == {"ball", "box", "can", "disc"}
    assert {contact.against for scene in scenes for contact in scene.world.contacts} == {"floor", "wall", "body"}
    assert all(scene.world.contacts for scene in scenes)


def test_no_sound_is_clipped_at_full_scale():
    clips = [render_clip(kind, TINY, index) for kind in KINDS for index in range(25)]
    assert [clip.truth["scene"]["clipped_samples"] for clip in clips] == [0] * 50
    assert max(int(np.abs(clip.sound).max()) for clip in clips) > 3000, "and none is too soft to be of use"


def test_pcm_counts_what_it_clips():
    pcm, clipped = to_pcm(np.array([0.0, 1.0, -1.0, 1.5, -2.0]))
    assert (pcm.tolist(), clipped) == ([0, 32767, -32767, 32767, -32767], 2)


def test_a_truth_is_json_and_holds_no_infinity():
    truth = render_clip("impacts", TINY, 1).truth
    assert json.loads(dump(truth)) == json.loads(json.dumps(truth))
    with pytest.raises(ValueError, match="Out of range float"):
        dump({"level_db": float("-inf")})
