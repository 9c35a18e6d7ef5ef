"""Fly-bys: aircraft cross a sky, and what is heard is what they emitted when its sound set out."""

from __future__ import annotations

from typing import Any

import numpy as np

from v2a.geometry import Geometry
from v2a.synthetic.clip import SOUND_SPEED, Clip, Floats, generator, rounded, to_pcm
from v2a.synthetic.engine_sound import ambience, fundamental_hz, level_db, render_aircraft
from v2a.synthetic.flight import EAR, distance, heard_at, radial_speed
from v2a.synthetic.flyby_picture import Seen, frames, seen_at
from v2a.synthetic.flyby_scene import Actor, draw_scene


def render(geometry: Geometry, seed: int, index: int) -> Clip:
    """Clip `index` of the fly-bys of a seed."""
    scene = draw_scene(geometry, seed, index)
    times = np.arange(geometry.frames) / geometry.fps
    bed, bed_db = ambience(generator("flyby", seed, index, "ambience"), scene.wind, geometry)
    tracks = []
    for number, actor in enumerate(scene.actors):
        rng = generator("flyby", seed, index, f"engine{number}")
        bed = bed + render_aircraft(rng, actor.kind, actor.flight, geometry)
        tracks.append(_track(actor, times, seen_at(scene, actor, times), geometry))
    sound, clipped = to_pcm(bed)
    truth = {
        "scene": {
            "hour": scene.sky.hour.name, "weather": scene.sky.weather, "ground": scene.ground_name,
            "sun_azimuth_rad": rounded(scene.sky.sun_azimuth, 4), "sun_elevation_rad": rounded(scene.sky.sun_elevation, 4),
            "wind": rounded(scene.wind, 4), "cloud_drift_px_per_s": rounded(scene.drift, 3),
            "ambience_level_db": rounded(bed_db, 2), "sound_speed_mps": SOUND_SPEED, "clipped_samples": clipped,
            "microphone_m": EAR.tolist(),
        },
        "camera": {
            "mode": scene.camera.mode, "focal_px": rounded(scene.camera.focal, 3),
            "yaw_rad": rounded(scene.camera.yaw, 5), "pitch_rad": rounded(scene.camera.pitch, 5),
        },
        "aircraft": tracks,
    }  # fmt: skip
    return Clip(frames(scene, times), sound, truth)


def _track(actor: Actor, times: Floats, seen: list[Seen], geometry: Geometry) -> dict[str, Any]:
    """Truth of one aircraft; a list has one entry for each frame, the moment k / fps of picture and of sound alike."""
    heard = heard_at(actor.flight, times)
    pitch = fundamental_hz(actor.kind, actor.flight)
    return {
        "type": actor.kind.name, "family": actor.kind.family, "span_m": actor.kind.span_m,
        "engines": len(actor.kind.engines), "blades": actor.kind.blades,
        "path": actor.flight.path, "speed_mps": rounded(actor.flight.speed, 3), "power": actor.flight.power,
        "turn_rad_per_s": rounded(actor.flight.turn, 5), "climb_mps": rounded(actor.flight.climb, 3),
        "seen": {
            "position_m": rounded(actor.flight.position(times), 2),
            "distance_m": rounded(distance(actor.flight, times), 2),
            "radial_mps": rounded(radial_speed(actor.flight, times), 3),
            "box_px": [list(one.box) if one.box else None for one in seen],
            "visible": [round(one.visible, 3) for one in seen],
        },
        "heard": {
            "emission_s": rounded(heard.emission_s, 5), "distance_m": rounded(heard.distance_m, 2),
            "radial_mps": rounded(heard.radial_mps, 3), "doppler": rounded(heard.doppler, 6),
            "fundamental_hz": rounded(pitch * heard.doppler, 3) if pitch else None,
            "level_db": rounded(level_db(actor.kind, actor.flight, times, geometry.sample_rate), 2),
        },
    }  # fmt: skip
