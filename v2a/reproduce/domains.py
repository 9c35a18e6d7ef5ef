"""One domain against two: the same test clips, by a model of their corpus alone and by one of both corpora."""

from __future__ import annotations

from v2a.metrics.bootstrap import Estimate, estimate
from v2a.reproduce.made import Made
from v2a.reproduce.steps import DOMAINS
from v2a.reproduce.tables import measures, number, table

TITLES = {"flyby": "Fly-bys", "impacts": "Impacts", "both": "Both"}
_MEASURES = (("log-mel L1, dB", "log_mel_db"), ("envelope r", "envelope_r"), ("onset F1", "onset_f1"))


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
        "both has seen each corpus half as often. A clip without an onset on either side has no F1."
    )
    rows = [_compared(made, corpus, title, name) for corpus in DOMAINS[:2] for title, name in _MEASURES]
    lines.append(table(["test clips of", "", "trained on it alone", "trained on both", "difference", "n"], rows))
    return lines


def gain_of_both(made: Made, corpus: str, name: str) -> tuple[Estimate, Estimate, Estimate]:
    """A measure of clips of a corpus by the model of it alone, by the model of both, and the clips' differences.

    Args:
        made: where it is.
        corpus: "flyby" or "impacts".
        name: of the measure.
    """
    alone, both = made.clips(corpus, f"framewise-{corpus}"), made.clips("both", "framewise-both", corpus)
    common = [clip for clip in alone if clip in both and alone[clip][name] and both[clip][name]]
    pairs = [(float(alone[clip][name]), float(both[clip][name])) for clip in common]
    videos = [alone[clip]["video"] for clip in common]
    one, two = (estimate([pair[side] for pair in pairs], videos) for side in (0, 1))
    return one, two, estimate([after - before for before, after in pairs], videos)


def _compared(made: Made, corpus: str, title: str, name: str) -> list[str]:
    one, two, difference = gain_of_both(made, corpus, name)
    return [
        corpus, title, number(one.value, 2), number(two.value, 2),
        f"{number(difference.value, 2)} [{number(difference.low, 2)}, {number(difference.high, 2)}]", str(difference.clips),
    ]  # fmt: skip
