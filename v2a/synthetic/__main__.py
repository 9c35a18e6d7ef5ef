"""`python -m v2a.synthetic flyby|impacts out=DIR n=… seed=…`: render a corpus of videos whose sound follows from the picture."""

from __future__ import annotations

import argparse
import sys

from v2a.config import ConfigError, build_config, describe
from v2a.synthetic.config import KINDS, Config

_EXAMPLES = """\
examples:
  python -m v2a.synthetic flyby out=data/flyby n=200 seed=1       200 clips of 10 s; the same command again goes on where it ended
  python -m v2a.synthetic impacts out=data/impacts n=50 width=256 height=144 fps=10
  python -m v2a.synthetic flyby out=data/flyby n=5000 seed=1 --dry-run      how many, how large, how long; writes nothing
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m v2a.synthetic",
        description="Render videos whose sound is physically tied to the picture: DIR/KIND-SEED-NUMBER.mp4, and a .json with the "
        "truth beside each. flyby: aircraft crossing the sky. impacts: things that hit and bounce before a fixed camera.",
        epilog=f"{_EXAMPLES}\nsettings and their defaults:\n{describe(Config)}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("kind", choices=KINDS, help="the corpus")
    top.add_argument("overrides", nargs="*", metavar="key=value", help="settings; out=DIR must be among them")
    top.add_argument("--dry-run", action="store_true", help="print what would be written; write nothing")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Render; 0 when all clips are there, 1 with a sentence when they could not be made, 130 after Ctrl-C."""
    options = parser().parse_intermixed_args(arguments)
    from v2a.synthetic.corpus import disk_is_full, run
    from v2a.synthetic.encode import EncodeError

    try:
        config = build_config(Config, options.overrides)
        if options.dry_run:
            _announce(options.kind, config)
            return 0
        counts = run(options.kind, config)
    except (ConfigError, EncodeError, RuntimeError) as error:
        print(f"synthetic: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        sentence = f"{config.out!r} cannot be written: {error}. Choose another place with out=DIR"
        if disk_is_full(error):
            sentence = (
                f"the disk of {config.out!r} is full. What is there is whole; free some space and repeat to go on"
            )
        print(f"synthetic: {sentence}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("synthetic: stopped; what is there is whole. Repeat the command to go on", file=sys.stderr)
        return 130
    print(f"{counts.made} clips made ({counts.bytes / 1e6:.0f} MB), {counts.there} were there: {config.out}")
    return 0


def _announce(kind: str, config: Config) -> None:
    from v2a.synthetic.corpus import estimate
    from v2a.synthetic.store import clip_name

    would = estimate(kind, config)
    first, last = (clip_name(kind, config.seed, index) for index in (0, config.n - 1))
    print(f"would write {would.missing} clips of {config.geometry()}, {first}.mp4 to {last}.mp4, each with its .json")
    print(f"  into {config.out!r}, which has {would.there} of them")
    print(f"  about {would.bytes / 1e6:.0f} MB, about {would.seconds / 60:.1f} min with {config.processes()} processes")


if __name__ == "__main__":
    sys.exit(main())
