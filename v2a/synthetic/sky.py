"""Skies: colours of an hour and a weather, sun, clouds that drift with the wind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from v2a.synthetic.clip import Floats
from v2a.synthetic.noise import Grain, fractal, smoothstep

Pixels = npt.NDArray[np.float32]
RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Hour:
    """Colours of the sky at an hour.

    Attributes:
        name: for people.
        stops: colours at the horizon, 8, 25 and 60 degrees above it.
        sun: colour of the sun; its elevation in degrees, lowest and highest.
        lit, shade: of clouds.
        ground: how the hour colours the ground, factors.
        ambient: share of light that comes from everywhere.
    """

    name: str
    stops: tuple[RGB, RGB, RGB, RGB]
    sun: tuple[RGB, float, float]
    lit: RGB
    shade: RGB
    ground: tuple[float, float, float]
    ambient: float


HOURS = (
    Hour("noon", ((204, 222, 236), (156, 196, 232), (88, 148, 214), (42, 98, 182)), ((255, 252, 240), 30, 55),
         (252, 252, 252), (176, 188, 204), (1.0, 1.0, 0.95), 0.5),
    Hour("morning", ((246, 226, 196), (216, 216, 218), (142, 184, 224), (84, 134, 200)), ((255, 244, 214), 10, 25),
         (255, 246, 232), (176, 176, 192), (1.0, 0.95, 0.82), 0.5),
    Hour("golden", ((255, 210, 146), (248, 196, 146), (164, 174, 200), (88, 120, 176)), ((255, 232, 176), 5, 14),
         (255, 230, 190), (186, 150, 146), (1.0, 0.84, 0.6), 0.42),
    Hour("sunset", ((255, 158, 84), (246, 126, 98), (146, 104, 144), (58, 66, 124)), ((255, 214, 150), 1.5, 6),
         (255, 172, 120), (112, 82, 116), (0.62, 0.46, 0.44), 0.45),
    Hour("dusk", ((236, 148, 116), (156, 116, 154), (66, 72, 128), (26, 34, 78)), ((255, 190, 140), -3, 0.5),
         (206, 128, 128), (62, 58, 98), (0.34, 0.32, 0.42), 0.6),
    Hour("overcast", ((214, 218, 222), (198, 204, 210), (178, 186, 196), (156, 166, 178)), ((236, 238, 240), 30, 50),
         (226, 230, 234), (150, 158, 168), (0.78, 0.8, 0.8), 0.75),
    Hour("storm", ((168, 172, 172), (124, 132, 142), (88, 96, 110), (66, 74, 88)), ((190, 194, 198), 25, 45),
         (150, 156, 164), (62, 68, 80), (0.55, 0.58, 0.58), 0.75),
    Hour("haze", ((232, 226, 208), (220, 218, 208), (182, 198, 208), (136, 168, 198)), ((255, 250, 230), 20, 45),
         (244, 242, 236), (190, 194, 198), (0.95, 0.93, 0.85), 0.6),
)  # fmt: skip
_STOPS = (0.0, 8.0, 25.0, 60.0)
# name: cloud cover (share of the sky), size of clouds in degrees, how much wider than high, softness of their edges
_WEATHERS = {
    "clear": (0.0, 10.0, 2.0, 0.2),
    "fair": (0.30, 9.0, 1.8, 0.10),
    "broken": (0.52, 12.0, 2.0, 0.13),
    "cirrus": (0.40, 7.0, 6.0, 0.35),
    "layers": (0.55, 6.0, 5.0, 0.22),
    "covered": (0.80, 14.0, 2.6, 0.30),
}


@dataclass(frozen=True)
class Sky:
    """A drawn sky.

    Attributes:
        hour: its colours.
        weather: name of its clouds.
        sun_azimuth, sun_elevation: radians, azimuth from north towards west.
        base: `[H, W, 3]` without clouds.
        clouds: `[H, W + drift, 4]` RGB and opacity 0..255; the extra columns come in with the wind.
    """

    hour: Hour
    weather: str
    sun_azimuth: float
    sun_elevation: float
    base: Pixels
    clouds: Pixels

    def sun_direction(self) -> Floats:
        """Unit vector to the light; never below the horizon, where it would light bellies only."""
        elevation = max(self.sun_elevation, np.radians(4.0))
        flat = np.cos(elevation)
        return np.array([-np.sin(self.sun_azimuth) * flat, np.cos(self.sun_azimuth) * flat, np.sin(elevation)])


def draw_sky(rng: np.random.Generator, azimuth: Floats, elevation: Floats, drift: int) -> Sky:
    """A sky over a panorama.

    Args:
        rng: draws.
        azimuth: of the columns, radians, falling from left to right.
        elevation: of the rows, radians, falling from top to bottom.
        drift: columns more that the clouds need.
    """
    hour = HOURS[int(rng.integers(len(HOURS)))]
    grey = hour.name in ("overcast", "storm")
    weather = str(rng.choice(["broken", "layers", "covered"] if grey else list(_WEATHERS)))
    sun_elevation = np.radians(rng.uniform(hour.sun[1], hour.sun[2]))
    sun_azimuth = float(rng.uniform(-1.4, 1.4) if hour.sun[2] < 30 else rng.uniform(-np.pi, np.pi))
    degrees = np.degrees(elevation)
    tint = rng.normal(0, 4, 3)
    base = np.stack([np.interp(degrees, _STOPS, [stop[c] for stop in hour.stops]) + tint[c] for c in range(3)], axis=-1)
    base = np.repeat(base[:, None].astype(np.float32), len(azimuth), axis=1)
    if not grey:
        _add_sun(base, azimuth - sun_azimuth, elevation - sun_elevation, np.array(hour.sun[0], np.float32))
    clouds = _clouds(rng, hour, weather, len(azimuth) + drift, degrees)
    return Sky(hour, weather, sun_azimuth, float(sun_elevation), base, clouds)


def _add_sun(base: Pixels, across: Floats, above: Floats, colour: npt.NDArray[np.float32]) -> None:
    away = np.degrees(np.hypot(across[None, :], above[:, None])).astype(np.float32)
    disc = np.clip((0.55 - away) / 0.1 + 0.5, 0, 1)
    glow = 0.55 * np.exp(-away / 4) + 0.3 * np.exp(-away / 16)
    share = np.maximum(disc, glow)[..., None]
    base += (colour - base) * share


def _clouds(rng: np.random.Generator, hour: Hour, weather: str, width: int, degrees: Floats) -> Pixels:
    """Noise on a flat ceiling, seen from below: towards the horizon it is squeezed."""
    cover, size, stretch, soft = _WEATHERS[weather]
    rows = len(degrees)
    per_degree = rows / max(float(degrees[0] - degrees[-1]), 1.0)
    ceiling = 22 * np.log1p(np.clip(degrees, 0, None) / 5) * per_degree  # steps of the ceiling for each row
    field = fractal(rng, width, int(ceiling.max()) + 2, Grain(size * per_degree, 6, stretch, 0.55))
    index = ceiling.astype(int)
    part = (ceiling - index)[:, None].astype(np.float32)
    density = field[index] * (1 - part) + field[index + 1] * part
    if cover == 0:
        return np.zeros((rows, width, 4), np.float32)
    threshold = float(np.quantile(field, 1 - cover))
    alpha = smoothstep(threshold - soft / 2, threshold + soft / 2, density)
    fade = smoothstep(0.5, 7.0, degrees.astype(np.float32))
    # Relief: brighter where the cloud thins upwards, darker in its thick lower part.
    step = max(2, int(per_degree))
    relief = np.roll(density, -step, axis=0) - density
    light = np.clip(0.62 + 3.2 * relief - 1.2 * (density - threshold), 0, 1)[..., None]
    colour = np.array(hour.shade, np.float32) * (1 - light) + np.array(hour.lit, np.float32) * light
    return np.concatenate([colour, (alpha * fade[:, None] * 245)[..., None]], axis=-1)
