"""`fetch`: yt-dlp's own downloader against a real server that stumbles."""

import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.youtube8m.conftest import rows_of
from tests.unit.youtube8m.media import make_video
from tests.unit.youtube8m.servers import Reply, Server
from v2a.prepare.inputs import find_inputs
from v2a.youtube8m.download import _failure
from v2a.youtube8m.whole import check_whole

MP4 = {"Content-Type": "video/mp4"}


@pytest.fixture
def server(serve: Callable[[Callable[[str], Reply]], Server], clips: list[bytes]) -> Server:
    return serve(lambda path: Reply(body=clips[sum(map(ord, path)) % 3], headers=MP4))


def _list(path: Path, *names: str) -> Path:
    rows = [f"r{n},{name},Airplane;Runway,train,,\n" for n, name in enumerate(names)]
    path.write_text("id,video_id,labels,split,start_s,end_s\n" + "".join(rows))
    return path


def _arguments(server: Server, tmp_path: Path, *names: str) -> list[object]:
    listed = _list(tmp_path / "resolved.csv", *names)
    template = f"{server.url}/{{id}}.mp4"
    return ["fetch", listed, "--out", tmp_path / "videos", "--url-template", template, "--rate", "1000/s"]


def _failures(folder: Path) -> dict[str, tuple[str, str]]:
    lines = (folder / "failures.jsonl").read_text().splitlines()
    return {entry["id"]: (entry["kind"], entry["reason"]) for entry in map(json.loads, lines)}


def test_videos_and_their_list_as_prepare_reads_it(server: Server, clips: list[bytes], tmp_path: Path, cli):
    names = ["-dashfirst_", "plain_00000"]
    status, out, err = cli(*_arguments(server, tmp_path, *names))
    folder = tmp_path / "videos"
    assert (status, err) == (0, "")
    assert out == f"2 videos: 2 are there (2 new), 0 failed\nwrote {folder / 'videos.csv'}\n"
    for name in names:
        assert (folder / f"{name}.mp4").read_bytes() == clips[sum(map(ord, f"/{name}.mp4")) % 3]
    assert (folder / "videos.csv").read_text().splitlines()[0] == "path,start_s,end_s,label"
    found = find_inputs(str(folder / "videos.csv"))
    assert [(video.path, video.label) for video in found.videos] == [
        (str(folder / f"{name}.mp4"), "Airplane") for name in names
    ]
    assert found.refused == []
    assert list((folder / ".partial").iterdir()) == []
    assert [row["video_id"] for row in rows_of(folder / "fetched.csv")] == names


def test_spans_of_one_video_are_rows_of_one_file(server: Server, tmp_path: Path, cli):
    arguments = _arguments(server, tmp_path)
    (tmp_path / "resolved.csv").write_text(
        "id,video_id,labels,split,start_s,end_s\nab,clip,Jet;Sky,,10,15\nab,clip,Jet;Sky,,40,45\n"
    )
    assert cli(*arguments)[0] == 0
    rows = rows_of(tmp_path / "videos" / "videos.csv")
    assert rows == [
        {"path": "clip.mp4", "start_s": "10", "end_s": "15", "label": "Jet"},
        {"path": "clip.mp4", "start_s": "40", "end_s": "45", "label": "Jet"},
    ]
    assert server.times("/clip.mp4") <= 3  # yt-dlp looks at it before it downloads


def test_the_same_command_again_asks_for_nothing(server: Server, tmp_path: Path, cli):
    arguments = _arguments(server, tmp_path, "aaaa", "bbbb")
    assert cli(*arguments)[0] == 0
    before, listed = len(server.asked), (tmp_path / "videos" / "videos.csv").read_bytes()
    status, out, _ = cli(*arguments)
    assert status == 0
    assert "2 are there (0 new)" in out
    assert len(server.asked) == before
    assert (tmp_path / "videos" / "videos.csv").read_bytes() == listed


