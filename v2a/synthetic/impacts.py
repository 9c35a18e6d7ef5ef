"""Impacts: a fixed camera on things that fall and hit; each contact is a strike at its exact moment, by material and size."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import signal

from v2a.geometry import Geometry
from v2a.synthetic.clip import SOUND_SPEED, Clip, Floats, generator, rounded, to_pcm
from v2a.synthetic.impacts_picture import frames
from v2a.synthetic.impacts_scene import Scene, draw_scene, track
from v2a.synthetic.mesh import Box
from v2a.synthetic.modal_sound import Blow, rolling, room_answer, strike, strike_amplitude
from v2a.synthetic.physics import Contact

_AMBIENCE_DB = (-72.0, -60.0)


def render(geometry: Geometry, seed: int, index: int) -> Clip:
    """Clip `index` of the impacts of a seed. Its truth's boxes are complete when all frames have been taken."""
    scene = draw_scene(geometry.width, geometry.height, geometry.segment_s, seed, index)
    rng = generator("impacts", seed, index, "sound")
    times = np.arange(geometry.frames) / geometry.fps
    sound = np.zeros(geometry.samples)
    contacts = [_add_strikes(rng, scene, contact, sound, geometry) for contact in scene.world.contacts]
    for number in range(len(scene.world.bodies)):
        sound += _roll(rng, scene, number, geometry)
    kind = scene.place.kind
    sound = signal.fftconvolve(sound, room_answer(kind.name, kind.ring_s, geometry.sample_rate))[: geometry.samples]
    bed_db = float(rng.uniform(*_AMBIENCE_DB))
    hum = signal.lfilter([0.03], [1, -0.97], rng.standard_normal(geometry.samples))
    sound += 10 ** (bed_db / 20) * hum / hum.std()
    pcm, clipped = to_pcm(sound)
    boxes: list[list[Box | None]] = [[] for _ in scene.world.bodies]
    truth = {
        "scene": {
            "place": kind.name, "ground": kind.ground, "reverberation_s": kind.ring_s, "ambience_level_db": rounded(bed_db, 2),
            "sound_speed_mps": SOUND_SPEED, "clipped_samples": clipped, "walls_x_m": [-kind.half, kind.half],
            "steps": [{"until_x_m": rounded(end, 4), "height_m": rounded(high, 4)} for end, high in scene.place.terrain.steps],
            "belt_mps": rounded(scene.place.terrain.belt, 4), "gravity_mps2": 9.81,
        },
        "camera": {
            "eye_m": rounded(scene.place.view.eye, 4), "yaw_rad": rounded(scene.place.view.yaw, 5),
            "pitch_rad": rounded(scene.place.view.pitch, 5), "focal_px": rounded(scene.place.view.focal, 3),
        },
        "bodies": _bodies(scene, times, boxes),
        "contacts": [contact for contact in contacts if contact is not None],
    }  # fmt: skip
    return Clip(frames(generator("impacts", seed, index, "picture"), scene, times, boxes), pcm, truth)


def _add_strikes(
    rng: np.random.Generator, scene: Scene, contact: Contact, sound: Floats, geometry: Geometry
) -> dict[str, Any] | None:
    """Add what one contact sounds like at the moment when it arrives; its truth, or None when it is not within the clip."""
    rate = geometry.sample_rate
    place = np.array([contact.x, contact.y, contact.z])
    away = float(np.linalg.norm(place - scene.place.view.eye))
    arrival = contact.time + away / SOUND_SPEED
    first = round(arrival * rate)
    if contact.time < 0 or first >= len(sound):
        return None
    struck = [contact.body] if contact.other is None else [contact.body, contact.other]
    peak = 0.0
    floor = scene.place.kind.ground if contact.against == "floor" else None
    for number in struck:
        body = scene.world.bodies[number]
        amplitude = strike_amplitude(body, contact.speed, away) * (0.75 if len(struck) > 1 else 1.0)
        made = strike(rng, Blow(body, contact.speed, amplitude, floor), rate)[: len(sound) - first]
        sound[first : first + len(made)] += made
        peak = max(peak, float(np.abs(made).max()))
    return {
        "time_s": round(contact.time, 6), "arrival_s": round(arrival, 6), "body": contact.body, "other": contact.other,
        "against": contact.against, "speed_mps": rounded(contact.speed, 4), "impulse_ns": rounded(contact.impulse, 4),
        "position_m": rounded(place, 4), "distance_m": rounded(away, 3),
        "peak_db": rounded(20 * np.log10(max(peak, 1e-6)), 2),
    }  # fmt: skip


def _roll(rng: np.random.Generator, scene: Scene, number: int, geometry: Geometry) -> Floats:
    """Rolling and sliding of one body, delayed by its distance at the time."""
    body, rate = scene.world.bodies[number], geometry.sample_rate
    times = np.arange(int(geometry.segment_s * 200) + 1) / 200
    speed = np.zeros(len(times))
    for place, time in enumerate(times):
        state = scene.world.state(number, float(time))
        if state is not None and state.mode == "ground" and not scene.place.terrain.on_belt(state.x):
            speed[place] = abs(state.vx)
    if not speed.any():
        return np.zeros(geometry.samples)
    last = scene.world.arcs[number][-1]
    away = float(np.linalg.norm(np.array([last.x, body.lane, last.z]) - scene.place.view.eye))
    smooth = np.interp(np.arange(geometry.samples) / rate - away / SOUND_SPEED, times, speed)
    return rolling(rng, body, smooth, away, rate)


def _bodies(scene: Scene, times: Floats, boxes: list[list[Box | None]]) -> list[dict[str, Any]]:
    places = track(scene, times)
    found = []
    for number, body in enumerate(scene.world.bodies):
        here = [None if np.isnan(x) else [round(float(x), 4), round(float(z), 4)] for x, z in places[number]]
        found.append({
            "shape": body.shape, "material": body.material.name, "colour": list(body.colour),
            "width_m": rounded(2 * body.half_width, 4), "height_m": rounded(2 * body.half_height, 4),
            "depth_m": rounded(2 * body.half_depth, 4), "mass_kg": rounded(body.mass, 4),
            "fundamental_hz": rounded(body.pitch_hz, 2), "lane_y_m": rounded(body.lane, 4),
            "start_s": rounded(body.start_s, 4), "xz_m": here, "box_px": boxes[number],
        })  # fmt: skip
    return found
