"""What was lost while decoding."""

from __future__ import annotations


class Damage:
    """Packets that could not be decoded.

    Attributes:
        errors: how many.
        first_s: time of the first one, seconds of the clip's time line.
        said: the decoder's words for it.
    """

    def __init__(self) -> None:
        self.errors = 0
        self.first_s = 0.0
        self.said = ""

    def note(self, at_s: float, said: str) -> None:
        """One more."""
        if self.errors == 0:
            self.first_s, self.said = max(0.0, at_s), said
        self.errors += 1
