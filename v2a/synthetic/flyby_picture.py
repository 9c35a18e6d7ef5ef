"""The frames of a fly-by: sky, clouds, ground, and the aircraft in perspective and light before them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from v2a.synthetic.clip import Floats, Frame
from v2a.synthetic.flyby_scene import Actor, Scene
from v2a.synthetic.mesh import Box, draw_faces, shaded
from v2a.synthetic.sky import Pixels

_NEAREST = 1.0  # m; what comes nearer than this is not drawn
_CORNERS = np.arange(20) * 2 * np.pi / 20
_SPIN = 2 * np.pi * 1.7  # rad/s that blades seem to turn: a shutter sees a slow phantom of them


@dataclass(frozen=True)
class Seen:
    """Where an aircraft is in a frame.

    Attributes:
        box: pixels [left, top, right, bottom) that hold all that is drawn of it; None when nothing is.
        visible: share of its whole box that is within the picture.
    """

    box: Box | None
    visible: float


def seen_at(scene: Scene, actor: Actor, times: Floats) -> list[Seen]:
    """Where the aircraft is in each frame."""
    found = []
    for frame, time in enumerate(times):
        view = _view(scene, actor, frame, float(time))
        if view is None:
            found.append(Seen(None, 0.0))
            continue
        points = np.concatenate([view.corners.reshape(-1, 2), view.discs.reshape(-1, 2)])
        low, high = np.floor(points.min(axis=0)) - 1, np.ceil(points.max(axis=0)) + 1
        left, top = np.maximum(low, 0)
        right, bottom = np.minimum(high, (scene.camera.width, scene.camera.height))
        if left >= right or top >= bottom:
            found.append(Seen(None, 0.0))
            continue
        share = (right - left) * (bottom - top) / np.prod(high - low)
        found.append(Seen((int(left), int(top), int(right), int(bottom)), float(share)))
    return found


def frames(scene: Scene, times: Floats) -> Iterator[Frame]:
    """uint8 `[H, W, 3]` for each time."""
    base = _straight(scene.sky.base)
    clouds, ground = _Layer.of(scene.sky.clouds), _Layer.of(scene.ground)
    width, height = scene.camera.width, scene.camera.height
    for frame, time in enumerate(times):
        x, y = _corner(scene, frame)
        # Its colours change so slowly that whole pixels are fine enough.
        picture = base.crop((round(x), round(y), round(x) + width, round(y) + height))
        if clouds is not None:
            waiting = clouds.image.width - base.width - 2  # columns that come in from the left
            shift = scene.drift * time if scene.drift > 0 else waiting + scene.drift * time
            _paste(picture, clouds, x + shift, y)
        if ground is not None:
            _paste(picture, ground, x, y)
        far_first = sorted(scene.actors, key=lambda actor: -float(np.linalg.norm(actor.flight.position(time))))
        for actor in far_first:
            _draw_aircraft(picture, scene, actor, frame, float(time))
        yield np.asarray(picture)


def background(scene: Scene, times: Floats) -> Iterator[Frame]:
    """The same frames without the aircraft."""
    empty = Scene([], *(getattr(scene, name) for name in list(scene.__dataclass_fields__)[1:]))
    return frames(empty, times)


@dataclass(frozen=True)
class _Layer:
    """A part of the panorama with an alpha channel: only the rows that hold anything, from row `top` on."""

    image: Image.Image
    top: int

    @classmethod
    def of(cls, pixels: Pixels) -> _Layer | None:
        """None when it is empty."""
        rows = np.flatnonzero(pixels[..., 3].max(axis=1) >= 1)
        if not len(rows):
            return None
        return cls(_straight(pixels[rows[0] : rows[-1] + 1]), int(rows[0]))


def _straight(pixels: Pixels) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _corner(scene: Scene, frame: int) -> tuple[float, float]:
    """Upper left corner of a frame's window on the panorama, pixels."""
    camera = scene.camera
    x = (scene.left - camera.yaw[frame]) * camera.focal - camera.width / 2
    y = (scene.top - camera.pitch[frame]) * camera.focal - camera.height / 2
    return float(x), float(y)