def test_decisions_of_the_review_survive_another_fetch(server: Server, tmp_path: Path, cli):
    assert cli(*_arguments(server, tmp_path, "aaaa", "bbbb"))[0] == 0
    listed = tmp_path / "videos" / "videos.csv"
    listed.write_text(
        "path,start_s,end_s,label,keep\naaaa.mp4,,,Airplane,no\nbbbb.mp4,,,Airplane,yes\nmine.mp4,,,x,no\n"
    )
    assert cli(*_arguments(server, tmp_path, "cccc", "aaaa", "bbbb"))[0] == 0
    assert [(row["path"], row["keep"]) for row in rows_of(listed)] == [
        ("cccc.mp4", ""), ("aaaa.mp4", "no"), ("bbbb.mp4", "yes"), ("mine.mp4", "no"),
    ]  # fmt: skip


def test_a_connection_that_drops_is_gone_on_with(server: Server, clips: list[bytes], tmp_path: Path, cli):
    body = clips[0]
    whole = Reply(body=body, headers=MP4)
    server.script("/drop.mp4", whole, Reply(body=body, headers=MP4, drop_after=len(body) // 3), whole)
    status, _, _ = cli(*_arguments(server, tmp_path, "drop"))
    assert status == 0
    assert (tmp_path / "videos" / "drop.mp4").read_bytes() == body
    assert f"bytes={len(body) // 3}-" in server.ranges, "the first third is not downloaded again"


def test_a_server_that_fails_at_first(server: Server, clips: list[bytes], tmp_path: Path, cli):
    server.script("/late.mp4", Reply(503), Reply(body=clips[1], headers=MP4))
    assert cli(*_arguments(server, tmp_path, "late"))[0] == 1
    assert _failures(tmp_path / "videos")["late"][0] == "network"
    assert cli(*_arguments(server, tmp_path, "late"))[0] == 0, "a failure of the network is tried again"
    assert (tmp_path / "videos" / "late.mp4").read_bytes() == clips[1]
    assert _failures(tmp_path / "videos") == {}


def test_what_is_gone_is_listed_and_left_alone(server: Server, tmp_path: Path, cli):
    server.script("/gone.mp4", Reply(404))
    arguments = _arguments(server, tmp_path, "gone", "here")
    status, out, err = cli(*arguments)
    assert (status, err) == (0, "")
    assert "1 failed (1 not-found;" in out
    assert _failures(tmp_path / "videos") == {"gone": ("not-found", _failures(tmp_path / "videos")["gone"][1])}
    assert "404" in _failures(tmp_path / "videos")["gone"][1]
    asked = server.times("/gone.mp4")
    assert cli(*arguments)[0] == 0
    assert server.times("/gone.mp4") == asked
    assert cli(*arguments, "--retry-failed")[0] == 0
    assert server.times("/gone.mp4") > asked


@pytest.mark.parametrize(
    "body", [b"", b"<html><title>Sign in</title></html>", bytes(5000)], ids=["empty", "html", "zeros"]
)
def test_what_is_no_video_gets_no_final_name(body: bytes, server: Server, tmp_path: Path, cli):
    server.script("/odd.mp4", Reply(body=body, headers=MP4))
    assert cli(*_arguments(server, tmp_path, "odd"))[0] == 1
    assert not list((tmp_path / "videos").glob("odd*"))
    assert _failures(tmp_path / "videos")["odd"][1]


def test_a_video_that_was_cut_unnoticed_is_found_out(server: Server, clips: list[bytes], tmp_path: Path, cli):
    """A proxy that cuts a file and gives the cut length: no downloader sees it."""
    longer = tmp_path / "longer.mp4"
    make_video(longer, seconds=6.0, size=(160, 96))
    content = longer.read_bytes()
    longer.unlink()
    server.script("/cut.mp4", Reply(body=content[: len(content) // 2], headers=MP4))
    assert cli(*_arguments(server, tmp_path, "cut"))[0] == 1
    kind, reason = _failures(tmp_path / "videos")["cut"]
    assert kind == "damaged"
    assert "should last 6.0 s" in reason
    assert not list((tmp_path / "videos").glob("cut*"))
    server.script("/cut.mp4", Reply(body=content, headers=MP4))
    assert cli(*_arguments(server, tmp_path, "cut"))[0] == 0, "nothing of the cut one is left to stumble over"
    assert (tmp_path / "videos" / "cut.mp4").read_bytes() == content


def test_a_limit_counts_what_is_there(server: Server, tmp_path: Path, cli):
    server.script("/a0.mp4", Reply(404))
    arguments = [*_arguments(server, tmp_path, "a0", "a1", "a2", "a3"), "--limit", "2"]
    assert cli(*arguments)[0] == 0
    assert sorted(path.stem for path in (tmp_path / "videos").glob("*.mp4")) == ["a1", "a2"]
    assert "(0 new)" in cli(*arguments)[1]
    assert server.times("/a3.mp4") == 0


def test_the_rate_and_the_number_at_once_are_kept(server: Server, tmp_path: Path, cli):
    names = [f"n{number}" for number in range(5)]
    arguments = _arguments(server, tmp_path, *names)
    begun = time.monotonic()
    assert cli(*arguments[:-1], "4/s", "--parallel", "3")[0] == 0
    first = [min(when for when, path in server.asked if path == f"/{name}.mp4") for name in names]
    assert max(first) - begun >= 4 * 0.25
    assert server.most_at_once <= 3


def test_a_kill_in_the_middle_harms_nothing(server: Server, clips: list[bytes], tmp_path: Path, start_cli, cli):
    body, slow = clips[2], Reply(body=clips[2], headers=MP4, drip_s=0.0002)
    server.script("/slow.mp4", Reply(body=body, headers=MP4), slow)
    arguments = _arguments(server, tmp_path, "aaaa", "slow", "bbbb")
    process = start_cli(*arguments)
    partial = tmp_path / "videos" / ".partial" / "slow" / "video.mp4.part"
    _until(lambda: partial.exists() and partial.stat().st_size > 2000)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert [path.name for path in (tmp_path / "videos").glob("*.mp4")] == ["aaaa.mp4"]
    server.script("/slow.mp4", Reply(body=body, headers=MP4))
    assert cli(*arguments)[0] == 0
    assert (tmp_path / "videos" / "slow.mp4").read_bytes() == body
    assert any(int(asked[6:].split("-")[0]) > 0 for asked in server.ranges), "it went on where it was"
    assert len(rows_of(tmp_path / "videos" / "videos.csv")) == 3


def test_ctrl_c_ends_a_download_that_hangs(server: Server, clips: list[bytes], tmp_path: Path, start_cli):
    server.script("/slow.mp4", Reply(body=clips[0], headers=MP4), Reply(body=clips[0], headers=MP4, drip_s=0.5))
    process = start_cli(*_arguments(server, tmp_path, "aaaa", "slow"))
    _until(lambda: server.times("/slow.mp4") > 1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=15)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "stopped; what is done is kept, and the same command goes on from there"
    assert "Traceback" not in err
    assert [row["path"] for row in rows_of(tmp_path / "videos" / "videos.csv")] == ["aaaa.mp4"]


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def test_two_at_once_in_one_folder_are_refused(server: Server, tmp_path: Path, cli):
    from v2a.youtube8m.fetch import FETCHED_COLUMNS
    from v2a.youtube8m.ledger import Ledger

    with Ledger(tmp_path / "videos" / "fetched.csv", FETCHED_COLUMNS):
        status, _, err = cli(*_arguments(server, tmp_path, "aaaa"))
    assert status == 1
    assert "another run is writing" in err
    assert server.asked == []


@pytest.mark.parametrize("name", ["%HOME%", "$HOME ${HOME} $$"])
def test_a_folder_name_that_yt_dlp_would_expand(name: str, server: Server, tmp_path: Path, cli):
    folder = tmp_path / f"100%(id)s {name} ~ 'x'"
    arguments = _arguments(server, tmp_path, "aaaa")
    arguments[3] = folder
    assert cli(*arguments)[0] == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        ".partial", ".videos.csv.lock", "aaaa.mp4", "fetched.csv", "videos.csv",
    ]  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"resolved.csv", folder.name}


def test_a_full_disk_stops_the_run_with_a_sentence(server: Server, tmp_path: Path, cli, monkeypatch):
    from v2a.youtube8m import fetch

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "videos/.partial")

    monkeypatch.setattr(fetch, "download", full)
    status, _, err = cli(*_arguments(server, tmp_path, "aaaa", "bbbb"))
    assert status == 1
    assert err == "error: No space left on device: videos/.partial; what is written so far is kept\n"


def test_a_dead_network_stops_the_run(serve, tmp_path: Path, cli, monkeypatch):
    monkeypatch.setattr("v2a.youtube8m.fetch._IN_A_ROW", 3)
    server = serve(lambda path: Reply(503))
    status, _, err = cli(*_arguments(server, tmp_path, *(f"n{number}" for number in range(9))))
    assert status == 1
    assert "3 downloads in a row failed" in err
    assert server.times("/n5.mp4") == 0
    assert set(_failures(tmp_path / "videos")) == {"n0", "n1", "n2"}


def test_a_dry_run_writes_nothing(server: Server, tmp_path: Path, cli):
    status, out, _ = cli(*_arguments(server, tmp_path, "aaaa", "bbbb"), "--dry-run")
    assert status == 0
    assert "2 would be downloaded" in out
    assert f"the first from {server.url}/aaaa.mp4" in out
    assert server.asked == []
    assert not (tmp_path / "videos").exists()


def test_without_yt_dlp_the_command_is_named(server: Server, tmp_path: Path, cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    status, _, err = cli(*_arguments(server, tmp_path, "aaaa"))
    assert status == 1
    assert 'pip install "v2a-hpc[youtube8m]"' in err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,labels\nab,x\n", "has no column video_id: expected video_id in its first row, but got id, labels"),
        ("video_id\n../../etc/passwd\n", "expected video ids of letters and digits, but got '../../etc/passwd'"),
        ("video_id\n", "has no videos"),
    ],
)
def test_other_lists_are_refused(text: str, expected: str, tmp_path: Path, cli):
    (tmp_path / "list.csv").write_text(text)
    status, _, err = cli("fetch", tmp_path / "list.csv", "--out", tmp_path / "videos")
    assert status == 1
    assert expected in err


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ERROR: [youtube] x: Private video. Sign in if you've been granted access to this video", "private"),
        ("[youtube] x: Sign in to confirm you\u2019re not a bot. Use --cookies-from-browser or --cookies", "sign-in"),
        ("[youtube] x: Sign in to confirm your age. This video may be inappropriate for some users.", "age-restricted"),
        ("[youtube] x: The uploader has not made this video available in your country", "geo-blocked"),
        ("[youtube] x: Video unavailable. This video has been removed by the uploader", "removed"),
        ("[youtube] x: Video unavailable. This video is no longer available because the YouTube account associated "
         "with this video has been terminated.", "removed"),
        ("[youtube] x: Video unavailable. This video contains content from Y, who has blocked it on copyright grounds",
         "copyright"),
        ("[youtube] x: Join this channel to get access to members-only content", "members"),
        ("[generic] Unable to download webpage: HTTP Error 404: Not Found (caused by <HTTPError 404: Not Found>)", "not-found"),
        ("[generic] Unable to download webpage: HTTP Error 429: Too Many Requests", "rate-limited"),
        ("unable to download video data: HTTP Error 403: Forbidden", "refused"),
        ("[youtube] x: Video unavailable. This content isn\u2019t available, try again later.", "sign-in"),
        ("unable to download video data: [Errno 28] No space left on device", "disk"),
        ("[download] Got error: 512 bytes read, 4096 more expected. Giving up after 4 retries", "network"),
        ("[youtube] x: Requested format is not available. Use --list-formats for a list", "no-format"),
        ("something new", "other"),
    ],
)  # fmt: skip
def test_reasons_are_sorted_into_kinds(text: str, kind: str):
    outcome = _failure(text)
    assert outcome.kind == kind
    assert "caused by" not in outcome.reason
    assert not outcome.reason.startswith("ERROR")


def test_a_whole_video_is_whole_and_sound_alone_is_none(clips: list[bytes], tmp_path: Path):
    path = tmp_path / "x.mp4"
    path.write_bytes(clips[0])
    assert check_whole(path) == ""
    assert "cannot be read" in check_whole(tmp_path / "missing.mp4")
    path.write_bytes(b"text")
    assert "cannot be read" in check_whole(path)
