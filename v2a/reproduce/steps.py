"""What is run: corpora, stage 1, codes, decoders, evaluations, each a command of its own, and which of them it needs."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from v2a.reproduce.sizes import Size

DOMAINS = ("flyby", "impacts", "both")
OURS = ("framewise", "wavenet")  # that take the codes of our stage 1
PAPER = "paper"  # in place of a domain: fly-bys, coded as in the paper
DECODERS = {"framewise": "framewise-flyby", "fc": f"fc-{PAPER}", "wavenet": "wavenet-flyby"}  # and the run of each
INPUTS = ("latents", "pixels")
PARTS = ("decoders", "inputs", "domains")
_SEED = 7
# Enough test videos for intervals, in corpora that are this small.
_SPLIT = ("split.test=0.15", "split.validation=0.03")


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        name: of it, of its folder and of its log.
        command: program and arguments.
        needs: names of the steps before it.
        recipe: of its command and of all commands before it, as one name.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    recipe: str = ""


@dataclass(frozen=True)
class Places:
    """Where each step's result is.

    Attributes:
        out: folder of all of them.
    """

    out: Path

    def of(self, name: str) -> str:
        """The folder of a step."""
        return str(self.out / name)


def make_steps(out: Path, size: Size, parts: tuple[str, ...] = PARTS) -> list[Step]:
    """All steps that these comparisons need, each after those that it needs.

    Args:
        out: folder of all that is made.
        size: of everything.
        parts: "decoders", "inputs", "domains".
    """
    at = Places(out)
    domains = DOMAINS if "domains" in parts else DOMAINS[:1]
    steps = [step for domain in domains for step in _domain(at, size, domain)]
    steps += [_decoder(at, size.framewise, domain, "framewise") for domain in domains]
    if "decoders" in parts:
        few = f"clips={size.slow_clips}"
        # The paper's decoder has the paper's codes: of another stage 1 it would be five times as large.
        steps += [*_stage1(at, size.paper, "flyby", PAPER), _decoder(at, size.fc, PAPER, "fc")]
        steps.append(_decoder(at, size.wavenet, "flyby", "wavenet"))
        steps += [_evaluation(at, "decoders", "flyby", OURS, few), _evaluation(at, PAPER, PAPER, ("fc",), few)]
        steps.append(_speeds(at))
    if "inputs" in parts:
        steps += [_decoder(at, (*size.framewise, f"decoder.input={kind}"), "flyby", kind) for kind in INPUTS]
        steps.append(_evaluation(at, "inputs", "flyby", ("framewise", *INPUTS)))
    if "domains" in parts:
        steps += [_evaluation(at, domain, domain, ("framewise",)) for domain in domains]
    return list(_with_recipes(steps))


def _with_recipes(steps: Iterable[Step]) -> Iterable[Step]:
    known: dict[str, str] = {}
    for step in steps:
        facts = json.dumps([step.command[1:], [known[name] for name in step.needs]])
        known[step.name] = hashlib.sha256(facts.encode()).hexdigest()[:16]
        yield replace(step, recipe=known[step.name])


def _domain(at: Places, size: Size, domain: str) -> list[Step]:
    """Clips of a domain, stage 1 trained on them, and their codes."""
    clips = f"clips-{domain}"
    corpora = DOMAINS[:2] if domain == "both" else (domain,)
    sources = tuple(f"videos/{name}" for name in corpora)
    folder = at.of("videos" if domain == "both" else sources[0])
    made = [
        Step(name, _python("v2a.synthetic", name.removeprefix("videos/"), f"out={at.of(name)}", *_corpus(size)))
        for name in sources
    ]
    geometry = (
        f"geometry.width={size.width}",
        f"geometry.height={size.height}",
        f"geometry.segment_s={size.seconds:g}",
    )
    return [
        *(made if domain != "both" else ()),
        Step(
            clips,
            _python("v2a.prepare", "--workers", "1", f"videos={folder}", f"out={at.of(clips)}", *geometry, *_SPLIT),
            sources,
        ),
        *_stage1(at, size.stage1, domain, domain),
    ]


def _stage1(at: Places, settings: tuple[str, ...], domain: str, name: str) -> list[Step]:
    """Stage 1 trained on a domain's clips, and their codes."""
    clips, vqvae, codes = f"clips-{domain}", f"vqvae-{name}", f"codes-{name}"
    return [
        Step(vqvae, _python("v2a.vqvae", "--out", at.of(vqvae), f"data={at.of(clips)}", *settings), (clips,)),
        Step(
            codes,
            _python("v2a.codes", "--workers", "1", f"model={at.of(vqvae)}", f"data={at.of(clips)}", f"out={at.of(codes)}"),
            (vqvae,),
        ),
    ]  # fmt: skip


def _corpus(size: Size) -> tuple[str, ...]:
    shape = (f"seconds={size.seconds:g}", f"width={size.width}", f"height={size.height}")
    return (f"n={size.clips}", f"seed={_SEED}", *shape, "fps=10", "sample_rate=16000", "workers=1")


def _decoder(at: Places, settings: tuple[str, ...], domain: str, name: str) -> Step:
    trained_on = (
        f"model={at.of(f'vqvae-{domain}')}",
        f"codes={at.of(f'codes-{domain}')}",
        f"data={at.of(_clips_of(domain))}",
    )
    folder = f"{name}-{domain}"
    return Step(folder, _python("v2a.audio", "--out", at.of(folder), *settings, *trained_on), (f"codes-{domain}",))


def _evaluation(at: Places, name: str, domain: str, decoders: tuple[str, ...], *more: str) -> Step:
    runs = tuple(f"{decoder}-{domain}" for decoder in decoders)
    models = ",".join(at.of(run) for run in runs)
    held_out = (
        f"codes={at.of(f'codes-{domain}')}",
        f"data={at.of(_clips_of(domain))}",
        f"out={at.of(f'evaluate-{name}')}",
    )
    return Step(f"evaluate-{name}", _python("v2a.evaluate", f"models={models}", *held_out, *more), runs)


def _clips_of(domain: str) -> str:
    return f"clips-{'flyby' if domain == PAPER else domain}"


def _speeds(at: Places) -> Step:
    runs = tuple(DECODERS.values())
    command = _python("v2a.reproduce.speed", "--out", at.of("speed.json"), *(at.of(run) for run in runs))
    return Step("speed", command, runs)


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)
