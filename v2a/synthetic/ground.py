"""What stands on the horizon and lies before it: hills, mountains, forest, a city, an airfield, the sea, a desert."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from v2a.synthetic.clip import Floats
from v2a.synthetic.noise import Grain, fractal, smoothstep
from v2a.synthetic.sky import Pixels, Sky

Line = npt.NDArray[np.float32]
GROUNDS = ("hills", "mountains", "forest", "city", "airfield", "sea", "desert")
_PLAINS = {
    "hills": ((96, 124, 62), (142, 150, 84)),
    "mountains": ((84, 106, 66), (120, 122, 88)),
    "forest": ((74, 104, 48), (112, 128, 66)),
    "city": ((104, 116, 84), (124, 124, 112)),
    "airfield": ((104, 128, 64), (132, 144, 82)),
    "sea": ((40, 84, 116), (86, 134, 160)),
    "desert": ((206, 172, 120), (176, 138, 92)),
}


def draw_ground(rng: np.random.Generator, name: str, sky: Sky, azimuth: Floats, elevation: Floats) -> Pixels:
    """The ground of a panorama: RGB and opacity 0..255, `[H, W, 4]`; see `sky.draw_sky` for the angles."""
    degrees = np.degrees(elevation).astype(np.float32)
    across = np.degrees(azimuth).astype(np.float32)
    picture = np.zeros((len(degrees), len(across), 4), np.float32)
    picture[..., :3] = sky.base[int(np.argmin(np.abs(degrees)))].mean(axis=0)
    _SKYLINES.get(name, _flat)(rng, picture, degrees, across, sky)
    _plain(rng, name, picture, degrees, sky)
    if name == "airfield":
        _runway(rng, picture, degrees, across)
    light = np.array(sky.hour.ground, np.float32)
    tinted = picture[..., :3] * light
    # Far things take on the colour of the horizon.
    haze = np.exp(-np.clip(-degrees, 0, None) / 1.2)[:, None, None] * np.float32(0.35)
    horizon = np.array(sky.hour.stops[0], np.float32) * np.float32(0.9)
    picture[..., :3] = np.clip(tinted * (1 - haze) + horizon * haze, 0, 255)
    return picture


def _cover(picture: Pixels, degrees: Line, top: Line, colour: Pixels) -> None:
    """Paint everything below a line `top` (degrees, one for each column), its edge without jags."""
    rows = np.float32(len(degrees)) / max(degrees[0] - degrees[-1], np.float32(1))
    part = np.clip((top[None, :] - degrees[:, None]) * rows + 0.5, 0, 1)[..., None]
    picture[..., :3] += (colour - picture[..., :3]) * part
    picture[..., 3] = np.maximum(picture[..., 3], part[..., 0] * 255)


def _line(rng: np.random.Generator, across: Line, cell: float, octaves: int, fall: float = 0.5) -> Line:
    """A wavy line, about 0..1, one value for each column; `cell` in degrees."""
    per_degree = len(across) / max(abs(float(across[0] - across[-1])), 1.0)
    line: Line = fractal(rng, len(across), 1, Grain(cell * per_degree, octaves, fall=fall))[0]
    return line


def _hills(
    rng: np.random.Generator,
    picture: Pixels,
    degrees: Line,
    across: Line,
    sky: Sky,
) -> None:
    far = np.array(sky.hour.stops[0], np.float32) / np.array(sky.hour.ground, np.float32)
    for layer in range(3):
        near = (layer + 1) / 3.5
        colour = np.clip(far, 0, 235) * (1 - near) + np.array((66, 92, 58), np.float32) * near
        top = (5.0 - 1.3 * layer) * (_line(rng, across, 22 - 5 * layer, 5) - 0.25) * 1.6
        _cover(picture, degrees, top.astype(np.float32), colour)


def _mountains(
    rng: np.random.Generator,
    picture: Pixels,
    degrees: Line,
    across: Line,
    sky: Sky,
) -> None:
    far = np.array(sky.hour.stops[0], np.float32) / np.array(sky.hour.ground, np.float32)
    ridge = 1 - np.abs(2 * _line(rng, across, 30, 7, 0.6) - 1) * 1.6
    top = np.clip(2 + 9 * ridge, 0.5, 13).astype(np.float32)
    rock = np.clip(far, 0, 225) * np.float32(0.5) + np.array((86, 92, 104), np.float32) * np.float32(0.5)
    _cover(picture, degrees, top, rock)
    grain = fractal(rng, len(across), len(degrees), Grain(len(degrees) / 9, 5, 0.6))
    snow = smoothstep(5.5, 7.5, degrees[:, None] + (grain - 0.5) * 9) * (picture[..., 3] / 255)
    picture[..., :3] += (np.array((240, 242, 248), np.float32) - picture[..., :3]) * snow[..., None]
    _cover(picture, degrees, (2.2 * _line(rng, across, 10, 4)).astype(np.float32), np.array((62, 82, 58), np.float32))


def _forest(
    rng: np.random.Generator,
    picture: Pixels,
    degrees: Line,
    across: Line,
    sky: Sky,
) -> None:
    _hills(rng, picture, degrees, across, sky)
    for layer, colour in enumerate(((64, 92, 56), (40, 66, 36))):
        crowns = np.abs(_line(rng, across, 1.5 - 0.4 * layer, 3, 0.6) - 0.5)
        top = 2.6 - 1.0 * layer + 1.2 * _line(rng, across, 12, 2) - 3.2 * crowns
        leaves = fractal(rng, len(across), len(degrees), Grain(len(degrees) / 50, 3))[..., None]
        _cover(picture, degrees, top.astype(np.float32), np.array(colour, np.float32) * (0.6 + 0.8 * leaves))


def _city(
    rng: np.random.Generator,
    picture: Pixels,
    degrees: Line,
    across: Line,
    sky: Sky,
) -> None:
    lights = sky.hour.name in ("dusk", "sunset", "storm")
    for layer in range(2):
        tall = _line(rng, across, 25, 2)
        column = 0
        per_degree = len(across) / max(abs(float(across[0] - across[-1])), 1.0)
        top = np.zeros(len(across), np.float32)
        shade = np.zeros(len(across), np.float32)
        while column < len(across):
            wide = int(rng.uniform(0.9, 2.8) * per_degree) + 2
            high = max(0.5, (9.5 - 4.5 * layer) * (float(tall[column]) - 0.15) * rng.uniform(0.35, 1.25))
            top[column : column + wide], shade[column : column + wide] = high, rng.uniform(0.75, 1.2)
            column += wide + int(rng.integers(2) * rng.integers(0, int(per_degree) + 2))
        wall = np.array(((136, 146, 160), (100, 104, 114))[layer], np.float32) * shade[None, :, None]
        cells = max(2, int(per_degree * 0.22))
        grid = rng.random((len(degrees) // cells + 1, len(across) // cells + 1)) < 0.45
        windows = np.kron(grid, np.ones((cells, cells), bool))[: len(degrees), : len(across)]
        rows, columns = np.arange(len(degrees))[:, None] % cells, np.arange(len(across))[None, :] % cells
        windows &= (rows > cells // 3) & (columns > cells // 3)
        pane = np.array((250, 214, 140), np.float32) * 2.4 if lights else np.array((70, 84, 104), np.float32)
        colour = np.where(windows[..., None], wall * 0.35 + pane * 0.65, wall)
        _cover(picture, degrees, top, colour.astype(np.float32))


def _flat(
    rng: np.random.Generator,
    picture: Pixels,
    degrees: Line,
    across: Line,
    sky: Sky,
) -> None:
    """Only a low line far away."""
    far = np.array(sky.hour.stops[0], np.float32) * np.float32(0.55) + np.array((50, 62, 60), np.float32) * np.float32(
        0.4
    )
    _cover(picture, degrees, (1.3 * _line(rng, across, 14, 5)).astype(np.float32), far)


def _hangars(
    rng: np.random.Generator,
    picture: Pixels,
    degrees: Line,
    across: Line,
    sky: Sky,
) -> None:
    """A low wood, and hangars with round roofs and dark doors before it."""
    crowns = 0.8 + 1.2 * _line(rng, across, 3, 4, 0.6)
    leaves = np.array((52, 74, 48), np.float32) + np.float32(0.1) * np.array(sky.hour.stops[0], np.float32)
    _cover(picture, degrees, crowns.astype(np.float32), leaves)
    for _ in range(int(rng.integers(2, 7))):
        middle, wide, high = rng.uniform(across[-1], across[0]), rng.uniform(3, 8), rng.uniform(1.2, 2.2)
        place = (across - middle) / wide * 2
        inside = np.abs(place) < 1
        wall = np.array(_WALLS[int(rng.integers(len(_WALLS)))], np.float32)
        _cover(picture, degrees, np.where(inside, high - 0.4 * high * place**2, -90).astype(np.float32), wall)
        _cover(picture, degrees, np.where(np.abs(place) < 0.6, high * 0.55, -90).astype(np.float32), wall * 0.5)


_WALLS = ((176, 180, 184), (156, 96, 78), (118, 138, 158), (196, 190, 170))
_SKYLINES = {"hills": _hills, "mountains": _mountains, "forest": _forest, "city": _city, "airfield": _hangars}


def _plain(rng: np.random.Generator, name: str, picture: Pixels, degrees: Line, sky: Sky) -> None:
    """The flat land or water from the horizon down, its texture squeezed towards the horizon."""
    rows, width = picture.shape[:2]
    below = np.clip(-degrees, 0.02, None)
    away = np.clip(1.7 / np.tan(np.radians(below)), 0, 400)  # metres along the ground
    depth = 60 * np.log1p(away / 3)
    field = fractal(rng, width, int(depth.max()) + 2, Grain(26, 5, 5.0 if name == "sea" else 3.0, 0.6))
    texture = field[depth.astype(int)]
    dark, bright = (np.array(c, np.float32) for c in _PLAINS[name])
    share = np.clip((texture - 0.5) * 2.4 + 0.5, 0, 1)[..., None]
    colour = dark * (1 - share) + bright * share
    if name == "sea":  # water mirrors the sky, most of all where it is seen flat
        mirror = np.exp(-below / 6)[:, None, None].astype(np.float32) * np.float32(0.7)
        horizon = np.array(sky.hour.stops[1], np.float32) / np.array(sky.hour.ground, np.float32)
        colour = colour * (1 - mirror) + np.clip(horizon, 0, 250) * mirror * (0.8 + 0.4 * share)
    _cover(picture, degrees, np.zeros(width, np.float32), np.broadcast_to(colour, (rows, width, 3)))


def _runway(rng: np.random.Generator, picture: Pixels, degrees: Line, across: Line) -> None:
    """A runway across the view with its dashes and edges."""
    middle, half = -rng.uniform(3.4, 5.0), rng.uniform(0.7, 1.2)
    on = np.clip((half - np.abs(degrees - middle)) * 12, 0, 1)[:, None, None].astype(np.float32)
    picture[..., :3] += (np.array((92, 94, 98), np.float32) - picture[..., :3]) * on
    dash = (np.abs(degrees - middle) < 0.09)[:, None] & ((across % 4.0) < 2.2)[None, :]
    edge = (np.abs(np.abs(degrees - middle) - half * 0.9) < 0.07)[:, None] | np.zeros_like(dash)
    picture[dash | edge, :3] = (228, 228, 222)
