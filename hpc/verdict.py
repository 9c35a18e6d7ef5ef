"""Whether a run goes on by itself when its ranks have ended, judged by its record alone, for Slurm's jobs and local runs alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpc.record import attempts, last_metrics, note, since_submitted, spec_number, spec_of, was_taken_along
from hpc.room import has_room, wait_s

RESTARTS = 20
_ENDS = ("finished", "stopped", "failed")
_SAME_STEP = 5  # attempts in a row that end where they began


@dataclass(frozen=True)
class Verdict:
    """Whether a run goes on by itself, and why, or why not."""

    goes_on: bool
    why: str
    node: str = ""  # that was not fit
    wait_s: float = 0.0  # before it does: somebody has to make room


def decide(events: Sequence[dict[str, Any]], restarts: int, went_on: int = 0) -> Verdict:
    """Judge a run by what its record says since it was submitted.

    Args:
        events: lines of `attempts.jsonl` since "submitted"; the last attempt has an outcome.
        restarts: how often it may go on by itself.
        went_on: how often it did by Slurm's count, which a full disk does not hide.
    """
    ends = _ends(events)
    if not ends:
        return Verdict(True, "its ranks ended before they began")
    last = ends[-1]
    error, step = str(last.get("error", "")), last.get("step")
    if last.get("busy"):
        return Verdict(True, error)
    ends = [end for end in ends if not end.get("busy")]  # waiting for another process's end was no attempt
    if last["event"] == "finished":
        return Verdict(False, "it has finished")
    if last.get("final"):
        return Verdict(False, error or str(last.get("why", "")))
    if not restarts:
        return Verdict(False, error or str(last.get("why") or "it was stopped"))
    if len(ends) > restarts or (last.get("full") and went_on >= restarts):
        return Verdict(
            False, f"{error or 'it was stopped'}; it went on by itself {restarts} times, and --restarts allows no more"
        )
    if last.get("full"):
        return Verdict(True, error, wait_s=wait_s(ends))
    ends = [end for end in ends if not end.get("full")]  # somebody made room: nothing was tried in vain
    if len(ends) > 1 and last["event"] == "failed" and _same(ends[-2], last):
        return Verdict(False, f"{error}; the same error came twice at step {step}, so it does not go on by itself")
    if len(ends) >= _SAME_STEP and len({str(end.get("step")) for end in ends[-_SAME_STEP:]}) == 1:
        why = error or "it was stopped each time"
        return Verdict(
            False, f"{why}; {_SAME_STEP} attempts in a row ended at step {step}: is the time limit too short?"
        )
    return Verdict(True, error or str(last.get("why", "it was stopped")), str(last.get("unfit", "")))


def note_silent_end(run_dir: Path, status: int) -> list[dict[str, Any]]:
    """The record since the submission, with an outcome for a last attempt that had no time, or no room, to write one.

    What cannot be written down because the disk is full is in what is returned all the same.
    """
    events = since_submitted(attempts(run_dir))
    begun = max(
        (number for number, event in enumerate(events) if event["event"] in ("submitted", "started", "again")),
        default=-1,
    )
    ends = [event for event in events[begun + 1 :] if event["event"] in _ENDS]
    fields: dict[str, Any] = {}
    if all(was_taken_along(end) for end in ends) and not has_room(run_dir):
        fields = {"error": f"the disk that holds {run_dir} is full", "full": True}
    elif not ends:
        how = {137: ", killed: out of memory?", 143: ", ended by TERM"}.get(status, "")
        fields = {"error": f"its ranks ended without a word (exit status {status}{how})"}
    if not fields:
        return events
    fields["step"] = last_metrics(run_dir).get("step", 0)
    note(run_dir, "failed", **fields)
    written = since_submitted(attempts(run_dir))
    return written if len(written) > len(events) else [*events, {"event": "failed", **fields}]


def restarts_of(run_dir: Path) -> int:
    """How often a run may go on by itself, from its `run.json`; one that a batch script of its own started has none."""
    return spec_number(spec_of(run_dir), "restarts", RESTARTS)


def _ends(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One outcome of each attempt: that of the rank which failed first, not of those that its death took along."""
    found: list[dict[str, Any]] = []
    open_attempt: list[dict[str, Any]] = []
    for event in [*events, {"event": "started"}]:
        if event["event"] in ("started", "again") and open_attempt:
            own = [end for end in open_attempt if not was_taken_along(end)]
            full = [end for end in own if end.get("full")]  # what else went wrong is seen when there is room
            found.append((full or own or open_attempt)[0])
            open_attempt = []
        if event["event"] in _ENDS:
            open_attempt.append(event)
    return found


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in ("event", "error", "step"))
