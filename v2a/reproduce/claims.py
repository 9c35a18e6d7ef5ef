"""What the paper says, and beside it what was measured here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from v2a.reproduce.domains import TITLES, gain_of_both
from v2a.reproduce.made import Made
from v2a.reproduce.steps import DECODERS, DOMAINS, INPUTS, PAPER
from v2a.reproduce.tables import cell, number, table


def claims(made: Made) -> str:
    """The table of them; "" when nothing of it was run."""
    sections: tuple[Callable[[Made], Iterator[tuple[str, str]]], ...] = (_decoders, _inputs, _domains)
    rows = [row for section in sections for row in section(made)]
    return table(["the paper (arXiv 2404.17608)", "measured here"], rows) if rows else ""


def _decoders(made: Made) -> Iterator[tuple[str, str]]:
    if not made.has("evaluate-decoders", f"evaluate-{PAPER}"):
        return
    found = {
        name: made.metrics(PAPER if name == "fc" else "decoders")["candidates"][run] for name, run in DECODERS.items()
    }
    if made.has("speed"):
        speed = made.read("speed.json")
        costs = {name: speed[run] for name, run in DECODERS.items()}
        slower = ", ".join(
            f"{costs['wavenet'] / cost:,.0f} times as long as {name}"
            for name, cost in costs.items()
            if name != "wavenet"
        )
        yield (
            "earlier work's WaveNets are slow",
            f"one second of sound by `wavenet` takes {number(costs['wavenet'], 2)} s of processor time: {slower}",
        )
    narrower = "less" if found["fc"]["diversity"] < found["wavenet"]["diversity"] else "more"
    diverse = ", ".join(f"{name} {number(one['diversity'], 2)}" for name, one in found.items())
    yield (
        "earlier work lacks diversity of sound, and its own decoder makes a broader range",
        f"fc's is {narrower} diverse than wavenet's: where the truth has 1, {diverse}",
    )
    fc = found["fc"]
    yield (
        "a fully connected decoder trained with MSE gives the sound",
        f"its MSE is {number(fc['mse_ratio'], 2)} of silence's; its level is {cell(fc['scores']['level_db'], 1)} dB from the "
        f"truth's, framewise's {cell(found['framewise']['scores']['level_db'], 1)} dB",
    )


def _inputs(made: Made) -> Iterator[tuple[str, str]]:
    if not made.has("evaluate-inputs", *(f"{name}-flyby" for name in INPUTS)):
        return
    found = made.metrics("inputs")["candidates"]
    names = {"framewise-flyby": "codes", **{f"{name}-flyby": name for name in INPUTS}, "noise": "steady noise"}
    log_mel = ", ".join(
        f"{title} {cell(found[name]['scores']['log_mel_db'], 2)}" for name, title in names.items() if name in found
    )
    yield (
        "the codes of a VQ-VAE hold what the video says in space and time",
        f"log-mel L1, dB, of sound decoded from {log_mel}",
    )


def _domains(made: Made) -> Iterator[tuple[str, str]]:
    if not made.has(*(f"evaluate-{domain}" for domain in DOMAINS)):
        return
    said = []
    for corpus in DOMAINS[:2]:
        found = gain_of_both(made, corpus, "log_mel_db")
        said.append(
            f"{TITLES[corpus]}: {number(found.one.value, 2)} dB alone, {number(found.two.value, 2)} dB with both ({found.text()})"
        )
    yield (
        "one class of videos; wider domains are left to come",
        f"log-mel L1 of the same clips by a model of their corpus and of two. {'; '.join(said)}",
    )
