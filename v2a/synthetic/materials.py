"""What things are made of: how a material looks, bounces and rings. One look has one sound: the picture tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Look = Literal["wood", "metal", "rubber", "glass", "stone", "plastic"]
Shape = Literal["ball", "box", "can", "disc"]


@dataclass(frozen=True)
class Material:
    """A material.

    Attributes:
        name: also names its texture.
        density: kg per cubic metre of the whole body (hollow things are light).
        bounce: restitution against a hard floor at 2 m/s, 0..1.
        friction: sliding friction.
        pitch_hz: lowest mode of a body of 10 cm; it falls with size.
        ring_s: time in which that mode falls by 60 dB; larger bodies ring longer.
        modes: frequencies relative to the lowest.
        contact_s: how long a body of 10 cm touches at 2 m/s; longer is duller, and so is a weaker strike.
        loudness_db: relative to the others.
        colours: it comes in these, 0..255.
    """

    name: Look
    density: float
    bounce: float
    friction: float
    pitch_hz: float
    ring_s: float
    modes: tuple[float, ...]
    contact_s: float
    loudness_db: float
    colours: tuple[tuple[int, int, int], ...]


# Densities are handbook values; modes are those of a free bar (wood: 1, 2.76, 5.40), a plate or shell (metal, glass, stone) and a
# soft lump (rubber); pitches and rings were chosen by ear within what such things do, far enough apart to be told from each other.
MATERIALS = {
    m.name: m
    for m in (
        Material("wood", 650, 0.45, 0.40, 520, 0.16, (1, 2.76, 5.40, 8.93), 4e-4, 0,
                 ((176, 122, 68), (202, 156, 98), (134, 86, 46))),
        Material("metal", 2400, 0.55, 0.25, 980, 1.3, (1, 1.51, 2.33, 2.91, 4.06, 5.18, 6.87), 8e-5, 1,
                 ((176, 182, 190), (150, 156, 164), (188, 172, 140))),
        Material("rubber", 500, 0.82, 0.70, 130, 0.10, (1, 1.9, 3.1), 2.5e-3, 2,
                 ((200, 44, 40), (36, 74, 168), (38, 124, 60))),
        Material("glass", 1500, 0.62, 0.25, 1900, 0.45, (1, 1.36, 2.32, 3.51, 4.87), 6e-5, -2,
                 ((116, 196, 196), (130, 200, 150), (140, 176, 220))),
        Material("stone", 2500, 0.35, 0.50, 1150, 0.07, (1, 1.62, 2.71, 3.9), 1.2e-4, 2,
                 ((136, 134, 130), (112, 108, 106), (158, 146, 130))),
        Material("plastic", 160, 0.68, 0.35, 330, 0.11, (1, 1.59, 2.14, 2.92, 4.2), 7e-4, -3,
                 ((252, 206, 40), (255, 122, 30), (226, 70, 160))),
    )
}  # fmt: skip
# Which things there are: a glass ball is a marble, a metal can is a tin, a rubber box there is not.
THINGS: tuple[tuple[Shape, Look], ...] = (
    ("ball", "rubber"), ("ball", "rubber"), ("ball", "wood"), ("ball", "metal"), ("ball", "glass"), ("ball", "stone"),
    ("ball", "plastic"), ("ball", "plastic"), ("box", "wood"), ("box", "metal"), ("box", "plastic"), ("box", "stone"),
    ("can", "metal"), ("can", "glass"), ("can", "plastic"), ("can", "wood"),
    ("disc", "metal"), ("disc", "wood"), ("disc", "rubber"),
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """A thing of a scene. It moves in its lane, a vertical plane across the view.

    Attributes:
        shape, material: of it.
        colour: 0..255.
        half_width, half_height: along the lane and upwards, m; a ball's and a disc's are its radius.
        half_depth: towards the camera, m.
        lane: y of its plane, m from the camera's side.
        start_s: when it comes in, s.
        x, z, vx, vz: place and speed then, m and m/s.
    """

    shape: Shape
    material: Material
    colour: tuple[int, int, int]
    half_width: float
    half_height: float
    half_depth: float
    lane: float
    start_s: float
    x: float
    z: float
    vx: float
    vz: float

    @property
    def round(self) -> bool:
        """Whether it rolls."""
        return self.shape in ("ball", "disc")

    @property
    def size(self) -> float:
        """Its mean diameter, m: what its pitch follows."""
        return 2 * float((self.half_width * self.half_height * max(self.half_depth, 0.4 * self.half_width)) ** (1 / 3))

    @property
    def mass(self) -> float:
        """Kilograms."""
        fill = {"ball": 0.52, "box": 1.0, "can": 0.79, "disc": 0.79}[self.shape]
        return self.material.density * fill * 8 * self.half_width * self.half_height * self.half_depth

    @property
    def pitch_hz(self) -> float:
        """Its lowest mode: a thing twice as large sounds a little less than an octave lower."""
        return float(self.material.pitch_hz * (0.1 / self.size) ** 0.8)
