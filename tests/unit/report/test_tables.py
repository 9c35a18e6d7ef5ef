"""Tables, who is best, and what a model beats."""

from pathlib import Path

from tests.unit.report.making import NAMES, candidate
from v2a.evaluate import report as written
from v2a.report.evaluation import read_evaluation
from v2a.report.measures import SOUND, SYNTHETIC, TIME
from v2a.report.tables import make_tables, verdict, write


def _named(columns) -> list[tuple[str, str, float]]:
    return [(key, title, scale) for key, title, scale, _ in columns]


def test_columns_are_those_that_an_evaluation_writes():
    for ours, theirs in ((SOUND, written._MAIN), (TIME, written._TIME), (SYNTHETIC, written._SYNTHETIC)):
        assert [(m.key, m.title, m.scale) for m in ours] == _named(theirs)


def test_models_come_first_and_the_best_is_marked_among_those_that_do_not_know_the_truth(world: Path):
    table = read_evaluation(world / "ev").tables[0]
    assert [row.name for row in table.rows] == [
        "ours",
        "retrieval",
        "shuffled",
        "noise",
        "silence",
        "truth",
        "redrawn",
        "shifted",
    ]
    assert [row.kind for row in table.rows] == ["model", *["null baseline"] * 4, *["from the truth"] * 3]
    assert [(row.name, cell.value) for row in table.rows for cell in row.cells if cell.best] == [
        ("ours", "4.00"),
        ("ours", "0.84"),
    ]
    assert table.rows[0].cells[0].interval == "3.90 to 4.10"


def test_measures_without_any_number_are_left_out():
    tables, meanings = make_tables({name: candidate(5, 0.5, 3) for name in NAMES}, 3)
    titles = [head for table in tables for head, _ in table.heads]
    assert titles == [title for title, _ in meanings]
    assert "STFT" not in titles
    assert "nearest training" not in titles
    assert not any(cell.best for table in tables for row in table.rows for cell in row.cells), "all are alike"


def test_cells_of_fewer_clips_say_so_and_are_not_compared():
    candidates = {"ours": candidate(4, 0.9, 2), "noise": candidate(9, 0.1, 3)}
    cells = make_tables(candidates, 3)[0][0].rows[0].cells
    assert cells[0].interval.endswith(", n=2")
    assert not cells[0].best
    assert verdict(candidates, "ours") == []


def test_the_verdict_tells_intervals_apart_from_overlaps_and_from_defeat():
    candidates = {"ours": candidate(4, 0.55, 3), "noise": candidate(9, 0.5, 3), "silence": candidate(20, 0.4, 3)}
    assert verdict(candidates, "ours") == [
        "ours is better than every null baseline, with intervals apart, in: log-mel dB.",
        "ours is better, but intervals overlap, in: envelope r.",
    ]
    candidates["retrieval"] = candidate(3, 0.1, 3)
    assert "ours is not better in: log-mel dB." in verdict(candidates, "ours")


def test_numbers_have_a_minus_sign_and_no_signed_zero():
    assert [write("{:+.1f}", value) for value in (-2.5, -0.01, 0.01, 2.5)] == [
        "\N{MINUS SIGN}2.5",
        "0.0",
        "0.0",
        "+2.5",
    ]
