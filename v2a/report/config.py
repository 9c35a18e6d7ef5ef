"""Config of the stage `report`; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Config:
    """Which runs the page shows, and how large it may be.

    Attributes:
        runs: folders of `v2a.evaluate`, `v2a.audio`, `v2a.vqvae` or `v2a.infer`, with commas between them, in the page's order.
        page: the file to write.
        clips: videos of each run at most.
        max_mb: megabytes of the page at most: videos are made smaller, then fewer.
    """

    runs: str = ""
    page: str = "report.html"
    clips: int = 6
    max_mb: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        if not self.page:
            raise ValueError("expected page=FILE, but it is empty")
        if not 0 <= self.clips <= 1000:
            raise ValueError(f"expected clips from 0 to 1000, but got clips={self.clips}")
        if not 0 < self.max_mb <= 2000:
            raise ValueError(f"expected max_mb above 0 and at most 2000, but got max_mb={self.max_mb:g}")

    def folders(self) -> list[str]:
        """The paths of `runs`."""
        return [path for path in (part.strip() for part in self.runs.split(",")) if path]
