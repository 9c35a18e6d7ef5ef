"""The whole road on this machine: a corpus, a model trained on it, sound for videos it never heard, and a page that shows how good.

python -m hpc.demo                          made-up fly-bys; about twelve minutes on two cores
python -m hpc.demo --videos clips/ --out demo-of-mine        your own videos, with their sound
python -m hpc.demo --videos clips/ --out demo-of-mine --group '^film\\d+'
python -m hpc.demo --videos clips/ --out demo-of-mine audio.train.steps=3000 prepare.split.test=0.4
python -m hpc.demo --quick                  three minutes: does everything work here? too small to sound like anything
python -m hpc.demo --dry-run                the steps, in order
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpc.pipeline import evaluation_of, make_links, page_of, parse_settings
from hpc.record import read_json
from hpc.request import Request
from v2a.config import ConfigError
from v2a.whole import write_json

_INTERRUPTED = 130
_RECORD = "demo.json"  # which videos a folder was begun with
_HEARD = 4  # held-out videos that get sound
# Sizes by what fits: stage 1 learns its codebooks in a minute, stage 2 needs the most.
_FULL = (
    "vqvae.colours=0", "vqvae.train.steps=60", "vqvae.train.batch=2", "vqvae.train.validate_every=0",
    "audio.train.steps=600", "audio.train.batch=2", "audio.train.validate_every=0", "audio.train.checkpoint_every=100",
)  # fmt: skip
_QUICK = ("preset=tiny", "vqvae.train.steps=40", "audio.train.steps=60")
_MADE_UP_SPLIT = ("prepare.split.test=0.1", "prepare.split.validation=0.03")
_OWN_SPLIT = ("prepare.split.test=0.25", "prepare.split.validation=0")  # of few videos some must be left to try it on


@dataclass(frozen=True)
class Step:
    """One command, or several, of the road.

    Attributes:
        title: for people.
        commands: gives them when it is their turn, since what they are about may not be there before.
    """

    title: str
    commands: Callable[[], list[list[str]]]


@dataclass(frozen=True)
class Runs:
    """Where the runs of the pipeline are.

    Attributes:
        out: folder of all that is made.
        settings: of the pipeline.
        ranks: that train.
    """

    out: Path
    settings: tuple[str, ...]
    ranks: int

    def folder(self, stage: str) -> Path:
        """Of a stage that has run."""
        request = Request("prepare", runs=self.out / "runs", where="local", ranks_per_node=self.ranks)
        links = make_links(parse_settings(self.settings), request, waits=False)
        return next(link.plan.spec.run_dir for link in links if link.plan.spec.stage == stage)

    def evaluation(self) -> Path:
        """What the last stage made."""
        return evaluation_of(self.out / "runs", self.folder("audio"))

    def held_out(self) -> list[Path]:
        """Videos of the test split, a few."""
        with (self.evaluation() / "clips.csv").open(newline="") as file:
            return [Path(source) for source in dict.fromkeys(row["source"] for row in csv.DictReader(file))][:_HEARD]


def steps_of(runs: Runs, videos: Path | None, quick: bool) -> list[Step]:
    """The steps, in order.

    Args:
        runs: of the pipeline, and the folder of all that is made.
        videos: a folder, a list or a CSV of one's own; None for made-up fly-bys.
        quick: small ones.
    """
    out = runs.out
    submit = _python(
        "hpc.submit", "--cluster", "local", "--ranks-per-node", str(runs.ranks), "--runs", str(out / "runs")
    )
    steps = [
        Step(
            "train on them: clips, stage 1, codes, stage 2, evaluation, a page",
            lambda: [[*submit, "pipeline", *runs.settings]],
        ),
        Step("take the sound away from videos that were not trained on", lambda: _silenced(runs, out / "silent")),
        Step("give them sound by what is seen", lambda: [_infer(runs, out)]),
        Step("the page of it all", lambda: [_page(runs, out)]),
    ]
    if videos is None:
        steps.insert(0, Step("videos to learn from: aircraft that fly past", lambda: [_flybys(out / "videos", quick)]))
    return steps


def runs_of(out: Path, videos: Path | None, group: str, quick: bool, more: Sequence[str] = ()) -> Runs:
    """The runs that the demo will have.

    Args:
        out: folder of all that is made.
        videos: as of `steps_of`.
        quick: as of `steps_of`.
        group: a regular expression: videos whose names match alike stay in one split; empty for none.
        more: settings of the pipeline, which outweigh the demo's own.

    Raises:
        ConfigError: one of them that is not known, or that is the demo's.
    """
    settings = [f"videos={videos or out / 'videos'}", f"data={out / 'clips'}"]
    settings += [f"prepare.split.group={group}"] if group else []
    if kept := [setting for setting in more if setting.partition("=")[0] in ("videos", "data")]:
        raise ConfigError(
            f"expected settings of stages, but got {kept[0]}; say --videos DIR, and --out DIR for the rest"
        )
    settings += [*(_QUICK if quick else _FULL), *(_OWN_SPLIT if videos else _MADE_UP_SPLIT), *more]
    parse_settings(settings)
    ranks = 2 if importlib.util.find_spec("horovod") else 1
    return Runs(out, tuple(settings), ranks)


def _flybys(corpus: Path, quick: bool) -> list[str]:
    size = ["n=40", "seconds=4", "width=128", "height=72"] if quick else ["n=200", "width=256", "height=144"]
    return _python("v2a.synthetic", "flyby", f"out={corpus}", "seed=1", *size, "fps=10", "sample_rate=16000")


def _silenced(runs: Runs, folder: Path) -> list[list[str]]:
    folder.mkdir(parents=True, exist_ok=True)
    sources = runs.held_out()
    alike = {source.stem for source in sources if sum(source.stem == other.stem for other in sources) > 1}
    copies = []
    for number, source in enumerate(sources, 1):
        name = f"{source.stem}-{number}" if source.stem in alike else source.stem
        into = folder / f"{name}{source.suffix if source.suffix.lower() in ('.mp4', '.mov') else '.mkv'}"
        if into.exists() and into.stat().st_mtime_ns >= source.stat().st_mtime_ns:
            continue
        whole = folder.parent / f"unfinished-{into.name}"  # a kill leaves no half of a video among those that get sound
        copy = ["-fflags", "+genpts", "-i", f"file:{source}", "-map", "0:v:0", "-c", "copy", f"file:{whole}"]
        copies.append(["ffmpeg", "-v", "error", "-y", *copy])  # AVI has no times of its own
        copies.append(["mv", "--", str(whole), str(into)])
    return copies


def _infer(runs: Runs, out: Path) -> list[str]:
    return _python("v2a.infer", str(out / "silent"), "--model", str(runs.folder("audio")), "--out", str(out / "sounds"))


def _page(runs: Runs, out: Path) -> list[str]:
    return ["cp", str(page_of(out / "runs", runs.folder("evaluate"))), str(out / "report.html")]


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def walk(steps: Sequence[Step]) -> int:
    """Run the steps, each command shown before it runs; stops at the first that fails.

    Returns:
        0, or the status of the command that failed.
    """
    begun = time.monotonic()
    for number, step in enumerate(steps, 1):
        print(f"\n== {number} of {len(steps)}, after {_minutes(time.monotonic() - begun)}: {step.title}", flush=True)
        commands = step.commands()
        if not commands:
            print("done before")
        for command in commands:
            print(f"$ {_shown(command)}", flush=True)
            status = subprocess.run(command, check=False).returncode
            if status:
                print(
                    f"demo: that ended with status {status}, and its last words say why; the same `make demo` goes on from there",
                    file=sys.stderr,
                )
                return status
    print(f"\n== done after {_minutes(time.monotonic() - begun)}")
    return 0


def _shown(command: list[str]) -> str:
    return shlex.join(["python", *command[1:]] if command[0] == sys.executable else command)


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"


def _next(runs: Runs) -> str:
    out, model = runs.out, shlex.quote(str(runs.folder("audio")))
    return f"""look at it     {out / "report.html"} in a browser
