"""Where an aircraft is at any time, and when what it emits is heard."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from v2a.synthetic.aircraft import Aircraft
from v2a.synthetic.clip import SOUND_SPEED, Floats
from v2a.synthetic.mesh import rotation

EAR = np.array([0.0, 0.0, 1.7])  # camera and microphone, m: x east, y north, z up
_GRAVITY = 9.81


@dataclass(frozen=True)
class Flight:
    """A path at constant speed with a constant rate of turn and of climb: straight lines, arcs, approaches and departures.

    Attributes:
        path: "crossing", "turning", "approach" or "departure".
        t0: time of the reference point, s.
        point: where it is then, m, `[3]`.
        speed: over ground, m/s.
        heading: direction of flight at t0, radians from east towards north.
        turn: radians per second, positive to the left.
        climb: m/s.
        power: of the engines, 0..1: 1 in a climb, less in an approach.
    """

    path: str
    t0: float
    point: tuple[float, float, float]
    speed: float
    heading: float
    turn: float
    climb: float
    power: float

    def position(self, t: Floats) -> Floats:
        """Metres `[..., 3]` at times `[...]` in seconds."""
        s = t - self.t0
        half = self.turn * s / 2
        reach = self.speed * s * np.sinc(half / np.pi)  # chord of the arc; the straight line when it does not turn
        x = self.point[0] + reach * np.cos(self.heading + half)
        y = self.point[1] + reach * np.sin(self.heading + half)
        return np.stack([x, y, self.point[2] + self.climb * s], axis=-1)

    def velocity(self, t: Floats) -> Floats:
        """m/s `[..., 3]`."""
        heading = self.heading + self.turn * (t - self.t0)
        return np.stack(
            [self.speed * np.cos(heading), self.speed * np.sin(heading), np.full_like(t, self.climb)], axis=-1
        )

    def attitude(self, t: float) -> Floats:
        """Matrix from the body's axes to the world's: nose along the path and a little up, banked as the turn needs."""
        bank = -np.arctan(self.speed * self.turn / _GRAVITY)
        return rotation(self.heading + self.turn * (t - self.t0), np.arctan2(self.climb, self.speed) + 0.05, bank)


@dataclass(frozen=True)
class Heard:
    """What arrives at the microphone at given times.

    Attributes:
        emission_s: when it was emitted, `[N]`.
        distance_m: of the emission, `[N]`.
        radial_mps: speed away from the microphone at the emission, `[N]`.
        doppler: received over emitted frequency, `[N]`.
        angle: between the direction of flight and the direction to the microphone, radians, `[N]`.
    """

    emission_s: Floats
    distance_m: Floats
    radial_mps: Floats
    doppler: Floats
    angle: Floats


def distance(flight: Flight, t: Floats) -> Floats:
    """Metres from the microphone."""
    length: Floats = np.linalg.norm(flight.position(t) - EAR, axis=-1)
    return length


def radial_speed(flight: Flight, t: Floats) -> Floats:
    """m/s away from the microphone."""
    away = flight.position(t) - EAR
    speed: Floats = np.sum(away * flight.velocity(t), axis=-1) / np.linalg.norm(away, axis=-1)
    return speed


def heard_at(flight: Flight, t: Floats) -> Heard:
    """Solve t = emission + distance(emission) / c by Newton's method; it converges because no aircraft here reaches c / 2."""
    emission = t - distance(flight, t) / SOUND_SPEED
    for _ in range(6):
        late = emission + distance(flight, emission) / SOUND_SPEED - t
        emission = emission - late / (1 + radial_speed(flight, emission) / SOUND_SPEED)
    radial = radial_speed(flight, emission)
    total = np.linalg.norm(flight.velocity(emission), axis=-1)
    return Heard(
        emission,
        distance(flight, emission),
        radial,
        1 / (1 + radial / SOUND_SPEED),
        np.arccos(np.clip(-radial / total, -1, 1)),
    )


def draw_flight(rng: np.random.Generator, kind: Aircraft, seconds: float) -> Flight:
    """A path that passes the camera, which looks north, close enough to be recognised."""
    path = str(rng.choice(["crossing", "turning", "approach", "departure"], p=[0.4, 0.24, 0.18, 0.18]))
    near = max(45.0, kind.span_m * float(np.exp(rng.uniform(np.log(2.4), np.log(6.5)))))
    elevation = np.radians(rng.uniform(7, 30))
    height, ground = max(near * np.sin(elevation), 15.0), near * np.cos(elevation)
    speed = float(rng.uniform(*kind.speed))
    side = float(rng.choice([-1.0, 1.0]))
    turn = climb = 0.0
    power = 0.85
    if path in ("crossing", "turning"):
        t0 = seconds * rng.uniform(0.25, 0.75)
        heading = (0.0 if side > 0 else np.pi) + rng.uniform(-0.5, 0.5)
        bearing = np.pi / 2 + rng.uniform(-0.4, 0.4)
        if path == "turning":
            turn = float(rng.choice([-1.0, 1.0])) * _GRAVITY * np.tan(np.radians(rng.uniform(12, 48))) / speed
        climb = rng.uniform(-1.5, 1.5)
    else:
        away = path == "departure"
        t0 = seconds * (rng.uniform(0.0, 0.4) if away else rng.uniform(0.6, 1.0))
        heading = np.pi / 2 * (1 if away else -1) + side * rng.uniform(0.05, 0.5)
        bearing = np.pi / 2 + rng.uniform(-0.8, 0.8)
        climb = rng.uniform(2.0, 5.0) if away else -rng.uniform(0.5, 0.035 * speed)
        power = 1.0 if away else 0.7
    if kind.family == "glider":
        power, climb = 1.0, -abs(climb) * 0.3
    point = (ground * np.cos(bearing), ground * np.sin(bearing), EAR[2] + height)
    lowest = 12.0 - point[2] + max(0.0, climb * (t0 + 5), climb * (t0 - seconds))  # stay above the trees all the time
    point = (float(point[0]), float(point[1]), float(point[2] + max(0.0, lowest)))
    return Flight(path, float(t0), point, speed, float(heading), float(turn), float(climb), power)
