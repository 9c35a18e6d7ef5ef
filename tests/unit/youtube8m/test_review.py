"""`review` without a browser: decisions and files, the server's guards, thumbnails."""

import csv
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from tests.conftest import HOSTILE_NAMES
from tests.unit.youtube8m.conftest import ROOT, rows_of
from tests.unit.youtube8m.media import make_video
from v2a.prepare.inputs import find_inputs
from v2a.youtube8m.review.entries import Review
from v2a.youtube8m.review.server import ReviewServer
from v2a.youtube8m.review.thumbnails import SMALL, Thumbnails
from v2a.youtube8m.tables import InputError, write_table


@pytest.fixture
def folder(tmp_path: Path, clips: list[bytes]) -> Path:
    """Three videos, their list with a column of its own, and titles."""
    place = tmp_path / "videos"
    place.mkdir()
    for name, clip in zip("abc", clips, strict=True):
        (place / f"{name}.mp4").write_bytes(clip)
    (place / "videos.csv").write_text(
        'path,note,start_s,end_s,label\na.mp4,"x, ""y""",,,Airplane\nb.mp4,,1,1.5,Jet\nb.mp4,,0,1,Jet\nc.mp4,,,,\n'
    )
    (place / "fetched.csv").write_text("video_id,file,bytes,title\na,a.mp4,1,Landing <b>at</b> dusk\n")
    return place


def _keeps(folder: Path) -> list[str]:
    return [row.get("keep", "-") for row in rows_of(folder / "videos.csv")]


# --- decisions -------------------------------------------------------------------------------------------------------


def test_a_decision_is_in_the_list_at_once_and_all_else_stays(folder: Path):
    before = rows_of(folder / "videos.csv")
    review = Review(folder)
    review.decide({2: "yes"})
    assert _keeps(folder) == ["", "", "yes", ""]
    review.decide({0: "no", 2: ""})
    assert _keeps(folder) == ["no", "", "", ""]
    assert [{key: row[key] for key in before[0]} for row in rows_of(folder / "videos.csv")] == before
    assert Review(folder / "videos.csv").counts() == "4 videos: 0 kept, 1 dropped, 3 undecided"


def test_rows_that_came_meanwhile_stay(folder: Path):
    review = Review(folder)
    with open(folder / "videos.csv", "a") as file:
        file.write("new.mp4,,,,\n")
    review.decide({3: "no"})
    assert _keeps(folder) == ["", "", "", "no", ""]


def test_a_row_that_went_meanwhile_is_said(folder: Path):
    review = Review(folder)
    write_table(folder / "videos.csv", ["path"], [{"path": "a.mp4"}])
    with pytest.raises(InputError, match=r"c.mp4 is no longer in videos.csv; load the page again"):
        review.decide({3: "no"})
    assert "keep" not in rows_of(folder / "videos.csv")[0]


def test_a_folder_becomes_a_list_with_the_first_decision(tmp_path: Path, clips: list[bytes]):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "-x 'y'.mp4").write_bytes(clips[0])
    (tmp_path / "z.MP4").write_bytes(clips[0])
    (tmp_path / "notes.txt").write_text("no video")
    review = Review(tmp_path)
    assert not (tmp_path / "videos.csv").exists()
    review.decide({0: "yes"})
    assert [(row["path"], row["keep"]) for row in rows_of(tmp_path / "videos.csv")] == [
        (entry.row["path"], keep) for entry, keep in zip(review.entries, ("yes", ""), strict=True)
    ]
    assert {entry.row["path"] for entry in review.entries} == {"sub/-x 'y'.mp4", "z.MP4"}


