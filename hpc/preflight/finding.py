"""What a preflight check reports: one plain sentence, how bad it is, and what to do about it."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Level = Literal["ok", "warn", "fail", "skip"]

_WORDS: dict[Level, str] = {"ok": "ok", "warn": "WARN", "fail": "FAIL", "skip": "skip"}
_COLOURS: dict[Level, str] = {"ok": "32", "warn": "33", "fail": "31", "skip": "2"}  # ANSI: green, yellow, red, dim


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: the check's name, as `--only` takes it.
        level: "ok"; "warn": training runs, but slower or less safely than it could; "fail": it will not run, or will
            lose its results; "skip": there was nothing to check here.
        sentence: what was found, in plain words.
        fix: what to do, for a warning or a failure.
        no_room: the failure is a full disk: room may come, and another node has no more of it.
    """

    check: str
    level: Level
    sentence: str
    fix: str | None = None
    no_room: bool = False

    def __post_init__(self) -> None:
        """Refuse a complaint without a remedy: it would leave the reader where they were."""
        if self.level not in get_args(Level):
            raise ValueError(f"expected a level of {', '.join(get_args(Level))}, but got {self.level!r}")
        if not self.sentence:
            raise ValueError(f"a finding needs a sentence, but {self.check} gave none")
        if self.level in ("warn", "fail") and not self.fix:
            raise ValueError(f"a finding of level {self.level} needs a fix, but {self.check} gave none")


def printable(text: str) -> str:
    """Escape control characters: file names and words of broken drivers must not break lines or drive a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def render(findings: Sequence[Finding], *, prefix: str = "", colour: bool = False, width: int | None = None) -> str:
    """Lay findings out as an aligned table, each fix indented under its sentence.

    Args:
        findings: in the order to print.
        prefix: the host's name, put before every line of a job of several processes.
        colour: paint the level; only for a terminal.
        width: columns to wrap at, or None for one line per sentence, which grep can search.
    """
    names = max((len(finding.check) for finding in findings), default=0)
    margin = " " * (4 + 2 + names + 2)  # the longest level word, the check's name, and two spaces after each
    lines: list[str] = []
    for finding in findings:
        word = f"{_WORDS[finding.level]:<4}"
        head = f"\x1b[{_COLOURS[finding.level]}m{word}\x1b[0m" if colour else word
        body = _wrapped(finding.sentence, "", width, margin, prefix)
        if finding.fix:
            body += _wrapped(finding.fix, "fix: ", width, margin, prefix)
        lines.append(f"{head}  {finding.check:<{names}}  {body[0]}")
        lines += [margin + line for line in body[1:]]
    return "\n".join(f"{printable(prefix)}  {line}" if prefix else line for line in lines)


def _wrapped(text: str, lead: str, width: int | None, margin: str, prefix: str) -> list[str]:
    text = lead + printable(text)
    if width is None:
        return [text]
    room = max(30, width - len(margin) - (len(prefix) + 2 if prefix else 0))
    # Commands and paths stay whole, so that they can be copied.
    return textwrap.wrap(
        text, room, subsequent_indent=" " * len(lead), break_long_words=False, break_on_hyphens=False
    ) or [text]


def summarise(findings: Iterable[Finding]) -> str:
    """Say in a line how many checks passed, and in one more line each what failed or warned, with its fix."""
    findings = list(findings)
    counts = {level: sum(finding.level == level for finding in findings) for level in get_args(Level)}
    head = f"preflight: {counts['fail']} failed, {counts['warn']} to look at, {counts['ok']} fine, {counts['skip']} skipped"
    ranked = sorted((finding for finding in findings if finding.level in ("fail", "warn")), key=lambda f: f.level)
    return "\n".join([head, *(printable(f"{_WORDS[f.level]} {f.check}: {f.sentence}; fix: {f.fix}") for f in ranked)])
