"""The camera of a fly-by: fixed, panning after the aircraft, or held by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from v2a.geometry import Geometry
from v2a.synthetic.clip import Floats
from v2a.synthetic.flight import EAR
from v2a.synthetic.noise import slow_noise

# The same for all clips: with a zoom, size on the screen would no longer tell the distance.
FIELD_OF_VIEW = np.radians(55.0)
MODES = ("fixed", "pan", "handheld")
_REACH = np.radians(75.0)  # how far it turns


@dataclass(frozen=True)
class Camera:
    """Where the camera looks at each frame, and how it projects.

    Attributes:
        mode: "fixed", "pan" or "handheld".
        width, height: of the picture, pixels.
        focal: pixels.
        yaw, pitch: `[T]`, radians; yaw from north towards west, pitch upwards.
    """

    mode: str
    width: int
    height: int
    focal: float
    yaw: Floats
    pitch: Floats

    def project(self, points: Floats, frame: int) -> tuple[Floats, Floats]:
        """Pixels `[..., 2]` (0, 0 is the upper left corner) and depths `[...]`, m, of points `[..., 3]` in the world."""
        yaw, pitch = self.yaw[frame], self.pitch[frame]
        x, y, z = np.moveaxis(points - EAR, -1, 0)
        right = x * np.cos(yaw) + y * np.sin(yaw)
        north = y * np.cos(yaw) - x * np.sin(yaw)
        depth = north * np.cos(pitch) + z * np.sin(pitch)
        up = z * np.cos(pitch) - north * np.sin(pitch)
        safe = np.where(depth > 0.5, depth, 0.5)
        pixels = np.stack(
            [self.width / 2 + self.focal * right / safe, self.height / 2 - self.focal * up / safe], axis=-1
        )
        return pixels, depth


def focal_length(width: int) -> float:
    """Pixels."""
    return float(width / 2 / np.tan(FIELD_OF_VIEW / 2))


def draw_camera(rng: np.random.Generator, mode: str, track: Floats, geometry: Geometry, wind: float) -> Camera:
    """A camera for a target.

    Args:
        rng: draws.
        mode: one of `MODES`.
        track: where the target is at each frame, m, `[T, 3]`.
        geometry: size and rate of the picture.
        wind: 0..1; shakes a camera that is held by hand.
    """
    width, height, fps = geometry.width, geometry.height, geometry.fps
    away = track - EAR
    azimuth = np.unwrap(np.arctan2(-away[:, 0], away[:, 1]))
    azimuth -= 2 * np.pi * np.round(np.median(azimuth) / (2 * np.pi))
    elevation = np.arctan2(away[:, 2], np.hypot(away[:, 0], away[:, 1]))
    down = np.radians(rng.uniform(1.0, 6.0))
    if mode == "fixed":
        moment = int(rng.uniform(0.2, 0.8) * (len(track) - 1))
        yaw = np.full(len(track), azimuth[moment] + rng.uniform(-0.15, 0.15))
        pitch = np.full(len(track), elevation[moment] - down)
    else:
        smooth = rng.uniform(0.25, 0.6) * fps
        yaw = gaussian_filter1d(azimuth, smooth, mode="nearest") + rng.uniform(-0.1, 0.1)
        pitch = gaussian_filter1d(elevation, smooth, mode="nearest") - down
    yaw = _REACH * np.tanh(yaw / _REACH)
    pitch = np.clip(pitch, np.radians(2.0), np.radians(35.0))
    if mode == "handheld":
        shake = np.radians(0.12 + 0.2 * wind)
        yaw = yaw + shake * slow_noise(rng, len(track), 1 / fps, 0.5)
        pitch = pitch + shake * 0.8 * slow_noise(rng, len(track), 1 / fps, 0.4)
    return Camera(mode, width, height, focal_length(width), yaw, pitch)
