"""A corpus on disk: whole files only, resumed, shared, killed, and on a full disk."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT
from tests.unit.synthetic.films import TINY, decode
from v2a.synthetic.__main__ import main, parser
from v2a.synthetic.config import Config
from v2a.synthetic.corpus import ensure_clip
from v2a.synthetic.store import clip_name, file_hash, is_whole, scratch


def _start(kind: str, out: object, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "v2a.synthetic", kind, f"out={out}", *TINY, *more]
    return subprocess.Popen(
        command, cwd=CHECKOUT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def _whole(folder: Path) -> int:
    """Clips; every file in the folder belongs to a whole one, but for a video whose truth was not written yet."""
    config = Config(out="unused", seconds=1.0, width=128, height=72, fps=10, sample_rate=16000)
    names = {path.stem for path in folder.glob("*.json")}
    for name in names:
        kind, seed, _ = name.split("-")
        assert is_whole(folder, name, Config(**{**config.__dict__, "seed": int(seed)}).identity(kind))
    return len(names)


@pytest.fixture(name="made", scope="module")
def made_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of each kind, by the command line."""
    folder = tmp_path_factory.mktemp("made") / "my clips (2)" / "it's"
    for kind in ("flyby", "impacts"):
        assert main([kind, f"out={folder}", *TINY, "n=4", "seed=2"]) == 0
    return folder


def test_a_corpus_is_videos_with_their_truth_beside_them(made: Path):
    expected = {
        f"{kind}-2-{index:06d}{end}" for kind in ("flyby", "impacts") for index in range(4) for end in (".mp4", ".json")
    }
    assert set(_contents(made)) == expected
    truth = json.loads((made / "impacts-2-000003.json").read_bytes())
    assert (truth["format_version"], truth["kind"], truth["seed"], truth["index"]) == (1, "impacts", 2, 3)
    assert truth["geometry"] == {"width": 128, "height": 72, "fps": 10, "segment_s": 1.0, "sample_rate": 16000}
    assert truth["video"]["xxh3_128"] == file_hash(made / truth["video"]["file"])
    assert all(len(body["box_px"]) == 10 for body in truth["bodies"])
    frames, sound = decode(made / "flyby-2-000000.mp4")
    assert frames.shape == (10, 72, 128, 3)
    assert 16000 <= len(sound) < 16000 + 1024


def test_the_same_command_again_makes_nothing(made: Path, capsys: pytest.CaptureFixture[str]):
    before = {path: path.stat().st_mtime_ns for path in made.iterdir()}
    assert main(["flyby", f"out={made}", *TINY, "n=4", "seed=2"]) == 0
    assert "0 clips made (0 MB), 4 were there" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in made.iterdir()} == before


