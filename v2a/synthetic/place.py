"""Where things fall: a room, a courtyard, a street, a conveyor, a table top, stairs; and the fixed camera that watches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from v2a.synthetic.clip import Floats
from v2a.synthetic.physics import Terrain

FIELD_OF_VIEW = np.radians(50.0)


@dataclass(frozen=True)
class Kind:
    """A sort of place.

    Attributes:
        name: for people.
        half: half its width, m.
        depth: from the camera's side to the back wall, m.
        sizes: smallest and largest body, m.
        floor, wall, riser: textures of the ground, of the walls, and of the sides of steps.
        ground: which sound the ground answers with.
        hardness: factor on every restitution.
        ring_s: reverberation, s.
        wall_bottom: height of the skirting, m.
    """

    name: str
    half: float
    depth: float
    sizes: tuple[float, float]
    floor: str
    wall: str
    riser: str
    ground: str
    hardness: float
    ring_s: float
    wall_bottom: float


PLACES = (
    Kind("room", 2.2, 2.2, (0.22, 0.6), "planks", "paint", "planks", "planks", 0.96, 0.35, 0.10),
    Kind("courtyard", 2.8, 2.6, (0.26, 0.75), "slabs", "brick", "brick", "concrete", 1.0, 0.5, 0.0),
    Kind("street", 3.2, 3.0, (0.3, 0.85), "asphalt", "concrete", "concrete", "concrete", 0.98, 0.25, 0.22),
    Kind("conveyor", 2.4, 2.0, (0.24, 0.6), "concrete", "metal", "metal", "metal", 0.95, 0.8, 0.3),
    Kind("table", 0.55, 0.5, (0.055, 0.15), "planks", "tiles", "planks", "table", 0.92, 0.3, 0.0),
    Kind("stairs", 2.6, 2.0, (0.24, 0.55), "stone", "brick", "stone", "stone", 1.0, 0.9, 0.0),
)


@dataclass(frozen=True)
class View:
    """A fixed camera: place of its eye, m (x right, y away from it, z up), yaw to the left and pitch downwards, radians."""

    eye: Floats
    yaw: float
    pitch: float
    width: int
    height: int

    @property
    def focal(self) -> float:
        """Pixels."""
        return float(self.width / 2 / np.tan(FIELD_OF_VIEW / 2))

    def axes(self) -> Floats:
        """Unit vectors to the right, down and forward, as rows."""
        cy, sy, cp, sp = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.pitch), np.sin(self.pitch)
        right, forward = np.array([cy, sy, 0]), np.array([-sy * cp, cy * cp, -sp])
        return np.stack([right, np.cross(forward, right), forward])

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Pixels `[..., 2]` and depths `[...]`, m, of points `[..., 3]`."""
        seen = (points - self.eye) @ self.axes().T
        depth = np.maximum(seen[..., 2], 0.01)
        middle = np.array([self.width / 2, self.height / 2])
        return middle + self.focal * seen[..., :2] / depth[..., None], depth

    def rays(self, fine: int) -> Floats:
        """Directions of `fine` by `fine` rays in each pixel, `[H * fine, W * fine, 3]`, of depth 1."""
        x = ((np.arange(self.width * fine) + 0.5) / fine - self.width / 2) / self.focal
        y = ((np.arange(self.height * fine) + 0.5) / fine - self.height / 2) / self.focal
        grid = np.stack([*np.meshgrid(x, y), np.ones((len(y), len(x)))], axis=-1)
        turned: Floats = grid @ self.axes()
        return turned


@dataclass(frozen=True)
class Place:
    """A drawn place: its sort, ground, camera, light (m), brightness, and colours of floor and walls."""

    kind: Kind
    terrain: Terrain
    view: View
    light: Floats
    brightness: float
    floor_colour: Floats
    wall_colour: Floats


_FLOORS = {
    "planks": ((150, 108, 70), (122, 84, 54), (184, 148, 106), (104, 78, 60)),
    "slabs": ((164, 160, 152), (150, 142, 130), (134, 138, 142)),
    "asphalt": ((82, 84, 88), (98, 98, 98), (70, 72, 78)),
    "concrete": ((148, 148, 144), (128, 130, 132), (160, 154, 144)),
    "stone": ((150, 142, 128), (128, 126, 124), (168, 158, 140)),
}
_WALLS = {
    "paint": ((222, 214, 196), (190, 206, 204), (204, 190, 206), (214, 222, 226), (226, 206, 176)),
    "brick": ((150, 82, 62), (168, 112, 82), (126, 84, 74)),
    "concrete": ((164, 164, 160), (150, 156, 160), (176, 168, 156)),
    "metal": ((118, 132, 146), (132, 140, 134), (104, 118, 128)),
    "tiles": ((214, 222, 222), (176, 200, 206), (222, 214, 196), (150, 176, 160)),
}


def draw_place(rng: np.random.Generator, width: int, height: int) -> Place:
    """A place, and a camera that sees all of its width."""
    kind = PLACES[int(rng.integers(len(PLACES)))]
    half = kind.half
    steps: tuple[tuple[float, float], ...] = ((half, 0.0),)
    belt = 0.0
    if kind.name == "conveyor":
        steps, belt = ((rng.uniform(-0.6, 0.3), rng.uniform(0.45, 0.75)), (half, 0.0)), float(rng.uniform(0.5, 1.1))
    elif kind.name == "stairs":
        rise, tread, count = rng.uniform(0.14, 0.24), rng.uniform(0.42, 0.6), int(rng.integers(3, 6))
        first = -half + rng.uniform(0.7, 1.1)
        ends = [first + tread * k for k in range(count)]
        steps = (*((float(end), float(rise * (count - k))) for k, end in enumerate(ends)), (half, 0.0))
    terrain = Terrain(-half, half, steps, belt, kind.hardness)
    away = half * rng.uniform(1.02, 1.12) / np.tan(FIELD_OF_VIEW / 2) * max(1.0, (width / height) / 1.9)
    yaw, pitch = rng.uniform(-0.12, 0.12), rng.uniform(0.22, 0.42)
    middle = kind.depth / 2
    eye = np.array(
        [
            np.sin(yaw) * away * np.cos(pitch),
            middle - away * np.cos(pitch) * np.cos(yaw),
            0.3 * half + away * np.sin(pitch),
        ]
    )
    view = View(eye, float(yaw), float(pitch), width, height)
    light = np.array([rng.uniform(-0.8, 0.8) * half, rng.uniform(-0.2, 0.7) * kind.depth, rng.uniform(1.5, 2.2) * half])
    colours = []
    for names in (_FLOORS[kind.floor], _WALLS[kind.wall]):
        colours.append(np.array(names[int(rng.integers(len(names)))]) + rng.normal(0, 6, 3))
    return Place(kind, terrain, view, light, float(rng.uniform(0.9, 1.25)), colours[0], colours[1])
