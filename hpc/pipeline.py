"""From videos to a page that shows how good it is, in one command: each link of `STAGES` after the one before."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpc.job import JobError
from hpc.plan import Plan, make_plan, why_again
from hpc.record import RUN, read_json
from hpc.request import Request
from hpc.states import RunState, state_of
from v2a.config import ConfigError
from v2a.stages import check_inputs, load_config

STAGES = ("prepare", "vqvae", "codes", "audio", "evaluate", "report")
_OWN = ("videos", "data", "codes", "preset")
# What a link reads and where it writes follows from the links before it.
_FOLLOWS = {
    "prepare": ("videos", "out"), "vqvae": ("data",), "codes": ("model", "data", "out"), "audio": ("model", "codes", "data"),
    "evaluate": ("model", "codes", "data"), "report": ("runs", "page"),
}  # fmt: skip
# Settings of later links whose folders a link makes.
_MAKES = {
    "prepare": ("data",),
    "vqvae": ("model", "runs"),
    "codes": ("codes",),
    "audio": ("model", "runs"),
    "evaluate": ("runs",),
}


@dataclass(frozen=True)
class Wanted:
    """What a pipeline is told.

    Attributes:
        videos: a folder, a list or a CSV of videos; empty when the clips are there already.
        data: folder of the clips.
        codes: folder of the codes; empty for one beside the clips, named by the run that makes their encoder.
        preset: of every stage that has it.
        settings: of each stage, as "key=value".
    """

    videos: str = ""
    data: str = "data/clips"
    codes: str = ""
    preset: str = ""
    settings: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Link:
    """One stage of the chain, with how its run stands and the run that it waits for; None for the first to run."""

    plan: Plan
    state: RunState
    after: Path | None

    @property
    def name(self) -> str:
        """Stage and run."""
        return f"{self.plan.spec.stage} ({self.plan.spec.run_dir.name})"


def parse_settings(settings: Sequence[str]) -> Wanted:
    """Settings of a pipeline: "videos=DIR", "data=DIR", "codes=DIR", "preset=NAME", and "STAGE.key=value" for a stage's own.

    Raises:
        ConfigError: another one, one that its stage does not know, or one that follows from the links before.
    """
    own: dict[str, str] = {}
    of: dict[str, list[str]] = {stage: [] for stage in STAGES}
    for setting in settings:
        key, equals, value = setting.partition("=")
        stage, dot, rest = key.partition(".")
        if equals and key in _OWN:
            own[key] = value
        elif equals and dot and stage in STAGES:
            of[stage].append(f"{rest}={value}")
        else:
            raise ConfigError(
                f"expected {', '.join(f'{name}=…' for name in _OWN)} or STAGE.key=value with a stage of {', '.join(STAGES)}, "
                f"but got {setting!r}"
            )
    preset = own.get("preset", "")
    if preset and not any(_has_preset(stage, preset) for stage in STAGES):
        load_config("vqvae", [f"preset={preset}"])  # says which there are
    for stage, mine in of.items():
        _check_own(stage, preset, mine)
    return Wanted(**own, settings=of)


def _check_own(stage: str, preset: str, settings: list[str]) -> None:
    """A link's settings are read before the first one is submitted: a slip in the last would else be found hours later."""
    for setting in settings:
        key = setting.partition("=")[0]
        if key in _FOLLOWS[stage]:
            raise ConfigError(
                f"expected no {stage}.{key}, for it follows from the links before; for folders of the whole pipeline say "
                f"{', '.join(f'{name}=…' for name in _OWN[:3])}"
            )
    try:
        load_config(stage, [*([f"preset={preset}"] if preset and _has_preset(stage, preset) else []), *settings])
    except ConfigError as error:
        raise ConfigError(f"{stage}: {error}") from None


