"""What happens in a clip of impacts: a place, things that are dropped, thrown and rolled into it, and all their contacts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from v2a.synthetic.clip import Floats, generator
from v2a.synthetic.materials import MATERIALS, THINGS, Body, Look, Shape
from v2a.synthetic.physics import TooManyEventsError, World
from v2a.synthetic.place import Place, draw_place

_LANES = (0.2, 0.42, 0.64, 0.84)  # shares of the place's depth


@dataclass(frozen=True)
class Scene:
    """A place, and what moved in it."""

    place: Place
    world: World


def draw_scene(width: int, height: int, seconds: float, seed: int, index: int) -> Scene:
    """The scene of a clip, moved to its end. Scenes in which hardly anything is heard are drawn again."""
    rng = generator("impacts", seed, index, "scene")
    place = draw_place(rng, width, height)
    least = min(4.0, 0.4 * seconds)
    best: tuple[float, World] | None = None
    for _ in range(40):
        world = World(place.terrain, _draw_bodies(rng, place, seconds))
        try:
            world.run(seconds)
        except TooManyEventsError:
            continue
        strong = [contact for contact in world.contacts if contact.speed > 0.5 and contact.time < seconds - 0.1]
        score = min(len(strong) / least, 8 * seconds / max(len(strong), 1), 1.0)
        if best is None or score > best[0]:
            best = (score, world)
        if score >= 1.0:
            break
    if best is None:
        raise RuntimeError(
            f"none of 40 scenes came to rest (seed {seed}, clip {index}): this is a fault of the program"
        )
    return Scene(place, best[1])


def _draw_bodies(rng: np.random.Generator, place: Place, seconds: float) -> list[Body]:
    count = int(rng.integers(2, 8))
    starts = np.sort(rng.uniform(-0.5, 0.8 * seconds, count))
    starts[0] = rng.uniform(-0.5, 0.06 * seconds)
    free = list(_LANES)
    shared: float | None = None  # the lane where round things may meet
    bodies: list[Body] = []
    for start in starts:
        thing = THINGS[int(rng.integers(len(THINGS)))]
        is_round = thing[0] in ("ball", "disc")
        if is_round and shared is not None and (rng.uniform() < 0.6 or not free):
            lane = shared
        elif free:
            lane = free.pop(int(rng.integers(len(free))))
            shared = lane if is_round and shared is None else shared
        else:
            continue  # no room left for what must not touch others
        body = _draw_body(rng, place, thing, lane * place.kind.depth, float(start))
        if _apart(body, bodies):
            bodies.append(body)
    return bodies


def _draw_body(rng: np.random.Generator, place: Place, thing: tuple[Shape, Look], lane: float, start: float) -> Body:
    shape, look = thing
    material = MATERIALS[look]
    low, high = np.log(place.kind.sizes)
    half = float(np.exp(rng.uniform(low, high))) / 2
    if look == "glass":
        half *= 0.8
    tall, deep = {
        "ball": (1.0, 1.0), "disc": (1.0, rng.uniform(0.12, 0.25)),
        "box": (rng.uniform(0.6, 1.1), rng.uniform(0.7, 1.0)), "can": (rng.uniform(1.1, 1.6), 1.0),
    }[shape]  # fmt: skip
    wide = half if shape in ("ball", "disc", "box") else half * 0.75
    terrain = place.terrain
    scale = np.sqrt(place.kind.half / 2.5)
    stepped = len(terrain.steps) > 1
    first = terrain.left + 1.3 * half
    x = float(rng.uniform(first, max(first + 0.01, (terrain.steps[0][0] if stepped else terrain.right) - 1.3 * half)))
    towards = 1.0 if stepped else float(-np.sign(x) or 1.0)
    speed = towards * rng.uniform(0.3, 2.4) * scale if rng.uniform() < 0.8 else 0.0
    if stepped:
        speed = rng.uniform(0.5, 1.8)
    # It comes in from above the picture: the camera sees up to about this height at the lane.
    above = _seen_height(place, lane) + 1.3 * half * tall + rng.uniform(0, 0.3) * place.kind.half
    colour = material.colours[int(rng.integers(len(material.colours)))]
    paint = tuple(int(np.clip(part + shift, 0, 255)) for part, shift in zip(colour, rng.normal(0, 5, 3), strict=True))
    return Body(
        shape, material, (paint[0], paint[1], paint[2]), wide, half * tall, wide * deep, lane, start, x, above,
        float(speed), float(-rng.uniform(0, 1.0) * scale),
    )  # fmt: skip


def _seen_height(place: Place, lane: float) -> float:
    """Highest point over a lane, in the middle of the picture, that the camera sees, m."""
    view = place.view
    up = np.arctan(view.height / 2 / view.focal) - view.pitch
    return float(view.eye[2] + (lane - view.eye[1]) * np.tan(up))


def _apart(body: Body, others: list[Body]) -> bool:
    """Whether nothing that fell just before may still be where the body comes in."""
    return all(
        other.lane != body.lane or abs(other.start_s - body.start_s) > 0.5 or abs(other.x - body.x) > 0.8
        for other in others
    )


def track(scene: Scene, times: Floats) -> Floats:
    """x and z of each body at each time, m, `[bodies, T, 2]`; not a number before it has come in."""
    found = np.full((len(scene.world.bodies), len(times), 2), np.nan)
    for body in range(len(scene.world.bodies)):
        for frame, time in enumerate(times):
            state = scene.world.state(body, float(time))
            if state is not None:
                found[body, frame] = state.x, state.z
    return found