the videos     {out / "sounds"}: those of {out / "silent"}, with sound
the runs       python -m hpc.status --runs {shlex.quote(str(out / "runs"))}
try next       make demo VIDEOS=a-folder-of-your-videos OUT=demo-of-mine
               python -m v2a.infer a-silent-video.mp4 --model {model}
on a cluster   python -m hpc.submit --nodes 4 pipeline videos=a-folder-of-your-videos     (docs/cluster.md)"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    summary, examples = (__doc__ or "").split("\n\n")
    top = argparse.ArgumentParser(
        prog="python -m hpc.demo",
        description=summary,
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument(
        "--videos", type=_named_place, help="a folder, a list or a CSV of videos with sound (default: made-up fly-bys)"
    )
    alike = "a regular expression: videos whose names match alike are cuts of one recording, and stay on one side of the split"
    top.add_argument("--group", default="", metavar="REGEX", help=alike)
    top.add_argument("--out", type=Path, default=Path("demo"), help="folder of all that is made (default: demo)")
    top.add_argument("--quick", action="store_true", help="small: shows only that everything works")
    setting = "of the pipeline (python -m hpc.submit pipeline), as audio.train.steps=3000"
    top.add_argument("settings", nargs="*", metavar="STAGE.key=value", help=setting)
    top.add_argument("--dry-run", action="store_true", help="show the steps and the first commands, run nothing")
    return top


validate = parse_settings


def _named_place(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("expected a folder, a list or a CSV of videos, but it is empty")
    return Path(text)


def _named(videos: Path | None) -> str:
    return "" if videos is None else str(videos.resolve())


def _other_videos(out: Path, videos: Path | None) -> str:
    """A sentence when the folder was begun with other videos: theirs would be trained on with these, and shown for them."""
    record = read_json(out / _RECORD)
    if record is None and (out / _RECORD).exists():
        return f"{out / _RECORD} is damaged, which says what {out} was begun with; say --out DIR, or remove it if it was these"
    if record is None or record.get("videos") == _named(videos):
        return ""
    before = record.get("videos") or "made-up fly-bys"
    return f"{out} was begun with {before}; say --out DIR (make demo OUT=DIR) for another folder, or remove this one"


def _lies_within(out: Path, videos: Path | None) -> str:
    """A sentence when what is made would be among the videos: the next time they would be trained on, sound of ours and all."""
    if videos is None or not out.resolve().is_relative_to(videos.resolve()):
        return ""
    return f"{out} lies within {videos}, whose videos are learned from; say --out DIR (make demo OUT=DIR) for one outside of it"


def main(arguments: list[str] | None = None) -> int:
    """0 when all was made, 1 or a command's status when something failed, 130 after Ctrl-C."""
    options = parser().parse_intermixed_args(arguments)
    if options.videos is not None and not options.videos.exists():
        print(
            f"demo: there is nothing at {options.videos}; give a folder of videos, or none for made-up ones",
            file=sys.stderr,
        )
        return 1
    try:
        runs = runs_of(options.out, options.videos, options.group, options.quick, options.settings)
    except ConfigError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    steps = steps_of(runs, options.videos, options.quick)
    if why := _lies_within(options.out, options.videos) or _other_videos(options.out, options.videos):
        print(f"demo: {why}", file=sys.stderr)
        return 1
    if options.dry_run:
        print("\n".join(f"{number}. {step.title}" for number, step in enumerate(steps, 1)))
        print("\n".join(f"$ {_shown(command)}" for step in steps[:-3] for command in step.commands()))
        return 0
    try:
        write_json(options.out / _RECORD, {"videos": _named(options.videos)})
        status = walk(steps)
    except KeyboardInterrupt:
        print("\ndemo: interrupted; the same command goes on", file=sys.stderr)
        return _INTERRUPTED
    except (ConfigError, OSError, ValueError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    if status == 0:
        print(_next(runs))
    return status


if __name__ == "__main__":
    sys.exit(main())
