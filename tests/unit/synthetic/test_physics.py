"""Bodies move by the laws: falls, bounces, collisions and edges have closed forms."""

import itertools

import numpy as np
import pytest

from v2a.synthetic.impacts_scene import draw_scene
from v2a.synthetic.materials import MATERIALS, Body
from v2a.synthetic.physics import GRAVITY, Terrain, World

FLAT = Terrain(-5.0, 5.0, ((5.0, 0.0),))


def ball(
    x: float, z: float, vx: float = 0.0, *, material: str = "rubber", radius: float = 0.1, lane: float = 1.0
) -> Body:
    return Body("ball", MATERIALS[material], (1, 2, 3), radius, radius, radius, lane, 0.0, x, z, vx, 0.0)


def test_a_fall_takes_the_time_of_galileo():
    world = World(FLAT, [ball(0.0, 2.1)])
    world.run(5.0)
    first = world.contacts[0]
    assert first.time == pytest.approx(np.sqrt(2 * 2.0 / GRAVITY), abs=1e-12)
    assert first.speed == pytest.approx(np.sqrt(2 * 2.0 * GRAVITY))
    assert (first.against, first.other, first.z) == ("floor", None, 0.0)


def test_each_bounce_keeps_the_share_of_speed_that_the_material_gives():
    world = World(FLAT, [ball(0.0, 2.1)])
    world.run(5.0)
    speeds = [contact.speed for contact in world.contacts]
    for before, after in itertools.pairwise(speeds[:4]):
        assert after / before == pytest.approx(0.82 * (before / 2) ** -0.1)
    gaps = np.diff([contact.time for contact in world.contacts])
    assert gaps[:3] == pytest.approx([2 * speed / GRAVITY for speed in speeds[1:4]])


def test_rubber_outbounces_stone():
    counts = []
    for name in ("rubber", "stone"):
        world = World(FLAT, [ball(0.0, 2.1, material=name)])
        world.run(10.0)
        counts.append(len(world.contacts))
    assert counts[0] > 2 * counts[1]


def test_two_balls_that_meet_keep_their_momentum():
    world = World(FLAT, [ball(-1.0, 3.0, 2.0), ball(1.0, 3.0, -2.0, material="stone")])
    world.run(0.6)
    meeting = next(contact for contact in world.contacts if contact.against == "body")
    assert meeting.time == pytest.approx((2.0 - 0.2) / 4.0)
    assert meeting.speed == pytest.approx(4.0)
    masses = [body.mass for body in world.bodies]
    before = [world.state(k, meeting.time - 1e-6).vx for k in (0, 1)]
    after = [world.state(k, meeting.time + 1e-6).vx for k in (0, 1)]
    assert np.dot(masses, after) == pytest.approx(np.dot(masses, before))
    assert after[0] < after[1], "they part"
    assert abs(after[0] - before[0]) * masses[0] == pytest.approx(meeting.impulse)


def test_balls_of_different_lanes_do_not_meet():
    world = World(FLAT, [ball(-1.0, 3.0, 2.0), ball(1.0, 3.0, -2.0, lane=2.0)])
    world.run(0.6)
    assert [contact for contact in world.contacts if contact.against == "body"] == []


def test_a_wall_throws_back():
    world = World(FLAT, [ball(0.0, 3.0, 12.0)])
    world.run(0.6)
    wall = next(contact for contact in world.contacts if contact.against == "wall")
    assert wall.time == pytest.approx((5.0 - 0.1) / 12.0)
    assert wall.x == pytest.approx(5.0)
    assert world.state(0, 0.5).vx < 0


def test_a_belt_carries_to_its_end_and_lets_fall():
    belt = Terrain(-2.0, 2.0, ((0.0, 0.5), (2.0, 0.0)), belt=1.0)
    box = Body("box", MATERIALS["wood"], (1, 2, 3), 0.1, 0.1, 0.1, 1.0, 0.0, -1.0, 0.6, 0.0, 0.0)
    world = World(belt, [box])
    world.run(8.0)
    moving = world.state(0, 0.5)
    assert (moving.mode, moving.vx) == ("ground", 1.0)
    fallen = [contact for contact in world.contacts if contact.z == 0.0]
    assert fallen[0].time == pytest.approx(world.arcs[0][0].start + 1.0 + np.sqrt(2 * 0.5 / GRAVITY), abs=0.02)
    assert world.state(0, 7.9).mode == "rest"


def test_nothing_ever_sinks_into_the_ground_leaves_or_overlaps():
    for index in range(15):
        world = draw_scene(64, 36, 8.0, 11, index).world
        for time in np.arange(0, 8, 0.05):
            states = [world.state(k, float(time)) for k in range(len(world.bodies))]
            for body, state in zip(world.bodies, states, strict=True):
                if state is not None:
                    # What comes over an edge turns about it in truth; here its middle decides, so it may dip in by its radius.
                    assert state.z - body.half_height > -1e-5
                    assert world.terrain.left - 1e-5 <= state.x - body.half_width
                    assert state.x + body.half_width <= world.terrain.right + 1e-5
            for (a, p), (b, q) in itertools.combinations(zip(world.bodies, states, strict=True), 2):
                if p is not None and q is not None and a.lane == b.lane and a.round and b.round:
                    assert np.hypot(p.x - q.x, p.z - q.z) > a.half_width + b.half_width - 1e-3


def test_contacts_come_in_order_and_motion_has_no_jumps():
    world = draw_scene(64, 36, 8.0, 12, 3).world
    assert [c.time for c in world.contacts] == sorted(c.time for c in world.contacts)
    for number, arcs in enumerate(world.arcs):
        radius = world.bodies[number].half_width if world.bodies[number].round else 0.0
        for before, after in itertools.pairwise(arcs):
            end = before.at(after.start, radius)
            assert (end.x, end.z) == pytest.approx((after.x, after.z), abs=2e-6)
