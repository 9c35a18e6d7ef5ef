"""The aircraft: how each looks and flies, and what its engines are. One look has one sound: the picture tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from v2a.synthetic.mesh import Colour, Mesh, lathe, mirrored, plates

Family = Literal["propeller", "jet", "glider"]


@dataclass(frozen=True)
class Aircraft:
    """A type of aircraft.

    Attributes:
        name: short.
        family: what makes its sound.
        span_m, length_m: size.
        speed: lowest and highest, m/s.
        level_db: dB of full scale, RMS, at 100 m, at full power, in its loudest direction, before air absorption.
        engines: y of each, m; a glider has none.
        blades, rpm: of a propeller at full power; blade passes per second are blades * rpm / 60. 0 for the others.
        tilt_db: how much weaker each doubling of a propeller's harmonics is, dB.
        noise_hz: where the broad noise is strongest, Hz.
        whine_hz: of a turbine at full power; 0 without one.
        disc: radius of a propeller, m, and x and z of it.
        wing: x, z of the root's leading edge; chord at root and tip; sweep at the tip (m back); rise of the tip (m).
        body: half width of the fuselage, m.
        tail: "low" or "T".
    """

    name: str
    family: Family
    span_m: float
    length_m: float
    speed: tuple[float, float]
    level_db: float
    engines: tuple[float, ...]
    blades: int
    rpm: float
    tilt_db: float
    noise_hz: float
    whine_hz: float
    disc: tuple[float, float, float]
    wing: tuple[float, float, float, float, float, float]
    body: float
    tail: str = "low"


# Sizes, speeds, blades and rpm are those of common aircraft of each kind (Cessna 172, PA-28, Stearman, Baron, ATR 42, A320, 747,
# Learjet, Alpha Jet, Discus, ASK 21); levels keep their order, a glider last, within what 16 bits hold.
AIRCRAFT = (
    Aircraft("light", "propeller", 11.0, 8.3, (45, 62), -26, (0.0,), 2, 2500, 5, 500, 0,
             (0.95, 4.1, 0.0), (1.3, 0.75, 1.6, 1.2, 0.1, 0.2), 0.55),
    Aircraft("trainer", "propeller", 9.4, 7.6, (50, 70), -25, (0.0,), 3, 2650, 4, 600, 0,
             (0.9, 3.9, 0.0), (0.9, -0.45, 1.7, 1.0, 0.3, 0.65), 0.5),
    Aircraft("biplane", "propeller", 9.0, 7.4, (38, 52), -25, (0.0,), 2, 1950, 3, 400, 0,
             (1.25, 3.6, 0.0), (1.6, 0.95, 1.4, 1.4, 0.2, 0.1), 0.6),
    Aircraft("twin", "propeller", 11.8, 9.1, (58, 82), -23, (1.9, -1.9), 3, 2300, 4, 550, 0,
             (0.95, 2.6, -0.1), (1.5, -0.3, 2.1, 1.0, 0.5, 0.6), 0.6),
    Aircraft("turboprop", "propeller", 24.6, 22.7, (65, 95), -19, (4.0, -4.0), 6, 1200, 7, 350, 2600,
             (1.95, 4.6, 1.3), (2.2, 1.3, 2.9, 1.6, 0.4, 0.1), 1.35, "T"),
    Aircraft("airliner", "jet", 34.0, 37.5, (72, 105), -17, (5.8, -5.8), 0, 0, 0, 260, 2300,
             (0, 0, 0), (5.5, -0.9, 6.5, 1.7, 6.8, 1.6), 1.95),
    Aircraft("jumbo", "jet", 62.0, 70.0, (76, 110), -14, (11.5, 20.5, -11.5, -20.5), 0, 0, 0, 180, 1800,
             (0, 0, 0), (14.0, -1.4, 13.5, 3.6, 17.0, 3.4), 3.2),
    Aircraft("bizjet", "jet", 13.5, 14.8, (70, 110), -21, (1.5, -1.5), 0, 0, 0, 420, 3600,
             (0, 0, 0), (1.4, -0.55, 2.7, 1.2, 1.4, 0.6), 0.8, "T"),
    Aircraft("fighter", "jet", 9.2, 12.2, (95, 140), -22, (0.6, -0.6), 0, 0, 0, 320, 4200,
             (0, 0, 0), (2.2, 0.1, 4.2, 1.1, 3.2, -0.1), 0.75),
    Aircraft("sailplane", "glider", 18.0, 7.0, (26, 42), -37, (), 0, 0, 0, 900, 0,
             (0, 0, 0), (0.7, 0.2, 0.95, 0.4, 0.3, 0.9), 0.34, "T"),
    Aircraft("clubglider", "glider", 16.0, 8.3, (22, 36), -36, (), 0, 0, 0, 700, 0,
             (0, 0, 0), (0.9, 0.3, 1.5, 0.8, -0.2, 0.6), 0.45, "T"),
)  # fmt: skip
_DARK: Colour = (38, 44, 56)


def build(kind: Aircraft, base: Colour, accent: Colour) -> Mesh:
    """Its faces, painted; the paint says nothing about the sound."""
    mesh = _fuselage(kind, base) + _wings(kind, base, accent) + _tail(kind, base, accent) + _cabin(kind)
    for y in kind.engines:
        mesh += _engine(kind, y, base, accent)
    if kind.name == "biplane":
        mesh += _second_wing(kind, accent)
    if kind.family == "propeller" and kind.name not in ("twin", "turboprop"):
        mesh += _wheels(kind)
    return mesh


def _fuselage(kind: Aircraft, colour: Colour) -> Mesh:
    half, r = kind.length_m / 2, kind.body
    boom = 0.16 if kind.family == "glider" else 0.3
    nose = 0.75 if kind.family == "propeller" and len(kind.engines) == 1 else 0.45
    stations = [
        (-half, r * 0.08, r * 0.1, r * 0.35),
        (-half * 0.6, r * (boom + 0.1), r * (boom + 0.14), r * 0.25),
        (-half * 0.1, r * 0.95, r, 0.0),
        (half * 0.45, r, r, 0.0),
        (half * 0.82, r * nose, r * nose, -r * 0.1),
        (half * 0.95, r * nose * 0.75, r * nose * 0.75, -r * 0.15),
        (half, r * 0.1, r * 0.1, -r * 0.18),
    ]
    if kind.family == "jet":  # a tube with short ends
        stations[2] = (-half * 0.45, r * 0.95, r, 0.0)
        stations[1] = (-half * 0.75, r * 0.6, r * 0.65, r * 0.3)
        stations[3] = (half * 0.7, r, r, 0.0)
    return lathe(stations, colour, sides=12)


def _airfoil(
    root: Sequence[float], tip: Sequence[float], chords: tuple[float, float], thick: float, colour: Colour
) -> Mesh:
    """A wing from root to tip (leading edges), with a ridge above and below so that it is seen from its edge as well."""
    (x0, y0, z0), (x1, y1, z1) = root, tip
    a, b = chords
    lead, trail = [(x0, y0, z0), (x1, y1, z1)], [(x0 - a, y0, z0), (x1 - b, y1, z1)]
    faces = []
    for side in (1, -1):
        ridge = [(x0 - 0.3 * a, y0, z0 + side * thick * a), (x1 - 0.3 * b, y1, z1 + side * thick * b)]
        faces += [[lead[0], lead[1], ridge[1], ridge[0]], [ridge[0], ridge[1], trail[1], trail[0]]]
    return plates(faces, colour)


def _wings(kind: Aircraft, base: Colour, accent: Colour) -> Mesh:
    x, z, root, tip, sweep, rise = kind.wing
    reach = kind.span_m / 2
    cut = 0.86  # the outer part wears the accent

    def edge(part: float) -> tuple[float, float, float]:
        return x - sweep * part, reach * part, z + rise * part

    def chord(part: float) -> float:
        return root + (tip - root) * part

    inner = _airfoil(edge(0.0), edge(cut), (chord(0.0), chord(cut)), 0.06, base)
    outer = _airfoil(edge(cut), edge(1.0), (chord(cut), chord(1.0)), 0.06, accent)
    return mirrored(inner + outer)


def _tail(kind: Aircraft, base: Colour, accent: Colour) -> Mesh:
    half, r = kind.length_m / 2, kind.body
    size = kind.length_m * (0.17 if kind.family == "jet" else 0.15)
    chord = size * 0.75
    back = -half + chord * 0.9
    top = r * 0.4 + size
    fin = plates([[(back + chord * 0.5, 0, r * 0.4), (back - size * 0.45, 0, top),
                   (back - size * 0.45 - chord * 0.6, 0, top), (back - chord * 0.9, 0, r * 0.3)]], accent)  # fmt: skip
    if kind.name == "fighter":
        size *= 0.7
    z = top - size * 0.08 if kind.tail == "T" else r * 0.35
    x = back - size * 0.35 if kind.tail == "T" else back + chord * 0.2
    plane = _airfoil((x, 0.0, z), (x - size * 0.35, size * 1.05, z), (chord, chord * 0.6), 0.04, base)
    return fin + mirrored(plane)


def _cabin(kind: Aircraft) -> Mesh:
    half, r = kind.length_m / 2, kind.body
    if (kind.family == "jet" and kind.name != "fighter") or kind.name == "turboprop":
        # A row of windows as one dark strip on each side, and the windscreen.
        strip = [[(half * 0.62, r * 1.005, r * 0.12), (half * 0.62, r * 0.97, r * 0.33),
                  (-half * 0.42, r * 0.97, r * 0.33), (-half * 0.42, r * 0.99, r * 0.12)]]  # fmt: skip
        return mirrored(plates(strip, _DARK)) + lathe(
            [(half * 0.8, r * 0.3, r * 0.2, r * 0.55), (half * 0.86, r * 0.3, r * 0.2, r * 0.35)], _DARK, 6
        )
    front, back = (0.62, 0.12) if kind.family == "glider" else (0.42, -0.12)
    if kind.name == "fighter":
        front, back = 0.7, 0.2
    high = r * (0.75 if kind.name != "light" else 0.6)
    return lathe(
        [(half * back, r * 0.3, r * 0.2, r * 0.75), (half * (back + front) / 2, r * 0.72, high, r * 0.7),
         (half * front, r * 0.25, r * 0.15, r * 0.65)], _DARK, 8)  # fmt: skip


def _engine(kind: Aircraft, y: float, base: Colour, accent: Colour) -> Mesh:
    x, z, _, _, sweep, rise = kind.wing
    if kind.family == "propeller":
        if y == 0.0:
            return lathe([(kind.disc[1] - 0.25, 0.28, 0.28, 0.0), (kind.disc[1] + 0.25, 0.04, 0.04, 0.0)], accent, 8)
        long, r = kind.length_m * 0.2, kind.body * 0.42
        x, z = kind.disc[1:]
        profile = ((-long, r * 0.3), (-long * 0.5, r), (-0.2, r * 0.8), (0.3, 0.05))
        return lathe([(x + along, wide, wide, z) for along, wide in profile], base, 8, y)
    if kind.name == "fighter":
        return lathe([(-kind.length_m * 0.46, 0.42, 0.42, 0.1), (kind.length_m * 0.1, 0.5, 0.5, 0.0)], _DARK, 8, y)
    if kind.name == "bizjet":
        return lathe([(-5.6, 0.3, 0.3, 0.6), (-4.4, 0.5, 0.5, 0.55), (-2.9, 0.45, 0.45, 0.55)], accent, 8, y)
    part = abs(y) / (kind.span_m / 2)
    r, long = kind.body * 0.52, kind.body * 1.9
    middle, low = x - sweep * part + long * 0.15, z + rise * part - r * 1.15
    shape = ((-long * 0.75, r * 0.55), (0.0, r), (long * 0.6, r * 0.9))
    inlet = ((long * 0.6, r * 0.8), (long * 0.61, 0.02))
    outside = lathe([(middle + along, wide, wide, low) for along, wide in shape], accent, 8, y)
    return outside + lathe([(middle + along, wide, wide, low) for along, wide in inlet], _DARK, 8, y)


def _second_wing(kind: Aircraft, colour: Colour) -> Mesh:
    x, _, root, tip, sweep, _ = kind.wing
    reach = kind.span_m / 2 * 0.94
    low = _airfoil((x - 0.5, 0.0, -0.6), (x - 0.5 - sweep, reach, -0.4), (root, tip), 0.06, colour)
    strut = plates([[(x - 0.9, reach * 0.66, -0.45), (x - 0.6, reach * 0.66, 1.0),
                     (x - 0.75, reach * 0.66, 1.0), (x - 1.05, reach * 0.66, -0.45)]], _DARK)  # fmt: skip
    return mirrored(low + strut)


def _wheels(kind: Aircraft) -> Mesh:
    low = -kind.body - 0.85
    leg = plates(
        [[(0.5, 0.3, -kind.body * 0.7), (0.7, 0.3, -kind.body * 0.7), (0.65, 1.1, low), (0.5, 1.1, low)]], _DARK
    )
    wheel = lathe(
        [(0.25, 0.08, 0.05, low), (0.45, 0.1, 0.3, low), (0.75, 0.1, 0.3, low), (0.95, 0.08, 0.05, low)], _DARK, 6, 1.1
    )
    return mirrored(leg + wheel)
