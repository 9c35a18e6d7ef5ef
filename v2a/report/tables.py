"""Tables of an evaluation, and what a model beats in a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from v2a.report.measures import FROM_TRUTH, LARGE, NONE, NULLS, SOUND, SYNTHETIC, TIME, TOGETHER, ZERO, Measure
from v2a.report.section import Cell, Row, Table

_GROUPS = (
    ("Likeness of the sound", SOUND), ("Time", TIME), ("All clips together", TOGETHER), ("Against synthetic truth", SYNTHETIC),
)  # fmt: skip


class Score(NamedTuple):
    """A value with its 95 % interval (nan without one), and of how many clips."""

    value: float
    low: float
    high: float
    clips: int


def make_tables(candidates: Mapping[str, Any], clips: int) -> tuple[list[Table], list[tuple[str, str]]]:
    """The tables, and (title, meaning) of each measure in them; measures that nobody has are left out.

    Args:
        candidates: of `metrics.json`.
        clips: number of clips; a cell of fewer says so.
    """
    ordered = sorted(candidates, key=lambda name: 0 if name not in FROM_TRUTH + NULLS else 1 if name in NULLS else 2)
    tables, meanings = [], []
    for title, group in _GROUPS:
        scores = {
            m.key: {name: score_of(candidates[name], m, together=group is TOGETHER) for name in ordered} for m in group
        }
        kept = [m for m in group if any(score is not None for score in scores[m.key].values())]
        if kept:
            tables.append(_table(title, kept, scores, ordered, clips))
            meanings += [(m.title, m.meaning) for m in kept]
    return tables, meanings


def _table(
    title: str,
    kept: Sequence[Measure],
    scores: Mapping[str, Mapping[str, Score | None]],
    names: Sequence[str],
    clips: int,
) -> Table:
    best = {m.key: _best(m, scores[m.key]) for m in kept}
    rows = [
        Row(name, kind_of(name), tuple(_cell(m, scores[m.key][name], clips, best=name in best[m.key]) for m in kept))
        for name in names
    ]
    return Table(title, tuple((m.title, m.aim) for m in kept), tuple(rows))


def kind_of(name: str) -> str:
    """What a candidate is, in a word or two."""
    return "null baseline" if name in NULLS else "from the truth" if name in FROM_TRUTH else "model"


def score_of(candidate: Any, measure: Measure, *, together: bool) -> Score | None:
    """A candidate's score; None when the measure says nothing of it, or the file is not as expected."""
    try:
        if not together:
            found = candidate["scores"][measure.key]
            numbers = [math.nan if found[key] is None else float(found[key]) for key in ("value", "low", "high")]
            score = Score(numbers[0], numbers[1], numbers[2], int(found["clips"]))
        elif measure.key == "mmd":
            found, error = candidate["mmd"], float(candidate["mmd"]["standard_error"]) * 1.96
            score = Score(float(found["squared"]), found["squared"] - error, found["squared"] + error, int(found["n"]))
        else:
            score = Score(float(candidate[measure.key]), math.nan, math.nan, 0)
    except (KeyError, TypeError, ValueError):
        return None
    return score if math.isfinite(score.value) else None


def _cell(measure: Measure, score: Score | None, clips: int, *, best: bool) -> Cell:
    if score is None:
        return Cell("–")  # noqa: RUF001
    value, low, high = (_number(measure, number) for number in score[:3])
    told = [f"{low} to {high}"] if math.isfinite(score.low) else []
    told += [f"n={score.clips}"] if 0 < score.clips != clips else []
    return Cell(value, ", ".join(told), best)


def _number(measure: Measure, value: float) -> str:
    return write(measure.form, value * measure.scale)


def write(form: str, value: float) -> str:
    """A number with a proper minus sign, and none before a zero."""
    text = form.format(value)
    if not any(digit in text for digit in "123456789"):
        text = text.replace("-", "").replace("+", "")
    return text.replace("-", "−") if value < 0 else text  # noqa: RUF001 - a minus sign


def _best(measure: Measure, scores: Mapping[str, Score | None]) -> list[str]:
    """Who is best of those that do not know the truth; nobody where numbers of clips differ, or all are alike."""
    found = {name: score for name, score in scores.items() if score is not None and name not in FROM_TRUTH}
    if measure.aim == NONE or len(found) < 2 or len({score.clips for score in found.values()}) > 1:
        return []
    badness = {name: _bad(measure, score.value) for name, score in found.items()}
    least = min(badness.values())
    best = [name for name, bad in badness.items() if bad == least]
    return best if len(best) < len(found) else []


def _bad(measure: Measure, value: float) -> float:
    return -value if measure.aim == LARGE else abs(value) if measure.aim == ZERO else value


def verdict(candidates: Mapping[str, Any], model: str) -> list[str]:
    """Sentences: where a model is better than every null baseline, with intervals apart or not, and where it is not.

    Columns whose cells are of different numbers of clips, and columns without an aim, say nothing here.
    """
    clear: list[str] = []
    close: list[str] = []
    worse: list[str] = []
    for measure in (*SOUND, *TIME[:2], *SYNTHETIC):
        mine = score_of(candidates[model], measure, together=False)
        others = [score_of(candidates[name], measure, together=False) for name in NULLS if name in candidates]
        rivals = [score for score in others if score is not None]
        if (
            measure.aim in (NONE, ZERO)
            or mine is None
            or not rivals
            or {score.clips for score in rivals} != {mine.clips}
        ):
            continue
        rival = min(rivals, key=lambda score: _bad(measure, score.value))
        if _bad(measure, mine.value) >= _bad(measure, rival.value):
            worse.append(measure.title.removesuffix(", ms"))
        else:
            (clear if _apart(measure, mine, rivals) else close).append(measure.title.removesuffix(", ms"))
    said = (
        (clear, f"{model} is better than every null baseline, with intervals apart, in: "),
        (close, f"{model} is better, but intervals overlap, in: "), (worse, f"{model} is not better in: "),
    )  # fmt: skip
    return [f"{begin}{', '.join(titles)}." for titles, begin in said if titles]


def _apart(measure: Measure, mine: Score, rivals: Sequence[Score]) -> bool:
    if measure.aim == LARGE:
        return all(mine.low > score.high for score in rivals)
    return all(mine.high < score.low for score in rivals)
