"""`review`: a page on which a person keeps or drops each video, in place of the paper's selection by hand."""

from __future__ import annotations

import argparse
import sys
import threading
import webbrowser
from pathlib import Path

from v2a.youtube8m.review.entries import Review
from v2a.youtube8m.tables import InputError, write_whole


def add_parser(steps: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The options of this step."""
    made = steps.add_parser(
        "review",
        help="keep or drop each video, by hand, in a browser",
        description="Show all videos on a page with thumbnails; every decision to keep or drop one goes to the list at once.",
        epilog="""examples:
  python -m v2a.youtube8m review videos/videos.csv --open        a page in the browser; Ctrl-C ends it
  python -m v2a.youtube8m review videos/ --port 8800             a folder; on a cluster: ssh -L 8800:127.0.0.1:8800 NODE
  python -m v2a.youtube8m review videos/videos.csv --apply videos/kept.csv                 what is kept, for `prepare`
  python -m v2a.youtube8m review videos/videos.csv --static videos/review.html             a page without a server, …
  python -m v2a.youtube8m review videos/videos.csv --decisions decisions.csv               … and what was decided on it

Decisions are in the list's column keep: yes, no, or nothing yet.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "list", type=Path, metavar="LIST", help="videos.csv of `fetch`, any CSV with a column path, or a folder"
    )
    made.add_argument("--port", type=_port, default=0, metavar="PORT", help="of the page (default: a free one)")
    made.add_argument("--open", action="store_true", help="open the page in the browser")
    made.add_argument(
        "--decisions", type=Path, metavar="CSV", help="save these decisions, from a page without a server"
    )
    made.add_argument("--static", type=Path, metavar="HTML", help="write a page that needs no server")
    made.add_argument("--apply", type=Path, metavar="CSV", help="write the kept videos as a list for `prepare`")
    made.add_argument("--with-undecided", action="store_true", help="with --apply: also what nobody decided on")
    made.add_argument("--dry-run", action="store_true", help="count the decisions; write and serve nothing")
    made.set_defaults(run=run)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port of 0 to 65535, but got {text!r}")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Write what was asked for, or serve the page until Ctrl-C."""
    if options.with_undecided and not options.apply:
        raise InputError("--with-undecided goes with --apply")
    review = Review(options.list)
    if options.dry_run:
        print(f"{review.counts()}; dry run: nothing is written or served")
        return 0
    if options.decisions:
        print(f"{review.take_decisions(options.decisions)} decisions saved in {review.path}")
    if options.static:
        _write_static(review, options.static)
    if options.apply:
        number = review.write_kept(options.apply, options.with_undecided)
        print(f"{review.counts()}\nwrote {options.apply} with {number} videos")
    if options.decisions or options.static or options.apply:
        return 0
    return _serve(review, options.port, options.open)


def _write_static(review: Review, out: Path) -> None:
    from tqdm import tqdm

    from v2a.youtube8m.review.page import static_page
    from v2a.youtube8m.review.thumbnails import Thumbnails

    def progress(entries: list[object]) -> tqdm[object]:
        return tqdm(entries, unit="video", disable=None)

    page = static_page(review, Thumbnails(review.path.parent / ".review"), out, progress)
    write_whole(out, page)
    print(f"wrote {out}, {len(page) / 1e6:.1f} MB; it plays the videos where they are now, seen from its folder")


def _serve(review: Review, port: int, in_browser: bool) -> int:
    from v2a.youtube8m.review.server import ReviewServer

    with ReviewServer(review, port) as server:
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        print(server.url, flush=True)
        print(
            f"{review.counts()}; decisions are saved in {review.path} at once; Ctrl-C ends this",
            file=sys.stderr,
            flush=True,
        )
        if in_browser and not webbrowser.open(server.url):
            print("no browser could be opened here: open the address above", file=sys.stderr)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            server.shutdown()
            print(review.counts(), file=sys.stderr)
    return 0
