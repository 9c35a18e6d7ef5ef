"""The frames of a clip of impacts: the empty place, shadows, bodies, and what a cheap camera adds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from v2a.synthetic.bodies_picture import Sprite, build, draw_body
from v2a.synthetic.clip import Floats, Frame
from v2a.synthetic.impacts_scene import Scene
from v2a.synthetic.materials import Body
from v2a.synthetic.mesh import Box
from v2a.synthetic.physics import Arc
from v2a.synthetic.place_picture import Values, draw_background

_GRAINS = 5  # different frames of grain; they are shifted about, so that none comes twice in a clip


def frames(rng: np.random.Generator, scene: Scene, times: Floats, boxes: list[list[Box | None]]) -> Iterator[Frame]:
    """uint8 `[H, W, 3]` for each time; fills in where each body was drawn, `boxes[body][frame]`, None where it was not."""
    background, depth = draw_background(rng, scene.place)
    base = Image.fromarray(background.astype(np.uint8))
    meshes = [build(body) for body in scene.world.bodies]
    # Far lanes first; what is drawn later covers.
    order = sorted(range(len(meshes)), key=lambda number: -scene.world.bodies[number].lane)
    overlay = _Overlay(rng, base.width)
    noise = [_grain(rng, base) for _ in range(_GRAINS)]
    shifts = rng.integers(0, base.height, len(times))
    for found in boxes:
        found.clear()
    for frame, time in enumerate(times):
        picture = base.copy()
        states = [scene.world.state(number, float(time)) for number in range(len(meshes))]
        for number in order:
            state = states[number]
            if state is not None:
                _shadow(picture, scene, scene.world.bodies[number], state)
        for number in order:
            state, body = states[number], scene.world.bodies[number]
            sprite = None
            if state is not None:
                sprite = draw_body(picture, scene.place, body, meshes[number], state)
            boxes[number].append(_put(picture, sprite, body, depth))
        overlay.draw(picture, float(time))
        grain = np.roll(noise[frame % _GRAINS], int(shifts[frame]), axis=0)
        pixels = np.asarray(picture).astype(np.int16) + grain[..., None]
        yield np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)


def _put(picture: Image.Image, sprite: Sprite | None, body: Body, depth: Values) -> Box | None:
    """Paste a sprite, less what steps hide of it; the part of the frame that it may have changed."""
    if sprite is None:
        return None
    left, top, right, bottom = sprite.box
    inside = (max(left, 0), max(top, 0), min(right, picture.width), min(bottom, picture.height))
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        return None
    image = sprite.image.crop((inside[0] - left, inside[1] - top, inside[2] - left, inside[3] - top))
    hidden = (
        depth[inside[1] : inside[3], inside[0] : inside[2]]
        < sprite.depth - 2.0 * body.half_depth - 0.6 * body.half_height
    )
    if hidden.any():
        alpha = np.where(hidden, 0, np.asarray(image)[..., 3]).astype(np.uint8)
        if not alpha.any():
            return None
        image.putalpha(Image.fromarray(alpha))
    picture.paste(image, inside[:2], image)
    return inside


def _shadow(picture: Image.Image, scene: Scene, body: Body, state: Arc) -> None:
    """A soft blot on the ground below, wider and fainter the higher the body is."""
    ground = scene.place.terrain.height(state.x)
    above = max(state.z - body.half_height - ground, 0.0) / body.half_width
    reach = 1 + 0.35 * min(above, 4.0)
    (x, y), depth = scene.place.view.project(np.array([state.x, body.lane, ground]))
    flat = np.sin(scene.place.view.pitch + 0.05)
    wide = 1.25 * reach * scene.place.view.focal * body.half_width / float(depth)
    high = max(
        1.0, 1.25 * reach * flat * scene.place.view.focal * max(body.half_depth, 0.35 * body.half_width) / float(depth)
    )
    if x + wide <= 0 or x - wide >= picture.width or y + high <= 0 or y - high >= picture.height:
        return
    left, top = int(np.floor(x - wide)), int(np.floor(y - high))
    across = (np.arange(left, int(np.ceil(x + wide)) + 1) + 0.5 - x) / wide
    down = (np.arange(top, int(np.ceil(y + high)) + 1) + 0.5 - y) / high
    away = across[None, :] ** 2 + down[:, None] ** 2
    blot = np.clip(1 - away, 0, 1) ** (0.8 + 0.4 * min(above, 4.0)) * 165 / (1 + 0.9 * above)
    picture.paste((14, 14, 18), (left, top), Image.fromarray(blot.astype(np.uint8)))


def _grain(rng: np.random.Generator, base: Image.Image) -> np.ndarray:
    return np.round(rng.standard_normal((base.height, base.width)) * 1.6).astype(np.int16)


class _Overlay:
    """Name of the camera and a clock, as such cameras burn them in; half of them do."""

    def __init__(self, rng: np.random.Generator, width: int) -> None:
        self._shown = bool(rng.uniform() < 0.5)
        self._name = f"CAM {int(rng.integers(1, 25)):02d}"
        self._begin = datetime(2020, 1, 1) + timedelta(seconds=int(rng.integers(0, 5 * 365 * 86400)))
        self._size = max(8, width // 42)
        # The font is compiled into Pillow: nothing of the machine's fonts is used, so that all machines draw the same.
        self._font = ImageFont.load_default(self._size) if self._shown else None

    def draw(self, picture: Image.Image, time: float) -> None:
        """Burn it in."""
        if not self._shown:
            return
        text = f"{self._name}   {self._begin + timedelta(seconds=int(time)):%Y-%m-%d  %H:%M:%S}"
        pen = ImageDraw.Draw(picture)
        edge = self._size // 2
        pen.text((edge + 1, edge + 1), text, fill=(20, 20, 20), font=self._font)
        pen.text((edge, edge), text, fill=(232, 232, 226), font=self._font)
