"""Moments of a video in whole microseconds: exact inside, and an exact decimal text of seconds outside."""

from __future__ import annotations

import re
from decimal import Decimal

US = 1_000_000  # microseconds in a second
LATEST_S = 1_000_000_000
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


def microseconds(name: str, text: str) -> int | None:
    """What a person wrote in seconds, rounded to the microsecond; None for nothing.

    Args:
        name: of the column, for the message.
        text: as it stands there.

    Raises:
        ValueError: not a number of seconds from 0 to `LATEST_S`.
    """
    if not text.strip():
        return None
    # Decimal also takes "1_0", and digits of other scripts.
    value = Decimal(text.strip()) if _NUMBER.fullmatch(text.strip()) else Decimal("NaN")
    if not (value.is_finite() and 0 <= value <= LATEST_S):
        raise ValueError(f"expected {name} in seconds, from 0 to {LATEST_S}, but got {text!r}")
    return round(value * US)


def seconds_text(moment_us: int) -> str:
    """The same moment as the shortest exact decimal number of seconds: "30", "0.00001", "1234.5601"."""
    whole, rest = divmod(moment_us, US)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".") if rest else str(whole)
