"""Line charts as SVG text: colours are the page's, so that they fit light and dark; everything in them is escaped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import escape

from v2a.report.records import Series

_WIDTH, _HEIGHT = 360, 210  # about the size on a phone: text is not made smaller there
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 26, 36
_MOST = 300  # points of a line: more than it has pixels


def draw_chart(title: str, axis: str, lines: Mapping[str, Series], last: float) -> str:
    """A chart of values over training steps.

    Args:
        title: for those who hear it read.
        axis: name and unit of the values.
        lines: by name; three at most, told apart by colour and by dashes. Empty ones are left out.
        last: step of the run, so that all its charts are of one width.
    """
    drawn = {name: _thin(points) for name, points in lines.items() if points}
    steps = _span([0.0, last])
    values = _span([value for points in drawn.values() for _, value in points])
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(_said(title, drawn))}">',
        *_grid(steps, values),
        f'<text class="axis" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 4}" text-anchor="end">training step</text>',
        f'<text class="axis" x="4" y="{_HEIGHT - 4}">{escape(axis)}</text>',
        *_legend(list(drawn)),
    ]
    for number, points in enumerate(drawn.values()):
        parts += _line(number, [(_x(step, steps), _y(value, values)) for step, value in points])
    return "".join([*parts, "</svg>"])


def _said(title: str, drawn: Mapping[str, Series]) -> str:
    ends = [f"{name}: {points[0][1]:.4g} at first, {points[-1][1]:.4g} at last" for name, points in drawn.items()]
    return f"{title}. {'; '.join(ends)}"


def _thin(points: Series) -> Series:
    every = max(1, math.ceil(len(points) / _MOST))
    return [*points[:-1:every], points[-1]]


def _span(numbers: Sequence[float]) -> tuple[float, float]:
    low, high = min(numbers, default=0.0), max(numbers, default=1.0)
    room = (high - low) * 0.04 or abs(low) * 0.1 or 1.0
    return low - room, high + room


def _x(step: float, span: tuple[float, float]) -> float:
    return _LEFT + (step - span[0]) / (span[1] - span[0]) * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float, span: tuple[float, float]) -> float:
    return _HEIGHT - _BOTTOM - (value - span[0]) / (span[1] - span[0]) * (_HEIGHT - _TOP - _BOTTOM)


def _grid(steps: tuple[float, float], values: tuple[float, float]) -> list[str]:
    parts = []
    for value in _ticks(values, 4):
        y = _y(value, values)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{_label(value)}</text>')
    for step in _ticks(steps, 4):
        text = (
            f'<text x="{_x(step, steps):.1f}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle">{_label(step)}</text>'
        )
        parts.append(text)
    return parts


def _ticks(span: tuple[float, float], about: int) -> list[float]:
    """Round numbers within."""
    rough = (span[1] - span[0]) / about
    size: float = 10.0 ** math.floor(math.log10(rough))
    size *= next(factor for factor in (1, 2, 5, 10) if factor * size >= rough * 0.999)
    first = math.ceil(span[0] / size)
    return [k * size for k in range(first, math.floor(span[1] / size) + 1)]


def _label(value: float) -> str:
    if value and (abs(value) >= 100_000 or abs(value) < 0.001):
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return f"{value:.6g}".replace("-", "−")  # noqa: RUF001 - a minus sign


def _legend(names: Sequence[str]) -> list[str]:
    parts, x = [], float(_LEFT)
    for number, name in enumerate(names):
        parts.append(f'<line class="line s{number}" x1="{x:.0f}" x2="{x + 20:.0f}" y1="12" y2="12"/>')
        parts.append(f'<text x="{x + 25:.0f}" y="16">{escape(name)}</text>')
        x += 37 + 6.2 * len(name)
    return parts


def _line(number: int, points: Series) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts = [f'<polyline class="line s{number}" points="{path}"/>'] if len(points) > 1 else []
    if len(points) <= 12:
        parts += [f'<circle class="s{number}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points]
    return parts
