"""What a fly-by shows: which aircraft on which paths, before which sky and ground, seen by which camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from v2a.geometry import Geometry
from v2a.synthetic.aircraft import AIRCRAFT, Aircraft, build
from v2a.synthetic.camera import MODES, Camera, draw_camera
from v2a.synthetic.clip import Floats, generator
from v2a.synthetic.flight import EAR, Flight, draw_flight
from v2a.synthetic.ground import GROUNDS, draw_ground
from v2a.synthetic.mesh import Mesh
from v2a.synthetic.sky import Pixels, Sky, draw_sky

_SMALLEST = 0.03  # of the picture's width: 8 pixels at the paper's 256
_PAINTS = (
    (236, 238, 240),
    (228, 224, 210),
    (206, 212, 220),
    (240, 216, 96),
    (196, 52, 44),
    (60, 92, 150),
    (70, 84, 74),
)
_ACCENTS = ((200, 40, 40), (30, 70, 160), (240, 160, 30), (30, 120, 80), (50, 54, 62), (220, 90, 30), (120, 50, 130))


@dataclass(frozen=True)
class Actor:
    """One aircraft of a scene: its type, its path, and its painted model."""

    kind: Aircraft
    flight: Flight
    mesh: Mesh


@dataclass(frozen=True)
class Scene:
    """Everything that a clip shows.

    Attributes:
        actors: the aircraft; the camera follows the first.
        camera: where it looks.
        sky: over the panorama of all that the camera sees in the clip.
        ground_name, ground: before the sky, `[H, W, 4]`.
        wind: 0..1.
        drift: speed of the clouds, pixels per second, positive to the left.
        left, top: azimuth and elevation of the panorama's upper left corner, radians.
    """

    actors: list[Actor]
    camera: Camera
    sky: Sky
    ground_name: str
    ground: Pixels
    wind: float
    drift: float
    left: float
    top: float


def draw_scene(geometry: Geometry, seed: int, index: int) -> Scene:
    """The parameters of a clip, and the painted panorama."""
    rng = generator("flyby", seed, index, "scene")
    times = np.arange(geometry.frames) / geometry.fps
    wind = float(rng.uniform())
    count = int(rng.choice([0, 1, 2], p=[0.05, 0.8, 0.15]))
    actors, camera = _draw_actors(rng, count, times, geometry, wind)
    # Clouds of a ceiling at 1,500 m: their speed on the screen is a sign of the wind that is heard.
    drift = float(rng.choice([-1, 1])) * (1.0 + 14.0 * wind) * geometry.width / 640
    extra = int(abs(drift) * geometry.segment_s) + 4
    focal = camera.focal
    left = float(camera.yaw.max()) + geometry.width / 2 / focal + 6 / focal
    right = float(camera.yaw.min()) - geometry.width / 2 / focal - 6 / focal
    top = float(camera.pitch.max()) + geometry.height / 2 / focal + 6 / focal
    bottom = float(camera.pitch.min()) - geometry.height / 2 / focal - 6 / focal
    azimuth = left - np.arange(int((left - right) * focal) + 1) / focal
    elevation = top - np.arange(int((top - bottom) * focal) + 1) / focal
    sky = draw_sky(generator("flyby", seed, index, "sky"), azimuth, elevation, extra)
    name = str(rng.choice(GROUNDS))
    ground = draw_ground(generator("flyby", seed, index, "ground"), name, sky, azimuth, elevation)
    return Scene(actors, camera, sky, name, ground, wind, drift, left, top)


def _draw_actors(
    rng: np.random.Generator, count: int, times: Floats, geometry: Geometry, wind: float
) -> tuple[list[Actor], Camera]:
    """Aircraft that can be seen for a good part of the clip.

    Types and the way of filming are drawn once, so that the hard ones are as frequent as the easy ones; paths are drawn until
    one serves: of 60 the first, else the best.
    """
    kinds = [AIRCRAFT[int(rng.integers(len(AIRCRAFT)))] for _ in range(count)]
    mode = str(rng.choice(MODES, p=[0.3, 0.4, 0.3]))
    enough = 0.45 if mode == "fixed" else 0.6
    best: tuple[float, list[Actor], Camera] | None = None
    for _ in range(60 if count else 1):
        actors = [_draw_actor(rng, kind, geometry.segment_s) for kind in kinds]
        target = actors[0].flight.position(times) if actors else _somewhere(rng, len(times))
        camera = draw_camera(rng, mode, target, geometry, wind)
        shares = [_share_in_view(actor, camera, times) for actor in actors] or [1.0]
        score = min(shares[0] / enough, *(share / 0.2 for share in shares[1:]), 1.0)
        if best is None or score > best[0]:
            best = (score, actors, camera)
        if score >= 1.0:
            break
    assert best is not None
    return best[1], best[2]


def _draw_actor(rng: np.random.Generator, kind: Aircraft, seconds: float) -> Actor:
    flight = draw_flight(rng, kind, seconds)
    base = _PAINTS[0] if kind.family == "glider" else _PAINTS[int(rng.integers(len(_PAINTS)))]
    accent = _ACCENTS[int(rng.integers(len(_ACCENTS)))]
    return Actor(kind, flight, build(kind, base, accent))


def _somewhere(rng: np.random.Generator, frames: int) -> Floats:
    """A place to look at when nothing flies."""
    azimuth, elevation = rng.uniform(-1, 1), rng.uniform(0.1, 0.35)
    return np.tile(EAR + 500 * np.array([-np.sin(azimuth), np.cos(azimuth), np.tan(elevation)]), (frames, 1))


def _share_in_view(actor: Actor, camera: Camera, times: Floats) -> float:
    """Share of the time in which the aircraft is in the picture and large enough to be told from others."""
    places = actor.flight.position(times)
    inside = 0
    for frame in range(0, len(times), 5):
        (x, y), depth = camera.project(places[frame], frame)
        large = camera.focal * actor.kind.span_m > _SMALLEST * camera.width * depth
        inside += bool(depth > 1 and large and 0 < x < camera.width and 0 < y < camera.height)
    return inside / len(range(0, len(times), 5))