def _paste(picture: Image.Image, layer: _Layer, x: float, y: float) -> None:
    """Put a layer on the picture whose corner is at (x, y), by fractions of a pixel so that slow motion does not jerk."""
    left, top = int(np.floor(x)), int(np.floor(y))
    first = max(layer.top + 1 - top, 0)  # row of the picture where the layer begins; its own first row is only mixed in
    rows = min(layer.top + layer.image.height - 1 - top, picture.height) - first
    if rows <= 0:
        return
    above = top + first - layer.top
    part = layer.image.crop((left, above, left + picture.width + 1, above + rows + 1))
    box = (x - left, y - top, x - left + picture.width, y - top + rows)
    veil = part.resize((picture.width, rows), Image.Resampling.BILINEAR, box=box)
    picture.paste(veil, (0, first), veil)


@dataclass(frozen=True)
class _View:
    """An aircraft on the screen: corners `[F, 4, 2]`, depths `[F]`, attitude, place, discs `[E, 20, 2]` and their depths."""

    corners: Floats
    depths: Floats
    attitude: Floats
    place: Floats
    discs: Floats
    disc_depths: Floats


def _view(scene: Scene, actor: Actor, frame: int, time: float) -> _View | None:
    """None when it is not wholly before the camera."""
    attitude, place = actor.flight.attitude(time), actor.flight.position(np.array(time))
    corners, depths = scene.camera.project(actor.mesh.points @ attitude.T + place, frame)
    if depths.min() < _NEAREST:
        return None
    radius, x, z = actor.kind.disc
    rings = np.array([
        [(x, y + radius * np.cos(a), z + radius * np.sin(a)) for a in _CORNERS] for y in actor.kind.engines if radius
    ]).reshape(-1, 20, 3)  # fmt: skip
    discs, disc_depths = scene.camera.project(rings @ attitude.T + place, frame)
    return _View(corners, depths.mean(axis=1), attitude, place, discs, disc_depths.mean(axis=1))


def _draw_aircraft(picture: Image.Image, scene: Scene, actor: Actor, frame: int, time: float) -> None:
    view = _view(scene, actor, frame, time)
    if view is None:
        return
    eye = -view.place
    ambient = 0.25 + 0.75 * scene.sky.hour.ambient  # the bright sky around lights the sides that the sun does not
    colours, seen = shaded(actor.mesh, view.attitude, eye, scene.sky.sun_direction(), ambient)
    # By night things are dark; far away they take on the colour of the horizon.
    dim = 0.35 + 0.65 * float(np.mean(scene.sky.hour.ground))
    haze = 1 - np.exp(-float(np.linalg.norm(view.place)) / 3500)
    colours = colours * dim * (1 - haze) + np.array(scene.sky.hour.stops[0]) * haze
    sprite = draw_faces(picture, view.corners, view.depths, colours, seen)
    middle = float(view.depths.mean())
    for engine in range(len(view.discs)):
        if view.disc_depths[engine] > middle:
            _draw_disc(picture, view.discs[engine], actor.kind.blades, time)
    if sprite is not None:
        picture.paste(sprite[0], sprite[1][:2], sprite[0])
    for engine in range(len(view.discs)):
        if view.disc_depths[engine] <= middle:
            _draw_disc(picture, view.discs[engine], actor.kind.blades, time)


def _draw_disc(picture: Image.Image, ring: Floats, blades: int, time: float) -> None:
    """A propeller: a faint disc, and the phantom of its blades."""
    low, high = np.floor(ring.min(axis=0)).astype(int) - 1, np.ceil(ring.max(axis=0)).astype(int) + 1
    width, height = (int(size) for size in high - low)
    if width > 2 * picture.width or height > 2 * picture.height:
        return
    fine = 4
    mask = Image.new("L", (width * fine, height * fine), 0)
    draw = ImageDraw.Draw(mask)
    placed = (ring - low) * fine - 0.5
    draw.polygon([(x, y) for x, y in placed.tolist()], fill=58)
    centre = placed.mean(axis=0)
    step = len(ring) / blades
    for blade in range(blades):
        at = (blade * step + time * _SPIN / (2 * np.pi) * len(ring)) % len(ring)
        first, second = (placed[int(at + shift) % len(ring)] for shift in (0, 1))
        draw.polygon([tuple(centre), tuple(first), tuple(second)], fill=120)
    soft = mask.reduce(fine)
    picture.paste((46, 46, 52), (int(low[0]), int(low[1])), soft)