def test_the_kept_list_is_one_that_prepare_reads(folder: Path, tmp_path: Path, cli):
    Review(folder).decide({0: "no", 1: "yes", 2: "yes"})
    (tmp_path / "lists").mkdir()
    out = tmp_path / "lists" / "kept.csv"
    status, printed, _ = cli("review", folder, "--apply", out)
    assert status == 0
    assert printed == f"4 videos: 2 kept, 1 dropped, 1 undecided\nwrote {out} with 2 videos\n"
    assert out.read_text() == "path,start_s,end_s,label\n../videos/b.mp4,1,1.5,Jet\n../videos/b.mp4,0,1,Jet\n"
    assert [(video.path, video.span) for video in find_inputs(str(out)).videos] == [
        (str(folder / "b.mp4"), "1-1.5"), (str(folder / "b.mp4"), "0-1"),
    ]  # fmt: skip
    assert cli("review", folder, "--apply", out, "--with-undecided")[0] == 0
    assert len(rows_of(out)) == 3


def test_decisions_of_the_page_without_a_server(folder: Path, tmp_path: Path, cli):
    (tmp_path / "decisions.csv").write_text(
        "path,start_s,end_s,label,keep\na.mp4,,,x,yes\nb.mp4,0,1,x,no\nb.mp4,1,1.5,,\nz.mp4,,,,no\n"
    )
    status, out, _ = cli("review", folder, "--decisions", tmp_path / "decisions.csv")
    assert (status, out) == (0, f"2 decisions saved in {folder / 'videos.csv'}\n")
    assert _keeps(folder) == ["yes", "", "no", ""]
    (tmp_path / "decisions.csv").write_text("path,keep\nother.mp4,yes\n")
    assert "decides on no video" in cli("review", folder, "--decisions", tmp_path / "decisions.csv")[2]


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        ("path\n", [], "has no videos to review"),
        ("file\nx\n", [], "has no column path: expected path in its first row, but got file"),
        ("path,keep\na.mp4,maybe\n", [], "expected yes, no or nothing in the column keep, but got 'maybe'"),
        ("path\na.mp4\n", ["--apply", "kept.csv"], "is kept; decide with: python -m v2a.youtube8m review"),
        ("path,keep\na.mp4,yes\n", ["--apply", "list.csv"], "is the list itself; name another file"),
        ("path,keep\na.mp4,yes\n", ["--with-undecided"], "--with-undecided goes with --apply"),
    ],
)
def test_what_cannot_be_reviewed(text: str, arguments: list[str], sentence: str, tmp_path: Path, cli):
    (tmp_path / "list.csv").write_text(text)
    arguments = [str(tmp_path / word) if word.endswith(".csv") else word for word in arguments]
    status, _, err = cli("review", tmp_path / "list.csv", *arguments)
    assert status == 1
    assert sentence in err


def test_a_place_that_is_not_there(tmp_path: Path, cli):
    assert f"there is no file {tmp_path / 'no.csv'}" in cli("review", tmp_path / "no.csv")[2]
    assert "there is no video in" in cli("review", tmp_path)[2]


def test_a_dry_run_writes_nothing(folder: Path, tmp_path: Path, cli):
    before = sorted(folder.iterdir())
    status, out, _ = cli("review", folder, "--apply", tmp_path / "k.csv", "--static", tmp_path / "r.html", "--dry-run")
    assert (status, out) == (0, "4 videos: 0 kept, 0 dropped, 4 undecided; dry run: nothing is written or served\n")
    assert sorted(folder.iterdir()) == before
    assert not (tmp_path / "k.csv").exists()


def test_a_kill_while_decisions_are_saved_loses_none(folder: Path):
    """Each line that the process prints is a decision that it has saved."""
    names = [f"v{number}.mp4" for number in range(300)]
    write_table(folder / "videos.csv", ["path"], [{"path": name} for name in names])
    program = (
        "import sys; from pathlib import Path; from v2a.youtube8m.review.entries import Review\n"
        "review = Review(Path(sys.argv[1]))\n"
        "for number in range(300):\n"
        "    review.decide({number: 'yes'}); print(number, flush=True)\n"
    )
    for lines in (1, 7, 40):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        saved = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        rows = rows_of(folder / "videos.csv")
        assert [row["path"] for row in rows] == names
        assert all(rows[int(line)]["keep"] == "yes" for line in saved)


