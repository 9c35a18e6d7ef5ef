"""Slots, samples and corrections, number by number."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from v2a.media.continuity import Continuity
from v2a.media.ffmpeg_log import Log
from v2a.media.foresight import Foresight
from v2a.media.sound import SoundLine
from v2a.media.timeline import BestStamp, PictureClock, begin_ticks

_MS = Fraction(1, 1000)


def _shown(stamps: list[int], begin: int = 0, own: int | None = None) -> list[int]:
    """Which frame each slot shows, at 10 slots a second and 1 ms a tick."""
    clock = PictureClock(10, _MS, 60.0, begin)
    out: list[int] = []
    for number, stamp in enumerate(stamps):
        out += [number - 1] * clock.frame(stamp)
    return out + [len(stamps) - 1] * clock.end(own, Fraction(1, 25))


@pytest.mark.parametrize(
    ("stamps", "own", "shown"),
    [
        ([0, 100, 200], 100, [0, 1, 2]),
        ([5000, 5100, 5200], 100, [0, 1, 2]),
        ([0, 40, 80, 120], 40, [0, 2]),
        ([0, 99, 101], 10, [0, 1]),
        ([0, 100, 101], 10, [0, 1]),
        ([0, 350], 50, [0, 0, 0, 0]),
        ([0, 350], 51, [0, 0, 0, 0, 1]),
        ([0, 200, 150, 400], 100, [0, 0, 2, 2, 3]),
        ([0], None, [0]),
        ([0], 1000, [0] * 10),
        ([0, 100], 999_999, [0, 1]),
    ],
)
def test_a_slot_shows_the_last_frame_that_has_begun(stamps: list[int], own: int | None, shown: list[int]):
    assert _shown(stamps, own=own) == shown


def test_slots_begin_where_the_request_does():
    assert _shown([0, 40, 80, 120, 160, 200], begin=100, own=40) == [2, 5]
    assert begin_ticks(2.0, Fraction(1, 15360)) == 30720
    assert begin_ticks(0.1, Fraction(1, 90000)) == 9000


def test_a_leap_ends_the_picture():
    clock = PictureClock(10, _MS, 60.0)
    counts = [clock.frame(stamp) for stamp in (0, 100, 60_101)]
    assert counts == [0, 1, 0]
    assert clock.ended_by_gap
    assert clock.end(None, Fraction(1)) == 1


def test_foresight_agrees_with_the_clock():
    """Packets in decoding order; what it calls hidden is exactly what no slot shows."""
    order = [0, 160, 80, 40, 120, 320, 240, 200, 280, 480, 400, 360, 440]
    packets = [SimpleNamespace(pts=pts, dts=40 * n - 80) for n, pts in enumerate(order)]
    clock = PictureClock(10, _MS, 60.0)
    clock.frame(0)
    foresight = Foresight("h264", "matroska,webm", clock)
    given = [pair for packet in packets for pair in foresight.give(packet)] + list(foresight.rest())
    assert [packet.pts for packet, _ in given] == order
    hidden = {packet.pts for packet, unseen in given if unseen}
    slots = range(0, 480, 100)
    seen = {a for a, b in pairwise(sorted(order)) if any(a <= slot < b for slot in slots)}
    assert hidden == set(order) - seen - {360, 440, 400, 480}
    assert hidden


def test_foresight_ends_with_the_first_irregular_packet():
    clock = PictureClock(10, _MS, 60.0)
    clock.frame(0)
    for bad in (SimpleNamespace(pts=None, dts=40), SimpleNamespace(pts=10, dts=40), SimpleNamespace(pts=90, dts=0)):
        foresight = Foresight("h264", "matroska,webm", clock)
        assert list(foresight.give(SimpleNamespace(pts=40, dts=0))) == []
        assert [hidden for _, hidden in foresight.give(bad)] == [False, False]
    assert not Foresight("mpeg4", "matroska,webm", clock).active
    assert not Foresight("h264", "mpegts", clock).active


def _piece(value: int, count: int = 1000) -> np.ndarray:
    return np.full(count, value, np.int16)


def test_sound_lies_where_its_time_stamps_say():
    line = SoundLine(16000)
    line.put(8000, _piece(1))
    line.put(9100, _piece(2))  # 100 late: jitter, follows without a seam
    line.put(13000, _piece(3))  # a gap of 2000 silent samples
    line.put(13500, _piece(4))  # 500 too early: its beginning is lost
    line.put(None, _piece(5))
    line.begin(8500)
    out = line.take(7500)
    runs = [(int(out[i]), int(i)) for i in range(len(out)) if i == 0 or out[i] != out[i - 1]]
    assert runs == [(1, 0), (2, 500), (0, 1500), (3, 4500), (4, 5500), (5, 6000), (0, 7000)]
    assert line.decoded == 5000


def test_jitter_does_not_add_up():
    """Pieces that are 1 % longer than their time stamps say: never off by more than 20 ms."""
    line = SoundLine(16000)
    line.begin(0)
    for n in range(500):
        line.put(n * 1000, _piece(n, 1010))
    out = line.take(500_000)
    for n in range(0, 500, 50):
        assert abs(int(np.flatnonzero(out >= n)[0]) - n * 1000) <= 321


def test_a_time_stamp_years_ahead_costs_nothing():
    line = SoundLine(16000)
    line.begin(0)
    line.put(0, _piece(1))
    line.put(1 << 60, _piece(2))
    assert line.held == 2000
    assert line.take(16000).sum() == 1000


@dataclass
class _Packet:
    pts: int | None
    dts: int | None
    index: int = 0
    duration: int = 40
    time_base: Fraction = _MS

    @property
    def stream(self) -> SimpleNamespace:
        return SimpleNamespace(index=self.index)


def test_time_stamps_that_start_anew_go_on():
    continuity = Continuity(0x200)
    packets = [_Packet(t, t, i) for t in (200, 240, 280, 0, 40) for i in (0, 1)]
    for packet in packets:
        continuity.correct(packet)
    assert [p.pts for p in packets if p.index == 0] == [200, 240, 280, 320, 360]
    assert [p.pts for p in packets if p.index == 1] == [200, 240, 280, 320, 360]


def test_other_containers_are_left_as_they_are():
    continuity = Continuity(0)
    packets = [_Packet(t, t) for t in (0, 40, 50_000, 0)]
    for packet in packets:
        continuity.correct(packet)
    assert [p.pts for p in packets] == [0, 40, 50_000, 0]


def test_the_better_of_two_time_stamps():
    best = BestStamp()
    assert [best.best(pts, dts) for pts, dts in ((0, 0), (80, 40), (40, 80), (120, 120), (None, 160))] == [
        0,
        80,
        80,
        120,
        160,
    ]
    assert BestStamp().best(None, None) is None


def test_the_log_is_read_in_parts_of_any_size():
    text = (
        b"[info]     title           : [Parsed_showinfo_0 @ 0x1] [info] n:   9 pts:    999 pts_time:1\n"
        b"[Parsed_showinfo_0 @ 0x55] [info] config in time_base: 1/15360, frame_rate: 30/1\n"
        b"[Parsed_showinfo_0 @ 0x55] [info] n:   0 pts:   -512 pos: 1 fmt:yuv420p s:640x360 i:P iskey:1 type:I \n"
        b"[Parsed_ashowinfo_1 @ 0x77] [info] n:0 pts:1568 pos:1 fmt:s16 nb_samples:288 checksum:1\n"
        b"[Parsed_ashowinfo_1 @ 0x77] [info] n:1 pts:NOPTS pos:1 fmt:s16 nb_samples:320 checksum:1\n"
        b"[error] Error while decoding stream #0:1: Invalid data found when processing input\n"
        b"[vist#0:0/h264 @ 0x5] [dec:h264 @ 0x6] [error] Error submitting packet to decoder: Cannot allocate memory\n"
    )
    for step in (1, 7, 64, len(text)):
        log = Log()
        for at in range(0, len(text), step):
            log.feed(text[at : at + step])
        assert list(log.frames) == [-512]
        assert list(log.pieces) == [(1568, 288), (None, 320)]
        assert log.tick == Fraction(1, 15360)
        assert log.lost == [(1, "Invalid data found when processing input"), (0, "Cannot allocate memory")]
