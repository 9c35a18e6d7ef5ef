"""Small solid models of a few dozen flat faces, drawn with light and without jagged edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from v2a.synthetic.clip import Floats

Colour = tuple[float, float, float]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Mesh:
    """Faces of a body in its own axes: x forward, y left, z up; metres.

    Attributes:
        points: corners `[F, 4, 3]`; a triangle repeats its last one.
        colours: `[F, 3]`, 0..255.
        thin: `[F]`, true for a face that is seen from both sides (a plate), false for one of a closed body, whose corners go
            counter-clockwise as seen from outside.
    """

    points: Floats
    colours: Floats
    thin: np.ndarray

    def __add__(self, other: Mesh) -> Mesh:
        """Both together."""
        return Mesh(
            np.concatenate([self.points, other.points]),
            np.concatenate([self.colours, other.colours]),
            np.concatenate([self.thin, other.thin]),
        )


def plates(corners: Sequence[Sequence[Sequence[float]]], colour: Colour) -> Mesh:
    """Flat faces that are seen from both sides; each of 3 or 4 corners."""
    points = np.array([[*face, face[-1]][:4] for face in corners], dtype=np.float64)
    return Mesh(points, np.tile(np.array(colour, float), (len(points), 1)), np.ones(len(points), bool))


def mirrored(mesh: Mesh) -> Mesh:
    """The mesh and its mirror image across the plane y = 0."""
    other = mesh.points * np.array([1.0, -1.0, 1.0])
    return mesh + Mesh(other[:, ::-1], mesh.colours, mesh.thin)


def lathe(
    stations: Sequence[tuple[float, float, float, float]], colour: Colour, sides: int = 10, y: float = 0.0
) -> Mesh:
    """A closed body of elliptic sections along x.

    Args:
        stations: (x, half width, half height, z of its middle), from back to front.
        colour: of all faces.
        sides: of a section.
        y: of its middle.
    """
    angles = np.arange(sides + 1) * 2 * np.pi / sides
    rings = np.array(
        [[[x, y + wide * np.cos(a), z + high * np.sin(a)] for a in angles] for x, wide, high, z in stations]
    )
    quads = np.stack([rings[:-1, :-1], rings[:-1, 1:], rings[1:, 1:], rings[1:, :-1]], axis=2).reshape(-1, 4, 3)
    return Mesh(quads, np.tile(np.array(colour, float), (len(quads), 1)), np.zeros(len(quads), bool))


def rotation(heading: float, pitch: float = 0.0, bank: float = 0.0) -> Floats:
    """Matrix `[3, 3]` from body axes to the world's: heading from x towards y, nose up, right wing down; radians."""
    ch, sh, cp, sp, cb, sb = (f(a) for a in (heading, pitch, bank) for f in (np.cos, np.sin))
    turn = np.array([[ch, -sh, 0], [sh, ch, 0], [0, 0, 1]])
    nose = np.array([[cp, 0, -sp], [0, 1, 0], [sp, 0, cp]])
    roll = np.array([[1, 0, 0], [0, cb, -sb], [0, sb, cb]])
    matrix: Floats = turn @ nose @ roll
    return matrix


def shaded(mesh: Mesh, attitude: Floats, eye: Floats, sun: Floats, ambient: float) -> tuple[Floats, np.ndarray]:
    """Colours of the faces under the sun, and which of them face the eye.

    Args:
        mesh: in body axes.
        attitude: matrix from body axes to the world's.
        eye: from the body to the eye, `[3]`, world axes, metres.
        sun: unit vector to the light, world axes.
        ambient: share of light that comes from everywhere, 0..1.

    Returns:
        colours `[F, 3]` and a mask `[F]`.
    """
    points = mesh.points @ attitude.T
    normals = np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0])
    flat = np.linalg.norm(normals, axis=1) < 1e-9  # a section of no width folds one side of a quad into a point
    normals[flat] = np.cross(points[:, 2] - points[:, 0], points[:, 3] - points[:, 0])[flat]
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    middle = points.mean(axis=1)
    towards = np.sum(normals * (eye - middle), axis=1)
    # A closed body's faces are wound so that their normals point outwards; a plate's outside is where the eye is.
    outside = np.where(mesh.thin, np.sign(towards), 1.0)
    light = np.clip(np.sum(normals * sun, axis=1) * outside, 0, 1)
    sky = 0.75 + 0.25 * normals[:, 2] * outside  # what looks down is darker
    colours = mesh.colours * (ambient * sky + (1 - ambient) * light)[:, None]
    return np.clip(colours, 0, 255), mesh.thin | (towards * outside > 0)


def draw_faces(
    canvas: Image.Image, corners: Floats, depths: Floats, colours: Floats, seen: np.ndarray
) -> tuple[Image.Image, Box] | None:
    """Faces drawn as a picture with an alpha channel, over the part of the canvas that they touch.

    Args:
        canvas: gives the size; nothing is drawn on it.
        corners: on the canvas, pixels, `[F, 4, 2]`.
        depths: of the faces; the far ones are drawn first, `[F]`.
        colours: `[F, 3]`.
        seen: mask `[F]`.

    Returns:
        The picture and where it belongs, or None when nothing is on the canvas.
    """
    low = np.floor(corners.min(axis=(0, 1))).astype(int) - 2
    high = np.ceil(corners.max(axis=(0, 1))).astype(int) + 2
    box = (max(low[0], 0), max(low[1], 0), min(high[0], canvas.width), min(high[1], canvas.height))
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    width, height = int(box[2] - box[0]), int(box[3] - box[1])
    fine = 4 if width * height < 60_000 else 2
    tint = tuple(int(c) for c in colours.mean(axis=0))
    sprite = Image.new("RGBA", (width * fine, height * fine), (*tint, 0))
    draw = ImageDraw.Draw(sprite)
    placed = (corners - np.array(box[:2])) * fine - 0.5
    for face in np.argsort(-depths, kind="stable"):
        if seen[face]:
            red, green, blue = (int(c) for c in colours[face])
            draw.polygon([(x, y) for x, y in placed[face].tolist()], fill=(red, green, blue, 255))
    return sprite.reduce(fine), (int(box[0]), int(box[1]), int(box[2]), int(box[3]))