def test_a_full_disk_keeps_the_list_and_says_so(folder: Path, monkeypatch):
    review, before = Review(folder), (folder / "videos.csv").read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        review.decide({0: "yes"})
    assert (folder / "videos.csv").read_bytes() == before
    assert review.entries[0].row["keep"] == ""


# --- the server ------------------------------------------------------------------------------------------------------


@pytest.fixture
def server(folder: Path) -> Iterator[ReviewServer]:
    with ReviewServer(Review(folder), 0) as made:
        threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
        yield made
        made.shutdown()


def _ask(
    server: ReviewServer, path: str | None, body: object = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """Ask for a path below the secret; an absolute one as it stands."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    full = path if path is not None and path.startswith("/") else f"/{server.token}/{path}"
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    content = json.dumps(body).encode() if body is not None and not isinstance(body, bytes) else body
    connection.request("POST" if body is not None else "GET", full, body=content, headers=names)
    answer = connection.getresponse()
    result = answer.status, dict(answer.getheaders()), answer.read()
    connection.close()
    return result


_JSON = {"Content_Type": "application/json"}


def test_the_page_shows_everything_and_lets_nothing_else_run(server: ReviewServer):
    status, headers, body = _ask(server, "")
    text = body.decode()
    assert status == 200
    assert "Landing &lt;b&gt;at&lt;/b&gt; dusk" in text
    assert text.count("<article") == 4
    assert 'data-video="video/1#t=1,1.5"' in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert not re.search(r"https?://", text), "nothing is loaded from elsewhere"


def test_decisions_by_the_server(server: ReviewServer, folder: Path):
    assert _ask(server, "keep", {"0": "yes", "3": "no"}, **_JSON)[0] == 200
    assert _keeps(folder) == ["yes", "", "", "no"]
    assert 'data-keep="no"' in _ask(server, "")[2].decode()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [({"4": "yes"}, "expected a row of 0 to 3"), ({"-1": "yes"}, "expected a row"), ({"0": "maybe"}, "yes, no or nothing"),
     ([1], ""), (b"{", ""), ({"x": "yes"}, ""), (b"\xff", "")],
)  # fmt: skip
def test_decisions_that_are_none(body: object, sentence: str, server: ReviewServer, folder: Path):
    status, _, text = _ask(server, "keep", body, **_JSON)
    assert status == 400
    assert sentence in text.decode()
    assert _keeps(folder) == ["-"] * 4


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/wrong/", {}),
        ("/wrong/keep", {}),
        ("/../../etc/passwd", {}),
        ("/%2e%2e/", {}),
        ("", {"Host": "evil.example"}),
        ("", {"Host": "evil.example:80"}),
        ("", {"Host": "127.0.0.1.evil.example"}),
        ("", {"Host": ""}),
        ("", {"Origin": "http://evil.example"}),
        ("", {"Origin": "null"}),
    ],
)
@pytest.mark.parametrize("body", [None, {"0": "yes"}], ids=["GET", "POST"])
def test_strangers_get_nothing(path: str, headers: dict[str, str], body: object, server: ReviewServer, folder: Path):
    path = path or ("keep" if body else "")
    status, _, text = _ask(server, path, body, **(_JSON if body else {}), **headers)
    assert status == 403
    assert server.token not in text.decode()
    assert _keeps(folder) == ["-"] * 4


def test_a_form_of_another_site_cannot_save(server: ReviewServer, folder: Path):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert _ask(server, "keep", {"0": "yes"}, Content_Type=kind)[0] == 404
    assert _ask(server, "keep", b"x", **_JSON, Content_Length=str((1 << 20) + 1))[0] == 413
    assert _keeps(folder) == ["-"] * 4


def test_a_tunnel_with_another_port_is_fine(server: ReviewServer):
    assert _ask(server, "", Host="localhost:9999", Origin="http://localhost:9999")[0] == 200


def test_only_this_machine_is_listened_to(server: ReviewServer):
    assert server.server_address[0] == "127.0.0.1"
    assert urlsplit(server.url).path == f"/{server.token}/"
    assert len(server.token) >= 24


@pytest.mark.parametrize(
    "path", ["video/4", "video/-1", "video/0/..", "video/../videos.csv", "videos.csv", "thumb/x", "video/%30", "x"]
)
def test_only_the_listed_videos_are_served(path: str, server: ReviewServer):
    assert _ask(server, path)[0] == 404


def test_a_video_whole_and_in_parts(server: ReviewServer, clips: list[bytes]):
    status, headers, body = _ask(server, "video/0")
    assert (status, headers["Content-Type"], body) == (200, "video/mp4", clips[0])
    size = len(body)
    for asked, first, last in (
        ("100-199", 100, 199),
        ("100-", 100, size - 1),
        ("-50", size - 50, size - 1),
        ("0-999999999", 0, size - 1),
    ):
        status, headers, part = _ask(server, "video/0", Range=f"bytes={asked}")
        assert (status, headers["Content-Range"]) == (206, f"bytes {first}-{last}/{size}")
        assert part == body[first : last + 1]
    assert _ask(server, "video/0", Range=f"bytes={size}-")[0] == 416
    assert _ask(server, "video/0", Range="nonsense")[0] == 200


def test_a_list_may_name_what_is_no_video(tmp_path: Path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "page.html").write_text("<script>alert(1)</script>")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    names = ["empty.mp4", "page.html", "pipe.mp4", "folder.mp4", "gone.mp4"]
    write_table(tmp_path / "list.csv", ["path"], [{"path": name} for name in names])
    with ReviewServer(Review(tmp_path / "list.csv"), 0) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        answers = [_ask(server, f"video/{number}") for number in range(5)]
        assert [status for status, _, _ in answers] == [200, 200, 404, 404, 404]
        assert answers[1][1]["Content-Type"] == "application/octet-stream"
        pictures = [_ask(server, f"thumb/{number}") for number in range(5)]
        assert [headers["Content-Type"] for _, headers, _ in pictures] == ["image/svg+xml"] * 5
        assert b"No such file" in pictures[4][2]
        server.shutdown()


def test_a_port_that_is_taken(server: ReviewServer, folder: Path, cli):
    port = server.server_address[1]
    status, _, err = cli("review", folder, "--port", port)
    assert status == 1
    assert f"cannot listen at port {port}" in err


def test_the_command_serves_until_ctrl_c(folder: Path, start_cli):
    process = start_cli("review", folder)
    url = urlsplit(process.stdout.readline().strip())
    connection = http.client.HTTPConnection(url.netloc, timeout=10)
    connection.request("POST", f"{url.path}keep", body=b'{"1": "yes"}', headers={"Content-Type": "application/json"})
    assert connection.getresponse().status == 200
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert err.splitlines()[-1] == "4 videos: 1 kept, 0 dropped, 3 undecided"
    assert _keeps(folder) == ["", "yes", "", ""]


# --- pictures and the page without a server --------------------------------------------------------------------------


def _picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(float)


def test_a_thumbnail_shows_three_moments_of_the_span(tmp_path: Path):
    """A video that turns from red to green to blue, 2 s each."""
    import av

    with av.open(str(tmp_path / "rgb.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
        for number in range(60):
            frame = np.zeros((90, 160, 3), np.uint8)
            frame[..., number // 20] = 200
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    write_table(tmp_path / "l.csv", ["path", "start_s", "end_s"], [
        {"path": "rgb.mp4", "start_s": "", "end_s": ""}, {"path": "rgb.mp4", "start_s": "4", "end_s": "6"},
    ])  # fmt: skip
    review, thumbnails = Review(tmp_path / "l.csv"), Thumbnails(tmp_path / "cache")
    whole, span = (_picture(thumbnails.get(entry)[1]) for entry in review.entries)
    width, height = SMALL
    assert whole.shape == (2 * height, 3 * width, 3)
    assert [
        int(whole[y, x].argmax())
        for y, x in ((height, width), (height // 2, 5 * width // 2), (3 * height // 2, 5 * width // 2))
    ] == [1, 0, 2]
    assert span.mean((0, 1)).argmax() == 2
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_thumbnail_is_made_once_and_anew_for_another_file(folder: Path, tmp_path: Path):
    entry, thumbnails = Review(folder).entries[0], Thumbnails(tmp_path / "cache")
    first = thumbnails.get(entry)
    stored = next((tmp_path / "cache").iterdir())
    stored.write_bytes(b"from the cache")
    assert thumbnails.get(entry) == ("image/jpeg", b"from the cache")
    make_video(folder / "a.mp4", seconds=1.0, seed=9)
    assert thumbnails.get(entry) not in [first, ("image/jpeg", b"from the cache")]


def test_a_folder_that_cannot_be_written_to_has_thumbnails_all_the_same(folder: Path, tmp_path: Path):
    (tmp_path / "cache").write_text("a file in the way")
    assert Thumbnails(tmp_path / "cache").get(Review(folder).entries[0])[0] == "image/jpeg"


def test_real_awkward_videos_give_a_picture_or_a_reason(tmp_path: Path):
    nasty = ROOT.parent / "shared" / "media" / "nasty"
    if not nasty.is_dir():
        pytest.skip("../shared/media is not here")
    names = sorted(nasty.iterdir())
    write_table(tmp_path / "l.csv", ["path"], [{"path": str(name)} for name in names])
    thumbnails, begun = Thumbnails(tmp_path / "cache"), time.monotonic()
    kinds = [thumbnails.get(entry)[0] for entry in Review(tmp_path / "l.csv").entries]
    assert kinds.count("image/jpeg") >= 30
    assert set(kinds) <= {"image/jpeg", "image/svg+xml"}
    assert time.monotonic() - begun < 30


def test_the_page_without_a_server_holds_everything(folder: Path, cli):
    status, out, _ = cli("review", folder, "--static", folder / "review.html")
    assert status == 0
    assert out.startswith(f"wrote {folder / 'review.html'}, 0.")
    text = (folder / "review.html").read_text()
    assert text.count("data:image/jpeg;base64,") == 4
    assert 'data-video="./b.mp4#t=1,1.5"' in text
    assert not re.search(r"https?://", text)


def test_hostile_names_stay_text(tmp_path: Path, cli):
    names = [*[name for name in HOSTILE_NAMES if name], "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>',
             "{{ 7*7 }}", "javascript:alert(1)", "b\udcffytes"]  # fmt: skip
    write_table(tmp_path / "l.csv", ["path", "label"], [{"path": name, "label": name} for name in names])
    assert cli("review", tmp_path / "l.csv", "--static", tmp_path / "r.html")[0] == 0
    text = (tmp_path / "r.html").read_text()
    assert text.count("<script") == 2
    assert "<img src=x" not in text
    assert "49" not in re.findall(r"<h2>(.*?)</h2>", text)
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[0])
    assert [row[0] for row in data["rows"]] == [name.replace("\udcff", "\ufffd") for name in names]
    videos = re.findall(r'data-video="([^"]*)"', text)
    assert all(video.startswith("./") for video in videos)


def test_the_list_of_decisions_is_a_csv(folder: Path):
    Review(folder).decide({0: "yes"})
    with open(folder / "videos.csv", newline="") as file:
        first = next(csv.reader(file))
    assert first == ["path", "note", "start_s", "end_s", "label", "keep"]
