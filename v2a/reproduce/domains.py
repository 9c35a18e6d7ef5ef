"""One domain against two: the same test clips, by a model of their corpus alone and by one of both corpora."""

from __future__ import annotations

from v2a.reproduce.made import Made
from v2a.reproduce.paired import Paired, paired
from v2a.reproduce.steps import DOMAINS
from v2a.reproduce.tables import measures, number, table

TITLES = {"flyby": "Fly-bys", "impacts": "Impacts", "both": "Both"}
_EVERYWHERE = (("log-mel L1, dB", "log_mel_db"), ("envelope r", "envelope_r"))
_MEASURES = {"flyby": _EVERYWHERE, "impacts": (*_EVERYWHERE, ("onset F1", "onset_f1"))}  # fly-bys have no onsets


def domain_lines(made: Made) -> list[str]:
    """Paragraphs of the page; none when it was not all run."""
    if not made.has(*(f"evaluate-{domain}" for domain in DOMAINS)):
        return []
    lines = [
        "## One domain against two",
        "The paper trains on one class, and names wider domains as what is missing. Stage 1 and decoder trained on one corpus, and "
        "on both together with as many steps.",
    ]
    for domain in DOMAINS:
        metrics = made.metrics(domain)
        lines.append(f"{TITLES[domain]}, test clips: {metrics['clips']}")
        lines.append(measures(metrics, {f"framewise-{domain}": f"trained on {domain}"}))
    lines.append(
        "The same test clips of each corpus by both models: means, and the mean difference of a clip (both less one). A model of "
        "both has seen each corpus half as often."
    )
    rows = [_compared(made, corpus, title, name) for corpus in DOMAINS[:2] for title, name in _MEASURES[corpus]]
    lines.append(table(["test clips of", "", "trained on it alone", "trained on both", "difference", "n"], rows))
    return lines


def gain_of_both(made: Made, corpus: str, measure: str) -> Paired:
    """A measure of clips of a corpus by the model of it alone, and by the model of both.

    Args:
        made: where it is.
        corpus: "flyby" or "impacts".
        measure: its name.
    """
    return paired(made.clips(corpus, f"framewise-{corpus}"), made.clips("both", "framewise-both", corpus), measure)


def _compared(made: Made, corpus: str, title: str, measure: str) -> list[str]:
    found = gain_of_both(made, corpus, measure)
    clips = str(found.difference.clips)
    return [corpus, title, number(found.one.value, 2), number(found.two.value, 2), found.text(), clips]