def make_links(wanted: Wanted, request: Request, waits: bool = True) -> Iterator[Link]:
    """The chain, link by link: each is planned when the one before has been dealt with, so that its job is known.

    Args:
        wanted: what it is told.
        request: where and how each link runs; its stage, settings and name are not looked at.
        waits: jobs depend on those before; without, the chain is only looked at.

    Raises:
        ConfigError, JobError, SlurmError: see `hpc.plan.make_plan`; names the stage.
    """
    if request.where == "debug":
        raise JobError("expected --cluster slurm or local for a pipeline: debug runs one stage in this very process")
    if request.name is not None:
        raise JobError("expected no --name: each run of a pipeline has its own; choose another --runs")
    if "," in str(request.runs):
        raise JobError(
            f"expected no comma in --runs of a pipeline, whose page is of a list of runs, but got {request.runs}"
        )
    if not wanted.videos:
        check_inputs("evaluate", _evaluation(wanted), ("model", "codes"))
    made: list[str] = []  # settings whose folders are not there yet
    runs: dict[str, Path] = {}
    before: Path | None = None
    made_from = ""
    for stage in STAGES:
        if stage == "prepare" and not wanted.videos:
            continue  # the clips are there
        mine = dataclasses.replace(
            _shape(request, stage), stage=stage, settings=tuple(_settings(stage, wanted, runs, request.runs)),
            made_before=tuple(made), made_from=made_from,
            after=(*request.after, before) if before is not None and waits and request.where != "local" else request.after,
        )  # fmt: skip
        try:
            plan = make_plan(mine)
        except ConfigError as error:
            raise ConfigError(f"{stage}: {error}") from None
        state = _standing(plan)
        yield Link(plan, state, before)
        runs[stage] = plan.spec.run_dir
        if stage == "prepare":
            made_from = _clips(plan, state)
        if _standing(plan).state != "finished":  # now: locally it ran meanwhile
            made += _MAKES.get(stage, ())
            before = plan.spec.run_dir


def _shape(request: Request, stage: str) -> Request:
    """A page is made by one process, however many train."""
    return dataclasses.replace(request, nodes=1, ranks_per_node=1, gpus_per_node=None) if stage == "report" else request


def _standing(plan: Plan) -> RunState:
    """How its run stands; one that has finished with other videos, or whose page is gone, has not."""
    state = state_of(plan.spec.run_dir)
    if state.state == "finished" and (why := why_again(plan)):
        return dataclasses.replace(state, state="stopped", reason=why)
    return state


def _clips(plan: Plan, state: RunState) -> str:
    """By what the clips of a prepare run are known before they are there, and after: the runs that read them keep their names."""
    videos = plan.videos
    if state.is_active:  # it was submitted with these
        videos = (read_json(plan.spec.run_dir / RUN) or {}).get("videos") or videos
    return f"{plan.spec.run_dir.name} of {videos}"


def _settings(stage: str, wanted: Wanted, runs: dict[str, Path], folder: Path) -> list[str]:
    found: list[str] = []
    if wanted.preset and _has_preset(stage, wanted.preset):
        found.append(f"preset={wanted.preset}")
    data = f"data={wanted.data}"
    codes = wanted.codes
    if "vqvae" in runs and not codes:
        codes = str(Path(wanted.data).with_name(f"codes-{runs['vqvae'].name}"))
    if stage == "prepare":
        found += [f"videos={wanted.videos}", f"out={wanted.data}", f"split.required=train,{_evaluation(wanted).split}"]
    elif stage == "vqvae":
        found += [data]
    elif stage == "codes":
        found += [f"model={runs['vqvae']}", data, f"out={codes}"]
    elif stage == "audio":
        found += [f"model={runs['vqvae']}", f"codes={codes}", data]
    elif stage == "evaluate":
        out = evaluation_of(folder, runs["audio"])
        found += [f"model={runs['audio']}", f"codes={codes}", data, f"out={out}"]
    else:
        shown = (evaluation_of(folder, runs["audio"]), runs["audio"], runs["vqvae"])
        found += [f"runs={','.join(map(str, shown))}", f"page={page_of(folder, runs['evaluate'])}"]
    return [*found, *wanted.settings.get(stage, [])]


def _evaluation(wanted: Wanted) -> Any:
    """The last but one link's config, as far as it is known at first: a split that it lacks must be found before the training."""
    return load_config("evaluate", [f"data={wanted.data}", *wanted.settings.get("evaluate", [])])


def evaluation_of(folder: Path, audio: Path) -> Path:
    """Where what is measured of an audio run is put, among all runs."""
    return folder / f"evaluation-of-{audio.name}"


def page_of(folder: Path, evaluate: Path) -> Path:
    """The page that the last link makes, among all runs; another one for another evaluation."""
    return folder / f"report-of-{evaluate.name}.html"


def _has_preset(stage: str, preset: str) -> bool:
    try:
        load_config(stage, [f"preset={preset}"])
    except ConfigError:
        return False
    return True


def describe(links: Iterable[Link]) -> list[str]:
    """The plan for people, a line for each link."""
    lines = []
    for number, link in enumerate(links, 1):
        spec = link.plan.spec
        how = f"is {link.state.state}" if link.state.state in ("finished", "running", "pending") else "to do"
        after = f", after {link.after.name}" if link.after is not None and how == "to do" else ""
        lines.append(
            f"{number}. {spec.stage:<9} {spec.run_dir.name:<20} {how}{after}: {spec.world_size} ranks, {link.plan.where}"
        )
        lines.append(f"     {' '.join(spec.overrides)}")
    return lines