def test_few_clips_are_the_first_of_many_and_other_seeds_share_none(made: Path, tmp_path: Path):
    assert main(["flyby", f"out={tmp_path}", *TINY, "n=2", "seed=2"]) == 0
    few = _contents(tmp_path)
    assert len(few) == 4
    assert all((made / name).read_bytes() == content for name, content in few.items())
    assert main(["flyby", f"out={tmp_path}", *TINY, "n=2", "seed=3"]) == 0
    videos = [content for name, content in _contents(tmp_path).items() if name.endswith(".mp4")]
    assert len(set(videos)) == 4


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "truth cut"])
def test_a_damaged_clip_is_made_again(made: Path, tmp_path: Path, damage: str):
    video, truth = tmp_path / "impacts-2-000000.mp4", tmp_path / "impacts-2-000000.json"
    for path in (video, truth):
        path.write_bytes((made / path.name).read_bytes())
    good = video.read_bytes()
    if damage == "cut":
        video.write_bytes(good[: len(good) // 2])
    elif damage == "changed":
        video.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    elif damage == "gone":
        video.unlink()
    else:
        truth.write_bytes(truth.read_bytes()[:100])
    config = Config(out="unused", seed=2, seconds=1.0, width=128, height=72, fps=10, sample_rate=16000)
    with scratch(tmp_path) as space:
        assert ensure_clip("impacts", config, 0, tmp_path, space) > 0
    assert _contents(tmp_path) == {path.name: (made / path.name).read_bytes() for path in (video, truth)}


def test_clips_of_other_settings_are_not_overwritten(made: Path, capsys: pytest.CaptureFixture[str]):
    before = _contents(made)
    assert main(["flyby", f"out={made}", *TINY, "n=4", "seed=2", "crf=30"]) == 1
    said = capsys.readouterr().err
    assert "has another crf: 23 instead of 30; choose another out=DIR" in said
    assert "Traceback" not in said
    assert _contents(made) == before


@pytest.mark.parametrize(
    "name", ["-x", "--help", "with space", "new\nline", "$(touch made)", 'say "hi"', "%d-%n", "a=b:c", "Zürich"]
)
def test_hostile_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.chdir(tmp_path)
    config = Config(out=name, n=1, seconds=0.5, width=64, height=36, fps=4, sample_rate=16000)
    folder = Path(name).absolute()
    folder.mkdir()
    with scratch(folder) as space:
        assert ensure_clip("flyby", config, 0, folder, space) > 0
        assert ensure_clip("flyby", config, 0, folder, space) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["flyby-0-000000.json", "flyby-0-000000.mp4"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_killed_with_nine_it_leaves_whole_clips_and_goes_on(tmp_path: Path):
    process = _start("flyby", tmp_path, "n=400")
    try:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("*.json"))) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    try:
        deadline = time.monotonic() + 20
        while _in_session(process.pid):
            assert time.monotonic() < deadline, "workers outlive their parent"
            time.sleep(0.05)
    finally:
        for left in _in_session(process.pid):  # nothing when the test passes
            os.kill(left, signal.SIGKILL)
        process.communicate()
    there = _whole(tmp_path)
    assert there >= 3
    assert list(tmp_path.glob(".unfinished-*")) != []
    assert main(["flyby", f"out={tmp_path}", *TINY, f"n={there + 2}"]) == 0
    assert _whole(tmp_path) == there + 2
    assert list(tmp_path.glob(".unfinished-*")) == []


def _in_session(leader: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(session) == leader and state != "Z":
                found.append(int(entry.name))
    return found


def test_ctrl_c_stops_with_a_sentence_and_leaves_no_scratch(tmp_path: Path):
    process = _start("impacts", tmp_path, "n=400")
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "synthetic: stopped; what is there is whole. Repeat the command to go on"
    assert "Traceback" not in said
    assert _whole(tmp_path) >= 1
    assert list(tmp_path.glob(".unfinished-*")) == []


def test_two_at_once_make_one_corpus(tmp_path: Path, made: Path):
    both = [_start("flyby", tmp_path, "n=4", "seed=2") for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    assert _contents(tmp_path) == {
        name: content for name, content in _contents(made).items() if name.startswith("flyby")
    }


def test_scratch_of_a_living_run_is_left_alone(tmp_path: Path):
    with scratch(tmp_path) as one:
        (one / "work").write_text("half")
        with scratch(tmp_path):
            assert (one / "work").read_text() == "half"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_stops_with_a_sentence_and_leaves_whole_clips(tmp_path: Path):
    disk, script = tmp_path / "disk", tmp_path / "run.sh"
    disk.mkdir()
    command = f"{sys.executable} -m v2a.synthetic impacts out={disk}/clips n=60 {' '.join(TINY)}"
    script.write_text(
        f"mount -t tmpfs -o size=250k tmpfs {disk} || exit 77\n{command}; status=$?\n"
        f"cp -r {disk}/clips {tmp_path}/copy\nexit $status\n"
    )
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]
    done = subprocess.run([*own, "bash", str(script)], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode == 77:
        pytest.skip("no mount here")
    assert done.returncode == 1, done.stderr
    assert "is full. What is there is whole; free some space" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    copy = tmp_path / "copy"
    assert 1 <= _whole(copy) < 60
    assert list(copy.glob(".unfinished-*")) == []


def test_a_file_in_the_way_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "file").write_text("")
    assert main(["flyby", f"out={tmp_path}/file", *TINY, "n=1"]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_without_ffmpeg_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["flyby", f"out={tmp_path}/out", *TINY, "n=1"]) == 1
    assert "there is no program ffmpeg; install it" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["flyby", "--dry-run", f"out={tmp_path}/new", "n=200"]) == 0
    said = capsys.readouterr().out
    assert (
        "would write 200 clips of 640x360, 25 frames/s, 10 s, 48000 Hz, flyby-0-000000.mp4 to flyby-0-000199.mp4"
        in said
    )
    assert list(tmp_path.iterdir()) == []
    assert main(["flyby", f"out={made}", *TINY, "n=10", "seed=2", "--dry-run"]) == 0
    assert "would write 6 clips" in capsys.readouterr().out


def test_bad_settings_and_kinds_are_said(capsys: pytest.CaptureFixture[str]):
    assert main(["flyby", "out=x", "n=0"]) == 1
    assert capsys.readouterr().err == "synthetic: expected n from 1 to 1000000, but got n=0\n"
    with pytest.raises(SystemExit) as ended:
        main(["helicopter", "out=x"])
    assert ended.value.code == 2
    assert "flyby" in parser().format_help()
    assert "examples:" in parser().format_help()


def test_names_sort_by_number():
    assert sorted(clip_name("flyby", 1, index) for index in (10, 9, 100000)) == [
        "flyby-1-000009", "flyby-1-000010", "flyby-1-100000",
    ]  # fmt: skip
