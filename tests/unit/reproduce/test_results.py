"""The page of results: what is compared on it, and all of it, tiny, with numbers and pictures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from v2a.reproduce.__main__ import main
from v2a.reproduce.domains import gain_of_both
from v2a.reproduce.made import Made
from v2a.reproduce.tables import cell, number


def _clips(folder: Path, rows: list[str]) -> None:
    folder.mkdir(parents=True)
    (folder / "clips.csv").write_text("clip,source,video,candidate,log_mel_db\n" + "".join(f"{row}\n" for row in rows))


def test_a_model_of_both_corpora_is_compared_on_the_same_clips(tmp_path: Path):
    alone = [
        "a,v/flyby/a.mp4,a,framewise-flyby,5",
        "b,v/flyby/b.mp4,b,framewise-flyby,7",
        "c,v/flyby/c.mp4,c,framewise-flyby,",
    ]
    both = [
        "b,v/flyby/b.mp4,b,framewise-both,9", "a,v/flyby/a.mp4,a,framewise-both,6", "c,v/flyby/c.mp4,c,framewise-both,1",
        "a,v/flyby/a.mp4,a,noise,40", "d,v/impacts/d.mp4,d,framewise-both,30",
    ]  # fmt: skip
    _clips(tmp_path / "evaluate-flyby", alone)
    _clips(tmp_path / "evaluate-both", both)
    found = gain_of_both(Made(tmp_path, [], "tiny", ""), "flyby", "log_mel_db")
    one, two, difference = found
    assert found.text() == f"+1.50 [{difference.low:.2f}, {difference.high:.2f}]"
    assert (one.value, two.value, difference.value, difference.clips) == (6, 7.5, 1.5, 2)  # c has no number alone
    assert 1 <= difference.low <= difference.high <= 2


def test_what_has_no_number_is_a_dash():
    assert cell(None, 1) == cell({"value": None}, 1) == number(None, 1) == number(float("nan"), 1) == "-"
    assert cell({"value": 1.25, "low": None, "high": None}, 2) == "1.25"
    assert cell({"value": -1.25, "low": -2, "high": 0.5}, 1) == "-1.2 [-2.0, 0.5]"


@pytest.mark.slow
def test_the_page_has_all_three_comparisons(tmp_path: Path):
    out, page = tmp_path / "all", tmp_path / "docs" / "results.md"
    assert main(["--out", str(out), "--size", "tiny", "--results", str(page)]) == 0
    text = page.read_text()
    assert len(re.findall(r"^\| [^|]+ \| [^|]*\d[^|]* \|$", text, re.MULTILINE)) == 5, (
        "what the paper says, and a number beside it"
    )
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
