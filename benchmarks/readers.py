"""Processor time of both readers against ffmpeg alone and decoding alone.

    python benchmarks/readers.py videos/*.mp4

The reference is `ffmpeg -i FILE -vf fps=10,scale=256:144 -f null -`; "decode" is PyAV decoding every picture and nothing else.
All with one decoding thread; the best of some rounds, taken in turns, so that a machine that is busy slows all alike.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
from collections.abc import Callable

import av

from v2a.geometry import Geometry
from v2a.media.readers import READERS, get_reader
from v2a.media.reading import Request


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=4)
    made.add_argument("videos", nargs="+")
    return made


def read(name: str, path: str) -> None:
    with get_reader(name).open(Request(path, Geometry())) as reading:
        for _segment in reading:
            pass


def reference(path: str) -> None:
    one = ("-threads", "1", "-filter_threads", "1")
    command = ["ffmpeg", "-nostdin", "-v", "quiet", *one, "-i", path, "-vf", "fps=10,scale=256:144", "-f", "null", "-"]
    subprocess.run(command, check=True)


def decode(path: str) -> None:
    with av.open(path) as container:
        video = container.streams.video[0]
        video.codec_context.thread_type, video.codec_context.thread_count = "NONE", 1
        for packet in container.demux(video):
            packet.decode()


def processor_s(work: Callable[[], None]) -> float:
    def spent() -> float:
        both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
        return sum(use.ru_utime + use.ru_stime for use in both)

    before = spent()
    work()
    return spent() - before


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    for path in options.videos:
        ways: dict[str, Callable[[str], None]] = {"reference": reference, "decode": decode}
        ways |= {name: lambda path, name=name: read(name, path) for name in READERS}
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(options.rounds):
            for name, way in ways.items():
                best[name] = min(best[name], processor_s(lambda way=way, path=path: way(path)))
        times = "  ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in best.items())
        ratios = "  ".join(f"reference/{name} {best['reference'] / best[name]:.2f}" for name in READERS)
        print(f"{path}: {times}  {ratios}  decode/pyav {best['decode'] / best['pyav']:.2f}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
