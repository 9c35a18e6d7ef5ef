"""All of it, tiny: the page has every comparison, with numbers and pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from v2a.reproduce.__main__ import main


@pytest.mark.slow
def test_the_page_has_all_three_comparisons(tmp_path: Path):
    out, page = tmp_path / "all", tmp_path / "docs" / "results.md"
    assert main(["--out", str(out), "--size", "tiny", "--results", str(page)]) == 0
    text = page.read_text()
    for title in ("## Decoders of sound", "## The effect of the codebook", "## One domain against two"):
        assert title in text
    for row in ("framewise", "fc", "wavenet", "codes", "latents", "pixels", "trained on both", "noise", "silence"):
        assert re.search(rf"^\| {row} \| \d", text, re.MULTILINE), row
    pictures = re.findall(r"\(pictures/(results-[^)]+)\)", text)
    assert len(pictures) == 4
    assert all((page.parent / "pictures" / name).stat().st_size > 1000 for name in pictures)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("checkpoints/*")}
    assert main(["--out", str(out), "--size", "tiny", "--results", str(page)]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("checkpoints/*")}
