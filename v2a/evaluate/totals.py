"""From clips to one number for each candidate and measure, with its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from v2a.evaluate.config import BASELINES
from v2a.evaluate.parts import Part
from v2a.evaluate.reference import Reference
from v2a.metrics.bootstrap import Estimate, estimate
from v2a.metrics.distribution import Discrepancy, diversity, nearest, squared_mmd

_MEDIANS = ("sync_onset_abs_s", "sync_energy_abs_s", "sync_motion_abs_s")
_PARTS_OF_RATIOS = ("mse", "mse_silence")


@dataclass(frozen=True)
class Total:
    """Of one candidate.

    Attributes:
        name: of the candidate.
        scores: by measure, over clips.
        mmd: distance of its clips' distribution from the truth's.
        diversity: see `v2a.metrics.distribution.diversity`.
        nearest_ratio: median distance to the nearest training clip ÷ the truth's.
        mse_ratio: MSE ÷ MSE of silence, of all samples together.
        onset_f1: of the onsets of all clips together. The mean over clips leaves out those without any onset, ours or the
            truth's, and these are not the same clips for two candidates.
        of_noise, of_retrieval: log-mel L1 ÷ that of the baseline, on the clips that both have.
    """

    name: str
    scores: dict[str, Estimate]
    mmd: Discrepancy
    diversity: float
    nearest_ratio: float
    mse_ratio: float
    onset_f1: float
    of_noise: float
    of_retrieval: float


@dataclass(frozen=True)
class Totals:
    """Of an evaluation.

    Attributes:
        candidates: the models first, then the baselines.
        floor: MMD of as many training clips as are measured (at most) against the truth: what another sample of the corpus has.
        truth_missing: how many clips have no synthetic truth, by reason.
    """

    candidates: list[Total]
    floor: Discrepancy
    truth_missing: dict[str, int] = field(default_factory=dict)


def count_up(parts: list[Part], reference: Reference, seed: int) -> Totals:
    """All totals; candidates that a clip lacks are counted where they are."""
    found = {name for part in parts for name in part.scores}
    names = sorted(found - set(BASELINES)) + [name for name in BASELINES if name in found]
    missing: dict[str, int] = {}
    for part in parts:
        if part.truth_missing:
            missing[part.truth_missing] = missing.get(part.truth_missing, 0) + 1
    return Totals([_total(name, parts, reference, seed) for name in names], _floor(parts, reference), missing)


def _total(name: str, parts: list[Part], reference: Reference, seed: int) -> Total:
    mine = [part for part in parts if name in part.scores]
    videos = [part.group for part in mine]
    measures = list(dict.fromkeys(measure for part in mine for measure in part.scores[name]))
    scores = {
        measure: estimate(
            [part.scores[name].get(measure, math.nan) for part in mine], videos,
            statistic="median" if measure in _MEDIANS else "mean", seed=seed,
        )
        for measure in measures
        if measure not in _PARTS_OF_RATIOS
    }  # fmt: skip
    ours, truth = (reference.space.place(np.array([part.described[one] for part in mine])) for one in (name, "truth"))
    training = reference.space.place(reference.described)
    near, theirs = (float(np.median(nearest(points, training))) for points in (ours, truth))
    return Total(
        name, scores, squared_mmd(ours, truth, videos, reference.space.width), diversity(ours, truth, videos),
        near / theirs if theirs > 0 else math.nan, _mse_ratio(name, mine), _pooled_f1(name, mine), _ratio(name, "noise", mine),
        _ratio(name, "retrieval", mine),
    )  # fmt: skip


def _mse_ratio(name: str, parts: list[Part]) -> float:
    weighted = {
        measure: sum(part.scores[name][measure] * part.seconds for part in parts) for measure in _PARTS_OF_RATIOS
    }
    return weighted["mse"] / weighted["mse_silence"] if weighted["mse_silence"] > 0 else math.nan


def _pooled_f1(name: str, parts: list[Part]) -> float:
    """2 Σ pairs / Σ onsets of both; a clip's pairs are its F1 times half of its onsets."""
    found = [part.scores for part in parts]
    onsets = [scores[name]["onsets"] + scores["truth"]["onsets"] for scores in found]
    pairs = [scores[name]["onset_f1"] * count for scores, count in zip(found, onsets, strict=True) if count]
    return sum(pairs) / sum(onsets) if sum(onsets) else math.nan


def _ratio(name: str, baseline: str, parts: list[Part]) -> float:
    both = [part.scores for part in parts if baseline in part.scores]
    below = sum(scores[baseline]["log_mel_db"] for scores in both)
    return sum(scores[name]["log_mel_db"] for scores in both) / below if below > 0 else math.nan


def _floor(parts: list[Part], reference: Reference) -> Discrepancy:
    """Training clips taken evenly, one a video as far as is known: each counts as a video of its own."""
    truth = reference.space.place(np.array([part.described["truth"] for part in parts]))
    count = min(len(truth), len(reference.described))
    picked = np.arange(count) * len(reference.described) // count
    training = reference.space.place(reference.described[picked])
    even = np.arange(count) * len(truth) // count
    return squared_mmd(training, truth[even], [parts[place].group for place in even], reference.space.width)


def mean_distance(parts: list[Part]) -> float:
    """Mean distance in code space of what was retrieved, 0 to 1; nan without any."""
    found = [float(part.notes["retrieval_distance"]) for part in parts if part.notes.get("retrieval_distance")]
    return float(np.mean(found)) if found else math.nan
