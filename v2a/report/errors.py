"""What can be wrong with what a report is asked for."""

from __future__ import annotations


class ReportError(ValueError):
    """A run that cannot be shown, or a page that cannot be made; the text says what was wrong, the rule, and the fix."""
