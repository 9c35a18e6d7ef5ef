"""The empty place as a picture: one ray for each quarter of a pixel, textures, light; drawn once for a clip."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from v2a.synthetic.clip import Floats
from v2a.synthetic.noise import fractal
from v2a.synthetic.place import Place

Values = npt.NDArray[np.float32]
_FINE = 2


def draw_background(rng: np.random.Generator, place: Place) -> tuple[Values, Values]:
    """RGB `[H, W, 3]`, 0..255, and the depth of what is seen, `[H, W]`, m along the camera's axis."""
    rays = place.view.rays(_FINE).astype(np.float32)
    eye = place.view.eye.astype(np.float32)
    height, width = rays.shape[:2]
    depth = np.full((height, width), np.float32(1e3))
    colour = np.zeros((height, width, 3), np.float32)
    grain = fractal(rng, 512, 512, 128, 6, fall=0.7)
    table = rng.random(1024).astype(np.float32)
    unit = np.float32(place.kind.half / 2.5)  # textures are as large as the place: a table's boards are narrower than a floor's
    for normal, offset, limits, texture, base in _surfaces(place):
        speed = rays @ np.array(normal, np.float32)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (np.float32(offset) - np.float32(eye @ np.array(normal, np.float32))) / speed
        points = eye + rays * np.where(np.isfinite(t), t, 0)[..., None]
        low, high = (np.array(limit, np.float32) - 1e-4 * sign for limit, sign in zip(limits, (1, -1), strict=True))
        hit = (t > 0.02) & (t < depth) & np.all((points >= low) & (points <= high), axis=-1)
        if not hit.any():
            continue
        at = points[hit]
        axis = int(np.argmax(np.abs(normal)))
        u, v = ((at[:, 1], at[:, 2]), (at[:, 0], at[:, 2]), (at[:, 0], at[:, 1]))[axis]
        paint = _TEXTURES[texture](u / unit, v / unit, np.array(base, np.float32), grain, table)
        if axis != 2 and place.kind.wall_bottom:
            foot = at[:, 2] < place.kind.wall_bottom * (offset != 0 or axis != 0)
            paint[foot] *= np.float32(0.6)
        colour[hit] = paint * _light(place, at, np.array(normal, np.float32))[:, None]
        depth[hit] = t[hit]
    shape = (height // _FINE, _FINE, width // _FINE, _FINE)
    picture = colour.reshape(*shape, 3).mean(axis=(1, 3)) * _vignette(shape[0], shape[2])[..., None] * place.brightness
    return np.clip(picture, 0, 255).astype(np.float32), depth.reshape(shape).max(axis=(1, 3))


def _surfaces(place: Place) -> list[tuple[tuple[int, int, int], float, tuple[tuple[float, ...], tuple[float, ...]], str, Floats]]:
    """Normal, distance of the plane from the origin, lowest and highest corner, texture, colour."""
    kind, left, right = place.kind, place.terrain.left, place.terrain.right
    near, far, top = -6.0 * kind.half, kind.depth, 9.0 * kind.half
    found = [
        ((0, -1, 0), -far, ((left - 9, far, -1), (right + 9, far, top)), kind.wall, place.wall_colour),
        ((1, 0, 0), left, ((left, near, -1), (left, far, top)), kind.wall, place.wall_colour * 0.92),
        ((-1, 0, 0), -right, ((right, near, -1), (right, far, top)), kind.wall, place.wall_colour * 0.88),
    ]
    start = left
    for number, (end, high) in enumerate(place.terrain.steps):
        belt = place.terrain.belt > 0 and number == 0
        colour = np.array([74.0, 78.0, 84.0]) if belt else place.floor_colour
        found.append(((0, 0, 1), high, ((start, near, high), (end, far, high)), "rollers" if belt else kind.floor, colour))
        if end < right:
            below = place.terrain.steps[number + 1][1]
            found.append(((1, 0, 0), end, ((end, near, below), (end, far, high)), kind.riser, place.floor_colour * 0.8))
        start = end
    return found


def _light(place: Place, at: Values, normal: Values) -> Values:
    """Lamp and daylight, darker in the corners."""
    to = place.light.astype(np.float32) - at
    away = np.linalg.norm(to, axis=1)
    reach = np.float32(2.2 * place.kind.half)
    lamp = np.clip(to @ normal / away, 0, 1) / (1 + (away / reach) ** 2)
    size = np.float32(0.10 * place.kind.half)
    edges = [place.kind.depth - at[:, 1], at[:, 0] - place.terrain.left, place.terrain.right - at[:, 0], at[:, 2]]
    corner = np.ones(len(at), np.float32)
    for edge in edges:
        on = edge > 1e-3 * place.kind.half
        corner -= np.where(on, 0.22 * np.exp(-np.clip(edge, 0, None) / size), 0).astype(np.float32)
    shine: Values = (0.52 + 0.95 * lamp) * np.clip(corner, 0.3, 1)
    return shine.astype(np.float32)


def _vignette(height: int, width: int) -> Values:
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return (1 - 0.16 * (x**2 + y**2)).astype(np.float32)


# --- textures: (u, v) in units of the place, colour, smooth noise, random table -> [N, 3] ----------------------------------


def _noise(grain: Values, u: Values, v: Values, scale: float) -> Values:
    picked: Values = grain[(v * scale * 100).astype(np.int64) % 512, (u * scale * 100).astype(np.int64) % 512]
    return picked


def _pick(table: Values, i: Values, j: Values) -> Values:
    picked: Values = table[(i.astype(np.int64) * 73 + j.astype(np.int64) * 151) % len(table)]
    return picked


def _blocks(u: Values, v: Values, wide: float, high: float, seam: float, bond: float, table: Values) -> tuple[Values, Values]:
    """Of a wall of blocks: a random number for each block, and 1 on the seams."""
    row = np.floor(v / high)
    shifted = u / wide + bond * row
    column = np.floor(shifted)
    beside = np.minimum(shifted - column, 1 - shifted + column) * wide
    above = np.minimum(v / high - row, 1 - v / high + row) * high
    return _pick(table, column, row), (np.minimum(beside, above) < seam).astype(np.float32)


def _planks(u: Values, v: Values, base: Values, grain: Values, table: Values) -> Values:
    tone, seam = _blocks(u, v, 1.4, 0.16, 0.006, 0.37, table)
    fibre = _noise(grain, u * 0.25 + tone * 7, v * 5, 1.0)
    return base * ((0.72 + 0.36 * tone + 0.5 * (fibre - 0.5)) * (1 - 0.55 * seam))[:, None]


def _slabs(u: Values, v: Values, base: Values, grain: Values, table: Values) -> Values:
    tone, seam = _blocks(u, v, 0.6, 0.6, 0.012, 0.0, table)
    return base * ((0.86 + 0.2 * tone + 0.5 * (_noise(grain, u, v, 0.8) - 0.5)) * (1 - 0.4 * seam))[:, None]


def _tiles(u: Values, v: Values, base: Values, grain: Values, table: Values) -> Values:
    tone, seam = _blocks(u, v, 0.5, 0.5, 0.012, 0.0, table)
    return base * ((0.94 + 0.09 * tone + 0.06 * _noise(grain, u, v, 0.5)) * (1 - 0.22 * seam))[:, None]


def _brick(u: Values, v: Values, base: Values, grain: Values, table: Values) -> Values:
    tone, seam = _blocks(u, v, 0.25, 0.085, 0.008, 0.5, table)
    wall = base * (0.74 + 0.42 * tone + 0.5 * (_noise(grain, u, v, 1.5) - 0.5))[:, None]
    mortar = np.array((168, 160, 150), np.float32)
    return wall + (mortar - wall) * (0.7 * seam)[:, None]


def _asphalt(u: Values, v: Values, base: Values, grain: Values, table: Values) -> Values:
    speck = _pick(table, np.floor(u * 90), np.floor(v * 90)) - np.float32(0.5)
    shade = base * (1 + 0.22 * speck + 0.5 * (_noise(grain, u, v, 0.6) - 0.5))[:, None]
    line = ((np.abs(v - 0.12) < 0.05) & ((u % 1.6) < 0.9)).astype(np.float32)  # a worn road marking
    return shade + (np.array((205, 203, 192), np.float32) - shade) * (0.75 * line)[:, None]


def _concrete(u: Values, v: Values, base: Values, grain: Values, table: Values) -> Values:
    tone, seam = _blocks(u, v, 1.6, 1.2, 0.008, 0.0, table)
    return base * ((0.9 + 0.08 * tone + 0.6 * (_noise(grain, u, v, 0.7) - 0.5)) * (1 - 0.3 * seam))[:, None]


def _stone(u: Values, v: Values, base: Values, grain: Values, table: Values) -> Values:
    tone, seam = _blocks(u, v, 0.8, 0.45, 0.008, 0.4, table)
    return base * ((0.84 + 0.2 * tone + 0.7 * (_noise(grain, u, v, 1.1) - 0.5)) * (1 - 0.35 * seam))[:, None]


def _paint(u: Values, v: Values, base: Values, grain: Values, table: Values) -> Values:
    return base * (0.97 + 0.08 * (_noise(grain, u, v, 0.3) - 0.5))[:, None]


def _metal(u: Values, v: Values, base: Values, grain: Values, table: Values) -> Values:
    ribs = np.abs((u / 0.22) % 1 - 0.5) * 2
    tone, seam = _blocks(u, v, 1.98, 2.4, 0.012, 0.0, table)
    return base * ((0.78 + 0.3 * ribs**2 + 0.25 * (_noise(grain, u, v, 0.4) - 0.5) + 0.05 * tone) * (1 - 0.4 * seam))[:, None]


def _rollers(u: Values, v: Values, base: Values, grain: Values, table: Values) -> Values:
    round_ = np.abs((u / 0.16) % 1 - 0.5) * 2
    return base * (1.7 - 1.35 * round_**3)[:, None]


_TEXTURES = {
    "planks": _planks, "slabs": _slabs, "tiles": _tiles, "brick": _brick, "asphalt": _asphalt, "concrete": _concrete,
    "stone": _stone, "paint": _paint, "metal": _metal, "rollers": _rollers,
}  # fmt: skip
