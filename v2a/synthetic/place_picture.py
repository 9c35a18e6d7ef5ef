"""The empty place as a picture: one ray for each quarter of a pixel, textures, light; drawn once for a clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from v2a.synthetic.clip import Floats
from v2a.synthetic.noise import Grain, fractal
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
    grain = fractal(rng, 512, 512, Grain(128, 6, fall=0.7))
    table = rng.random(1024).astype(np.float32)
    unit = np.float32(
        place.kind.half / 2.5
    )  # textures are as large as the place: a table's boards are narrower than a floor's
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
        paint = _TEXTURES[texture](_Spot(u / unit, v / unit, np.array(base, np.float32), grain, table))
        if axis != 2 and place.kind.wall_bottom:
            foot = at[:, 2] < place.kind.wall_bottom * (offset != 0 or axis != 0)
            paint[foot] *= np.float32(0.6)
        colour[hit] = paint * _light(place, at, np.array(normal, np.float32))[:, None]
        depth[hit] = t[hit]
    shape = (height // _FINE, _FINE, width // _FINE, _FINE)
    picture = colour.reshape(*shape, 3).mean(axis=(1, 3)) * _vignette(shape[0], shape[2])[..., None] * place.brightness
    return np.clip(picture, 0, 255).astype(np.float32), depth.reshape(shape).max(axis=(1, 3))


_Corner = tuple[float, float, float]
_Surface = tuple[tuple[int, int, int], float, tuple[_Corner, _Corner], str, Floats]


def _surfaces(place: Place) -> list[_Surface]:
    """Normal, distance of the plane from the origin, lowest and highest corner, texture, colour."""
    kind, left, right = place.kind, place.terrain.left, place.terrain.right
    near, far, top = -6.0 * kind.half, kind.depth, 9.0 * kind.half
    found: list[_Surface] = [
        ((0, -1, 0), -far, ((left - 9, far, -1), (right + 9, far, top)), kind.wall, place.wall_colour),
        ((1, 0, 0), left, ((left, near, -1), (left, far, top)), kind.wall, place.wall_colour * 0.92),
        ((-1, 0, 0), -right, ((right, near, -1), (right, far, top)), kind.wall, place.wall_colour * 0.88),
    ]
    start = left
    for number, (end, high) in enumerate(place.terrain.steps):
        belt = place.terrain.belt > 0 and number == 0
        colour = np.array([74.0, 78.0, 84.0]) if belt else place.floor_colour
        found.append(
            ((0, 0, 1), high, ((start, near, high), (end, far, high)), "rollers" if belt else kind.floor, colour)
        )
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


# --- textures ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Spot:
    """Places `[N]` on a surface in units of the place, its colour, smooth noise, and random numbers."""

    u: Values
    v: Values
    base: Values
    grain: Values
    table: Values

    def noise(self, scale: float, across: float = 1.0, up: float = 1.0) -> Values:
        """Smooth noise at the places, around 0."""
        column, row = ((c * scale * 100).astype(np.int64) % 512 for c in (self.u * across, self.v * up))
        found: Values = self.grain[row, column] - np.float32(0.5)
        return found

    def pick(self, i: Values, j: Values) -> Values:
        """A random number for each pair of whole numbers."""
        found: Values = self.table[(i.astype(np.int64) * 73 + j.astype(np.int64) * 151) % len(self.table)]
        return found

    def times(self, shade: Values) -> Values:
        """The colour, `[N, 3]`, lighter or darker."""
        painted: Values = self.base * np.asarray(shade, np.float32)[:, None]
        return painted


def _blocks(at: _Spot, wide: float, high: float, seam: float, bond: float) -> tuple[Values, Values]:
    """Of a wall of blocks: a random number for each block, and 1 on the seams."""
    row = np.floor(at.v / high)
    shifted = at.u / wide + bond * row
    column = np.floor(shifted)
    beside = np.minimum(shifted - column, 1 - shifted + column) * wide
    above = np.minimum(at.v / high - row, 1 - at.v / high + row) * high
    return at.pick(column, row), (np.minimum(beside, above) < seam).astype(np.float32)


def _over(below: Values, share: Values, colour: tuple[int, int, int]) -> Values:
    painted: Values = below + (np.array(colour, np.float32) - below) * share[:, None]
    return painted


def _planks(at: _Spot) -> Values:
    tone, seam = _blocks(at, 1.4, 0.16, 0.006, 0.37)
    return at.times((0.72 + 0.36 * tone + 0.5 * at.noise(1.0, 0.25, 5.0)) * (1 - 0.55 * seam))


def _slabs(at: _Spot) -> Values:
    tone, seam = _blocks(at, 0.6, 0.6, 0.012, 0.0)
    return at.times((0.86 + 0.2 * tone + 0.5 * at.noise(0.8)) * (1 - 0.4 * seam))


def _tiles(at: _Spot) -> Values:
    tone, seam = _blocks(at, 0.5, 0.5, 0.012, 0.0)
    return at.times((0.97 + 0.09 * tone + 0.06 * at.noise(0.5)) * (1 - 0.22 * seam))


def _brick(at: _Spot) -> Values:
    tone, seam = _blocks(at, 0.25, 0.085, 0.008, 0.5)
    wall = at.times(0.74 + 0.42 * tone + 0.5 * at.noise(1.5))
    return _over(wall, seam * np.float32(0.7), (168, 160, 150))


def _asphalt(at: _Spot) -> Values:
    speck = at.pick(np.floor(at.u * 90), np.floor(at.v * 90)) - np.float32(0.5)
    shade = at.times(1 + 0.22 * speck + 0.5 * at.noise(0.6))
    line = ((np.abs(at.v - 0.12) < 0.05) & ((at.u % 1.6) < 0.9)).astype(np.float32)  # a worn road marking
    return _over(shade, line * np.float32(0.75), (205, 203, 192))


def _concrete(at: _Spot) -> Values:
    tone, seam = _blocks(at, 1.6, 1.2, 0.008, 0.0)
    return at.times((0.9 + 0.08 * tone + 0.6 * at.noise(0.7)) * (1 - 0.3 * seam))


def _stone(at: _Spot) -> Values:
    tone, seam = _blocks(at, 0.8, 0.45, 0.008, 0.4)
    return at.times((0.84 + 0.2 * tone + 0.7 * at.noise(1.1)) * (1 - 0.35 * seam))


def _paint(at: _Spot) -> Values:
    return at.times(0.97 + 0.08 * at.noise(0.3))


def _metal(at: _Spot) -> Values:
    ribs = np.abs((at.u / 0.22) % 1 - 0.5) * 2
    tone, seam = _blocks(at, 1.98, 2.4, 0.012, 0.0)
    return at.times((0.78 + 0.3 * ribs**2 + 0.25 * at.noise(0.4) + 0.05 * tone) * (1 - 0.4 * seam))


def _rollers(at: _Spot) -> Values:
    across = np.abs((at.u / 0.16) % 1 - 0.5) * 2
    return at.times(1.7 - 1.35 * across**3)


_TEXTURES = {
    "planks": _planks, "slabs": _slabs, "tiles": _tiles, "brick": _brick, "asphalt": _asphalt, "concrete": _concrete,
    "stone": _stone, "paint": _paint, "metal": _metal, "rollers": _rollers,
}  # fmt: skip
