"""Bodies that fall, bounce, roll and hit each other: from event to event, each solved exactly, never stepped."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from v2a.synthetic.materials import Body

GRAVITY = 9.81
_EPSILON = 1e-9
_MOST_EVENTS = 600
Mode = Literal["flight", "ground", "rest"]
Against = Literal["floor", "wall", "body"]


class TooManyEventsError(RuntimeError):
    """Bodies that chatter for ever; draw another scene."""


@dataclass(frozen=True)
class Terrain:
    """The ground along the lanes, from left to right never rising, between two walls.

    Attributes:
        left, right: the walls, m.
        steps: (right end, height) of each level part, m; the last ends at the right wall.
        belt: speed of the first part's belt, m/s; 0 when it stands still.
        hardness: factor on the restitution of everything.
    """

    left: float
    right: float
    steps: tuple[tuple[float, float], ...]
    belt: float = 0.0
    hardness: float = 1.0

    def height(self, x: float) -> float:
        """Of the ground at x."""
        return next((high for end, high in self.steps if x < end), self.steps[-1][1])

    def on_belt(self, x: float) -> bool:
        """Whether x is on a running belt."""
        return self.belt > 0 and x < self.steps[0][0]


@dataclass(frozen=True)
class Arc:
    """Motion of a body between two events: x and z are quadratic in time. `turned` is its angle at the beginning, radians."""

    mode: Mode
    start: float
    x: float
    z: float
    vx: float
    vz: float
    ax: float = 0.0
    az: float = 0.0
    turned: float = 0.0
    spin: float = 0.0

    def at(self, t: float, radius: float = 0.0) -> Arc:
        """The same motion, counted from time t; what rolls turns as far as it goes."""
        s = t - self.start
        x = self.x + self.vx * s + 0.5 * self.ax * s * s
        turned = self.turned + ((x - self.x) / radius if self.mode == "ground" and radius else self.spin * s)
        z = self.z + self.vz * s + 0.5 * self.az * s * s
        return replace(self, start=t, x=x, z=z, vx=self.vx + self.ax * s, vz=self.vz + self.az * s, turned=turned)


@dataclass(frozen=True)
class Contact:
    """One strike.

    Attributes:
        time: s, exact.
        body, other: numbers of the bodies; `other` is None for the floor and the walls.
        against: what was struck.
        speed: of approach along the normal, m/s.
        impulse: N s.
        x, y, z: where, m.
    """

    time: float
    body: int
    other: int | None
    against: Against
    speed: float
    impulse: float
    x: float
    y: float
    z: float


@dataclass
class World:
    """Bodies on a terrain, and their motion once `run` has ended: arcs of each body in order of time, and all contacts."""

    terrain: Terrain
    bodies: list[Body]
    arcs: list[list[Arc]] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        """Move everything until the end.

        Raises:
            TooManyEventsError: something chatters.
        """
        self.arcs = [
            [Arc("flight", b.start_s, b.x, b.z, b.vx, b.vz, az=-GRAVITY, spin=b.vx / b.half_width)] for b in self.bodies
        ]
        self.contacts = []
        for _ in range(_MOST_EVENTS):
            alone = [(self._next(i), i, -1) for i in range(len(self.bodies))]
            pairs = [(self._meet(i, j), i, j) for i in range(len(self.bodies)) for j in range(i)]
            time, body, other = min(alone + pairs)
            if time >= seconds:
                return
            if other >= 0:
                self._collide(time, body, other)
            else:
                self._single(time, body)
        raise TooManyEventsError

    def state(self, body: int, t: float) -> Arc | None:
        """Of a body at time t; None before it has come in."""
        arc = next((arc for arc in reversed(self.arcs[body]) if arc.start <= t), None)
        return None if arc is None else arc.at(t, self.bodies[body].half_width if self.bodies[body].round else 0.0)

    # --- when ---------------------------------------------------------------------------------------------------------

    def _next(self, body: int) -> float:
        """Time of the body's next event with the ground or a wall; infinite at rest."""
        arc, b = self.arcs[body][-1], self.bodies[body]
        if arc.mode == "rest":
            return np.inf
        times = [self._landing(arc, b)] if arc.mode == "flight" else [self._stop(arc), self._edge(arc)]
        return min(*times, self._wall(arc, b)[0])

    def _landing(self, arc: Arc, b: Body) -> float:
        best, left = np.inf, -np.inf
        for end, high in self.terrain.steps:
            drop = arc.z - b.half_height - high
            root = arc.vz**2 + 2 * GRAVITY * drop
            if drop > -1e-6 and root >= 0:
                s = max((arc.vz + np.sqrt(root)) / GRAVITY, 0.0)
                if left <= arc.x + arc.vx * s < end or (end == self.terrain.right and arc.x + arc.vx * s >= end):
                    best = min(best, arc.start + s)
            left = end
        return best

    @staticmethod
    def _stop(arc: Arc) -> float:
        return arc.start - arc.vx / arc.ax if arc.ax else np.inf

    def _edge(self, arc: Arc) -> float:
        """When what slides to the right comes to the end of its step."""
        if arc.vx <= 0:
            return np.inf
        ends = [end for end, high in self.terrain.steps[:-1] if end > arc.x + _EPSILON]
        return arc.start + _reach(ends[0] - arc.x, arc.vx, arc.ax) if ends else np.inf

    def _wall(self, arc: Arc, b: Body) -> tuple[float, float]:
        """Time at which the body touches a wall or the side of a step, and the direction of its normal."""
        if arc.vx > 0:
            return arc.start + _reach(max(self.terrain.right - b.half_width - arc.x, 0.0), arc.vx, arc.ax), -1.0
        if arc.vx >= 0:
            return np.inf, 0.0
        best = arc.start + _reach(max(arc.x - self.terrain.left - b.half_width, 0.0), -arc.vx, -arc.ax)
        for end, high in self.terrain.steps[:-1]:
            if arc.x > end:
                time = arc.start + _reach(max(arc.x - end - b.half_width, 0.0), -arc.vx, -arc.ax)
                if time < best and arc.at(time).z - b.half_height < high - 1e-6:
                    best = time
        return best, 1.0

    def _meet(self, i: int, j: int) -> float:
        """When two round bodies of one lane touch: |difference|² = (sum of radii)² is of fourth degree in time."""
        a, b = self.bodies[i], self.bodies[j]
        if a.lane != b.lane or not (a.round and b.round):
            return np.inf
        start = max(self.arcs[i][-1].start, self.arcs[j][-1].start)
        p, q = self.arcs[i][-1].at(start), self.arcs[j][-1].at(start)
        if p.mode == q.mode == "rest":
            return np.inf
        x = np.array([0.5 * (p.ax - q.ax), p.vx - q.vx, p.x - q.x])
        z = np.array([0.5 * (p.az - q.az), p.vz - q.vz, p.z - q.z])
        gap = np.polyadd(np.polymul(x, x), np.polymul(z, z))
        gap[-1] -= (a.half_width + b.half_width) ** 2
        slope = np.polyder(gap)
        roots = np.roots(np.trim_zeros(gap, "f"))
        times = [r.real for r in roots if abs(r.imag) < 1e-9 and r.real > -1e-7 and np.polyval(slope, r.real) < 0]
        return start + max(min(times), 0.0) if times else np.inf

    # --- what then ----------------------------------------------------------------------------------------------------

    def _single(self, time: float, body: int) -> None:
        b, last = self.bodies[body], self.arcs[body][-1]
        arc = last.at(time, b.half_width if b.round else 0.0)
        wall_time, normal = self._wall(last, b)
        if wall_time <= time:
            bounce = 0.75 * self._bounce(b, abs(arc.vx))
            blow = b.mass * (1 + bounce) * abs(arc.vx)
            where = (arc.x - normal * b.half_width, b.lane, arc.z)
            self._note(Contact(time, body, None, "wall", abs(arc.vx), blow, *where))
            self._go_on(body, replace(arc, vx=normal * max(bounce * abs(arc.vx), 0.01), spin=arc.spin * 0.7))
        elif last.mode == "flight":
            self._land(time, body, arc)
        elif self._stop(last) <= time:
            self.arcs[body].append(Arc("rest", time, arc.x, arc.z, 0.0, 0.0, turned=arc.turned))
        else:  # over the edge; a hair beyond it, so that the lower level is the one below
            turning = arc.vx / b.half_width if b.round else 0.0
            self.arcs[body].append(
                replace(arc, mode="flight", x=arc.x + 1e-7, vz=0.0, ax=0.0, az=-GRAVITY, spin=turning)
            )

    def _land(self, time: float, body: int, arc: Arc) -> None:
        b = self.bodies[body]
        down = max(-arc.vz, 0.0)
        bounce = self._bounce(b, down)
        high = self.terrain.height(arc.x)
        blow = b.mass * (1 + bounce) * down
        self._note(Contact(time, body, None, "floor", down, blow, arc.x, b.lane, high))
        # Friction can take away, or give a ball as spin, no more than its coefficient times the blow.
        most = b.material.friction * (1 + bounce) * down
        slip = arc.vx - (self.terrain.belt if self.terrain.on_belt(arc.x) else 0.0)
        spin = arc.spin
        if b.round:
            change = float(np.clip(-(slip - spin * b.half_width) * 2 / 7, -most, most))
            spin -= change * 2.5 / b.half_width
        else:
            change = float(np.clip(-slip, -most, most))
        landed = replace(arc, z=high + b.half_height, vx=arc.vx + change, vz=bounce * down, spin=spin)
        # Below this a rebound is not seen: a fall of 4 % of its height.
        if landed.vz < np.sqrt(2 * GRAVITY * 0.04 * 2 * b.half_height) * 0.6:
            landed = replace(landed, vz=0.0)
        self._go_on(body, landed)

    def _go_on(self, body: int, arc: Arc) -> None:
        """Continue from a state: in the air, rolling or sliding, or at rest."""
        b = self.bodies[body]
        grounded = arc.z - b.half_height <= self.terrain.height(arc.x) + 1e-6
        if not grounded or arc.vz != 0:
            spin = arc.spin if b.round else 0.0
            self.arcs[body].append(replace(arc, mode="flight", ax=0.0, az=-GRAVITY, spin=spin))
        elif self.terrain.on_belt(arc.x):
            self.arcs[body].append(replace(arc, mode="ground", vx=self.terrain.belt, vz=0.0, ax=0.0, az=0.0, spin=0.0))
        elif abs(arc.vx) < 0.005:
            self.arcs[body].append(Arc("rest", arc.start, arc.x, arc.z, 0.0, 0.0, turned=arc.turned))
        else:
            drag = (0.035 if b.round else b.material.friction) * GRAVITY
            self.arcs[body].append(
                replace(arc, mode="ground", vz=0.0, ax=-float(np.sign(arc.vx)) * drag, az=0.0, spin=0.0)
            )

    def _collide(self, time: float, i: int, j: int) -> None:
        a, b = self.bodies[i], self.bodies[j]
        p, q = self.arcs[i][-1].at(time, a.half_width), self.arcs[j][-1].at(time, b.half_width)
        nx, nz = p.x - q.x, p.z - q.z
        length = np.hypot(nx, nz)
        nx, nz = nx / length, nz / length
        speed = max(-((p.vx - q.vx) * nx + (p.vz - q.vz) * nz), 0.0)
        bounce = np.sqrt(self._bounce(a, speed) * self._bounce(b, speed))
        blow = (speed + max(bounce * speed, 0.05)) / (1 / a.mass + 1 / b.mass)
        where = (q.x + nx * b.half_width, a.lane, q.z + nz * b.half_width)
        self._note(Contact(time, i, j, "body", speed, blow, *where))
        self._go_on(i, replace(p, vx=p.vx + blow * nx / a.mass, vz=p.vz + blow * nz / a.mass))
        self._go_on(j, replace(q, vx=q.vx - blow * nx / b.mass, vz=q.vz - blow * nz / b.mass))

    def _bounce(self, b: Body, speed: float) -> float:
        """Restitution: harder blows lose more; what does not roll loses its bounce in tilting."""
        fast = (max(speed, 0.2) / 2) ** -0.1
        kept = min(b.material.bounce * self.terrain.hardness * fast * (1.0 if b.round else 0.55), 0.92)
        return float(kept)

    def _note(self, contact: Contact) -> None:
        if contact.speed > 0.02:  # less than that is a touch, not a strike
            self.contacts.append(contact)


def _reach(way: float, speed: float, acceleration: float) -> float:
    """Seconds until a way is gone at a speed > 0 under a braking acceleration; infinite when it stops before."""
    if acceleration == 0:
        return way / speed
    root = speed**2 + 2 * acceleration * way
    return float(2 * way / (speed + np.sqrt(root))) if root >= 0 else np.inf
