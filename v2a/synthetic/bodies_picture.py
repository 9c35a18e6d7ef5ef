"""Pictures of the bodies: balls are shaded pixel by pixel with the pattern of their material, the rest are small solid models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from v2a.synthetic.clip import Floats
from v2a.synthetic.materials import Body
from v2a.synthetic.mesh import Box, Mesh, draw_faces, lathe, plates, shaded
from v2a.synthetic.physics import Arc
from v2a.synthetic.place import Place

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sprite:
    """A picture with an alpha channel, where it belongs (pixels; it may reach beyond the frame), and its depth, m."""

    image: Image.Image
    box: Box
    depth: float


def build(body: Body) -> Mesh | None:
    """The model of a body in its own axes: x along the lane, y away from the camera, z up; None for a ball."""
    if body.shape == "ball":
        return None
    if body.shape == "box":
        return _box(body)
    return _can(body) if body.shape == "can" else _disc(body)


def draw_body(canvas: Image.Image, place: Place, body: Body, mesh: Mesh | None, state: Arc) -> Sprite | None:
    """The body as it is seen, or None when it is outside the picture."""
    at, view = np.array([state.x, body.lane, state.z]), place.view
    if mesh is None:
        return _draw_ball(canvas, place, body, at, state.turned)
    turn = state.turned if body.round else 0.0
    c, s = np.cos(turn), np.sin(turn)
    attitude = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    corners, depth = view.project(mesh.points @ attitude.T + at)
    to = place.light - at
    colours, seen = shaded(mesh, attitude, view.eye - at, to / np.linalg.norm(to), 0.62)
    # Their bodies are convex: what faces the eye hides nothing else of them, and what is painted on them comes last.
    drawn = draw_faces(canvas, corners, -np.arange(len(seen), dtype=np.float64), colours, seen)
    return None if drawn is None else Sprite(drawn[0], drawn[1], float(depth.mean()))


def _draw_ball(canvas: Image.Image, place: Place, body: Body, at: Floats, turned: float) -> Sprite | None:
    view = place.view
    (x, y), depth = view.project(at)
    radius = view.focal * body.half_width / float(depth)
    box = (
        int(np.floor(x - radius)) - 1,
        int(np.floor(y - radius)) - 1,
        int(np.ceil(x + radius)) + 1,
        int(np.ceil(y + radius)) + 1,
    )
    if box[2] <= 0 or box[3] <= 0 or box[0] >= canvas.width or box[1] >= canvas.height:
        return None
    across = ((np.arange(box[0], box[2]) + 0.5 - x) / radius).astype(np.float32)[None, :]
    up = (-(np.arange(box[1], box[3]) + 0.5 - y) / radius).astype(np.float32)[:, None]
    rim = np.sqrt(across**2 + up**2)
    alpha = np.clip((1 - rim) * radius + 0.5, 0, 1)
    toward = np.sqrt(np.clip(1 - rim**2, 0, 1))
    c, s = np.float32(np.cos(turned)), np.float32(np.sin(turned))
    # Rolling to the right turns the near side clockwise on the screen.
    u, v = across * c - up * s, across * s + up * c
    colour = _PATTERNS[body.material.name](_Skin(u, v, toward, np.array(body.colour, np.float32)))
    axes = view.axes()
    to = (place.light - at) / np.linalg.norm(place.light - at)
    sun = np.array([axes[0] @ to, -axes[1] @ to, -axes[2] @ to], np.float32)  # right, up, towards the eye
    falls = np.clip(across * sun[0] + up * sun[1] + toward * sun[2], 0, 1)
    sky = 0.5 + 0.5 * up
    gloss, hard = {"metal": (200, 28), "glass": (230, 40), "plastic": (150, 30)}.get(body.material.name, (26, 8))
    mirror = np.clip(2 * toward * falls - sun[2], 0, 1) ** hard * gloss
    shade = (0.42 + 0.16 * sky + 0.62 * falls) * (0.6 + 0.4 * toward)
    pixels = np.clip(colour * shade[..., None] + mirror[..., None], 0, 255)
    if body.material.name == "glass":
        alpha = alpha * (0.5 + 0.5 * (1 - toward) + 0.4 * (mirror > 40))
    picture = np.concatenate([pixels, np.clip(alpha, 0, 1)[..., None] * 255], axis=-1).astype(np.uint8)
    return Sprite(Image.fromarray(picture), box, float(depth))


# --- patterns of balls --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Skin:
    """Places on the turned ball, u to the right, v up, w towards the camera, and the colour of the material."""

    u: Values
    v: Values
    w: Values
    base: Values


def _mix(share: Values, one: Values, other: Values) -> Values:
    return one + (other - one) * np.asarray(share, np.float32)[..., None]


def _rings(at: _Skin) -> Values:
    from_heart = np.sqrt((at.u - 0.25) ** 2 + (at.v * 0.8 + 0.1) ** 2)
    rings = np.asarray(0.5 + 0.5 * np.sin(from_heart * 22 + 2 * at.v), np.float32)
    return _mix(rings, at.base * np.float32(0.72), at.base * np.float32(1.08))


def _chrome(at: _Skin) -> Values:
    seam = np.asarray(np.clip(1 - np.abs(at.u) / 0.05, 0, 1) * 0.6, np.float32)
    return _mix(seam, at.base * (0.72 + 0.5 * np.abs(at.w - 0.5))[..., None], at.base * np.float32(0.4))


def _band(at: _Skin) -> Values:
    return _mix(np.clip((0.2 - np.abs(at.v)) * 12 + 0.5, 0, 1), at.base, np.array((236, 232, 222), np.float32))


def _swirl(at: _Skin) -> Values:
    twist = np.sin(5 * at.u + 3 * at.v * at.v)
    return _mix(np.clip(1 - np.abs(at.v - 0.35 * twist) / 0.16, 0, 1), at.base, np.array((250, 250, 250), np.float32))


def _speckles(at: _Skin) -> Values:
    spots = np.sin(17 * at.u + 3 * np.sin(11 * at.v)) * np.sin(15 * at.v + 2.5 * np.sin(13 * at.u + 1))
    return _mix(np.asarray(0.5 + 0.5 * spots, np.float32), at.base * np.float32(0.62), at.base * np.float32(1.22))


def _segments(at: _Skin) -> Values:
    sector = np.sin(3 * np.arctan2(at.v, at.u)) * np.clip(np.hypot(at.u, at.v) * 8, 0, 1)
    return _mix(np.clip(sector * 6 + 0.5, 0, 1), at.base, np.array((248, 246, 240), np.float32))


_PATTERNS = {
    "wood": _rings,
    "metal": _chrome,
    "rubber": _band,
    "glass": _swirl,
    "stone": _speckles,
    "plastic": _segments,
}


# --- models ------------------------------------------------------------------------------------------------------------


def _box(body: Body) -> Mesh:
    x, y, z = body.half_width, body.half_depth, body.half_height
    c = np.array(body.colour, float)
    colour = (float(c[0]), float(c[1]), float(c[2]))
    dark = tuple(float(part) for part in c * 0.62)
    light = tuple(float(part) for part in np.minimum(c * 1.25, 255))
    sides = np.array([
        [(-x, -y, -z), (x, -y, -z), (x, -y, z), (-x, -y, z)],
        [(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)],
        [(-x, y, -z), (-x, -y, -z), (-x, -y, z), (-x, y, z)],
        [(x, -y, -z), (x, y, -z), (x, y, z), (x, -y, z)],
    ])  # fmt: skip
    mesh = Mesh(sides, np.tile(c, (4, 1)), np.zeros(4, bool))
    front = -y * 1.004 - 1e-4

    def strip(x0: float, z0: float, x1: float, z1: float, tone: tuple[float, ...]) -> Mesh:
        face = [(x0 * x, front, z0 * z), (x1 * x, front, z0 * z), (x1 * x, front, z1 * z), (x0 * x, front, z1 * z)]
        return plates([face], (tone[0], tone[1], tone[2]))

    name = body.material.name
    if name == "wood":  # boards and a frame
        for k in (-0.5, 0.0, 0.5):
            mesh += strip(-1, k - 0.025, 1, k + 0.025, dark)
        for k in (-0.9, 0.9):
            mesh += strip(k - 0.1, -1, k + 0.1, 1, light)
    elif name == "metal":  # a bright rim and a dark field
        mesh += strip(-0.8, -0.8, 0.8, 0.8, dark) + strip(-0.72, -0.72, 0.72, 0.72, colour)
    elif name == "plastic":  # a crate's slots
        for k in (-0.55, 0.0, 0.55):
            mesh += strip(-0.75, k - 0.12, 0.75, k + 0.12, dark)
    else:
        mesh += strip(-1, -0.1, 1, 0.05, dark)
    return mesh


def _can(body: Body) -> Mesh:
    r, h = body.half_width, body.half_height
    c = np.array(body.colour, float)
    rim = h * 0.94
    if body.material.name == "glass":  # a jar: green body, paler lid
        label, lid = c, np.array((226, 226, 220.0))
    elif body.material.name == "metal":  # a tin: paper label between bright rims
        label, lid = np.array((190, 60, 50.0)), c
    else:
        label, lid = c, c * 0.7
    wall = lathe([(-h, 0, 0, 0), (-h, r, r, 0), (-h * 0.7, r, r, 0)], tuple(lid), 14) + lathe(
        [(-h * 0.7, r, r, 0), (h * 0.65, r, r, 0)], tuple(label), 14
    )
    top = lathe([(h * 0.65, r, r, 0), (rim, r, r, 0), (h, r * 0.93, r * 0.93, 0), (h, 0, 0, 0)], tuple(lid), 14)
    return _turned(wall + top, (1, 2, 0))


def _disc(body: Body) -> Mesh:
    r, d = body.half_width, body.half_depth
    c = np.array(body.colour, float)
    wheel = lathe([(-d, 0, 0, 0), (-d, r, r, 0), (d, r, r, 0), (d, 0, 0, 0)], tuple(c), 22)
    mesh = _turned(wheel, (2, 0, 1))
    front = -d * 1.01 - 1e-4
    dark = tuple(float(part) for part in c * 0.55)
    for spoke in range(3):
        a = spoke * np.pi / 3
        along, beside = np.array([np.cos(a), np.sin(a)]) * r * 0.86, np.array([-np.sin(a), np.cos(a)]) * r * 0.1
        face = [along + beside, along - beside, -along - beside, -along + beside]
        mesh += plates([[(x, front, z) for x, z in face]], (dark[0], dark[1], dark[2]))
    return mesh


def _turned(mesh: Mesh, order: tuple[int, int, int]) -> Mesh:
    """The mesh with its axes exchanged in a circle, which keeps the winding of its faces."""
    return Mesh(mesh.points[..., list(order)], mesh.colours, mesh.thin)
