"""Any number of processes in one folder: each video is one's alone, and what a dead or lost one left is taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.house.source import CHECKOUT
from tests.media.videos import write_video
from tests.unit.infer.running import lines, made, nothing_is_left, report, run
from v2a.infer.claims import Claim, Claims, Overtaken
from v2a.infer.names import key_of
from v2a.infer.records import Done, Failed, Output, Records

LEASE_S = 0.6


def _claims(folder: Path, recipe: str = "r") -> Claims:
    return Claims(folder, LEASE_S, recipe)


def _of_a_dead_machine(folder: Path, key: str, recipe: str = "r") -> Path:
    """A claim of a process of another machine, which is not renewed."""
    place = {"host": "gone", "machine": "other", "pid": 1, "begun": "1"}
    path = folder / f"{key}.000001"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"place": place, "token": "t", "recipe": recipe}))
    return path


def test_only_one_gets_a_claim_and_the_next_when_it_is_given_back(tmp_path: Path):
    first = _claims(tmp_path).take("k")
    assert first is not None
    assert _claims(tmp_path).take("k") is None
    assert _claims(tmp_path).held() == {"k"}
    first.give_back()
    assert os.listdir(tmp_path) == []
    again = _claims(tmp_path).take("k")
    assert again is not None
    assert not again.taken_over
    again.give_back()


def test_many_threads_at_once_get_each_key_once(tmp_path: Path):
    taken: list[str] = []

    def take_all() -> None:
        claims = _claims(tmp_path)
        taken.extend(key for key in map(str, range(40)) if claims.take(key) is not None)

    threads = [threading.Thread(target=take_all) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken, key=int) == [str(number) for number in range(40)]


def test_a_claim_is_renewed_as_long_as_its_process_works(tmp_path: Path):
    mine, other = _claims(tmp_path).take("k"), _claims(tmp_path)
    assert mine is not None
    deadline = time.monotonic() + 4 * LEASE_S
    while time.monotonic() < deadline:
        assert other.take("k") is None
        time.sleep(0.05)
    assert other.is_alive("k")
    mine.check()
    mine.give_back()


def test_a_claim_that_is_not_renewed_is_taken_over_after_the_lease_by_one(tmp_path: Path):
    _of_a_dead_machine(tmp_path, "k")
    one, other = _claims(tmp_path), _claims(tmp_path)
    assert one.take("k") is None
    assert other.take("k") is None
    assert not one.is_alive("k")
    time.sleep(LEASE_S + 0.1)
    taken = one.take("k")
    assert taken is not None
    assert taken.taken_over
    assert other.take("k") is None
    taken.give_back()
    assert os.listdir(tmp_path) == []


def test_one_that_was_cut_off_learns_that_it_was_overtaken(tmp_path: Path):
    lost = _claims(tmp_path).take("k")
    assert lost is not None
    lost._ended.set()  # its machine is cut off: nothing is renewed
    lost._thread.join()
    other = _claims(tmp_path)
    # The same machine, so its process is seen to live; as from another one, only time tells.
    assert other.take("k") is None
    time.sleep(LEASE_S + 0.1)
    taken = other.take("k")
    assert taken is not None
    with pytest.raises(Overtaken):
        lost.check()
    lost.give_back()
    taken.check()
    taken.give_back()
    with pytest.raises(Overtaken):
        lost.check()


def test_the_claim_of_a_process_that_died_here_is_free_at_once(tmp_path: Path):
    program = (
        "import os, sys; from pathlib import Path; from v2a.infer.claims import Claims\n"
        "assert Claims(Path(sys.argv[1]), 1000.0, 'r').take('k'); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=CHECKOUT, check=False)
    assert done.returncode == -signal.SIGKILL
    taken = Claims(tmp_path, 1000.0, "r").take("k")
    assert isinstance(taken, Claim)
    taken.give_back()


def test_a_half_written_claim_holds_for_the_lease(tmp_path: Path):
    (tmp_path / "k.000001").write_text('{"pla')
    claims = _claims(tmp_path)
    assert claims.take("k") is None
    time.sleep(LEASE_S + 0.1)
    assert claims.take("k") is not None


def _done(name: str) -> Done:
    output = {"video": Output(f"{name}.mp4", 1, 1), "sound": Output(f"{name}.wav", 1, 1)}
    return Done(f"/v/{name}", 1, 1, "c", "r", "m", "e", 0, output, 1.0, 0.5, "h")


def test_reports_of_many_that_end_at_once_hold_everything(tmp_path: Path):
    """Each merges when it has ended, and all do at once: the last report is of all."""
    records = Records(tmp_path)
    records.make_folders()

    def work(part: int) -> None:
        for number in range(part, 60, 6):
            key = key_of(str(number))
            if number % 10 == 0:
                records.fail(key, Failed(f"/v/{number}", "empty", "is empty"))
            else:
                records.intend(key, _done(str(number)))
                records.settle(key)
        Records(tmp_path).merge()

    threads = [threading.Thread(target=work, args=(part,)) for part in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(tmp_path / "report.jsonl")) == 54
    assert len(lines(tmp_path / "failures.jsonl")) == 6
    summary = json.loads((tmp_path / "report.json").read_text())
    assert (summary["videos"], summary["failures"], summary["seconds"], summary["real_time"]) == (54, 6, 54.0, 2.0)


def test_a_damaged_record_counts_for_nothing(tmp_path: Path):
    records = Records(tmp_path)
    records.make_folders()
    for text in ("", "{", "[]", "null", '{"input": 1}'):
        (tmp_path / ".infer/done/k.json").write_text(text)
        assert records.done("k") is None
        assert records.merge() == ([], [])


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture(name="videos")
def videos_fixture(tmp_path: Path) -> Path:
    for number in range(4):
        write_video(tmp_path / f"videos/{number}.mp4", 8.0, seed=number % 2, mark=number + 1)
    return tmp_path / "videos"


def _start(model: Path, videos: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "v2a.infer", videos, "--model", model, "--out", out, "--workers", "0", *more]
    return subprocess.Popen(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL)


def _ended_by(number: int, pattern: str, model: Path, videos: Path, out: Path) -> int:
    """Exit status of a process that got this signal as soon as such a file was there."""
    program = [sys.executable, "-m", "tests.unit.infer.dying", str(int(number)), out / ".infer", pattern]
    command = [*program, videos, "--model", model, "--out", out, "--workers", "0"]
    return subprocess.run(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL, timeout=120, check=False).returncode


def _check(out: Path, count: int = 4) -> None:
    assert made(out) == {f"{number}{suffix}" for number in range(count) for suffix in (".mp4", ".wav")}
    assert len(report(out)) == count
    assert nothing_is_left(out)


def test_killed_at_any_moment_the_same_command_goes_on(model: Path, videos: Path, tmp_path: Path):
    out = tmp_path / "out"
    for pattern in ("work/*/sound.wav", "work/*/video.mp4", "placing/*.json"):
        assert _ended_by(signal.SIGKILL, pattern, model, videos, out) == -signal.SIGKILL
        assert len([name for name in made(out) if name.endswith(".mp4")]) < 4
    assert run(videos, "--model", model, "--out", out) == 0
    _check(out)


def test_interrupted_it_gives_back_what_it_has_and_goes_on(model: Path, videos: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert _ended_by(signal.SIGINT, "work/*/sound.wav", model, videos, out) == 130
    assert nothing_is_left(out)
    assert len(report(out)) < 4
    assert run(videos, "--model", model, "--out", out) == 0
    _check(out)


def test_two_at_once_share_the_work_and_nothing_is_made_twice(model: Path, videos: Path, tmp_path: Path):
    out = tmp_path / "out"
    both = [_start(model, videos, out) for _ in range(2)]
    seen: dict[str, set[int]] = {}
    while any(process.poll() is None for process in both):
        for path in out.glob(".infer/done/*.json"):
            seen.setdefault(path.name, set()).add(path.stat().st_mtime_ns)
        time.sleep(0.01)
    assert [process.returncode for process in both] == [0, 0]
    assert len(seen) == 4
    assert all(len(times) == 1 for times in seen.values())
    _check(out)


def test_another_seed_is_not_made_in_the_same_folder_at_the_same_time(
    model: Path, videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "out"
    path = _of_a_dead_machine(out / ".infer/claims", key_of("3"), recipe="another")
    assert run(videos, "--model", model, "--out", out) == 1
    assert "another infer with another model, seed or settings is at work" in capsys.readouterr().err
    os.utime(path, (0, 0))  # long ago
    assert run(videos, "--model", model, "--out", out, "--set", "lease_s=1") == 0
    _check(out)


def test_a_video_that_crashes_its_process_twice_is_given_up(model: Path, videos: Path, tmp_path: Path):
    out = tmp_path / "out"
    program = (
        "import faulthandler, sys; import v2a.infer.video as video; from v2a.infer.__main__ import main\n"
        "real = video.make_sound\n"
        "def crash(making, item, *rest):\n"
        "    if item.stem == '2': faulthandler._sigsegv()\n"
        "    return real(making, item, *rest)\n"
        "video.make_sound = crash\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, str(videos), "--model", str(model), "--out", str(out), "--workers", "0"]
    codes = [subprocess.run(command, cwd=CHECKOUT, stderr=subprocess.DEVNULL, check=False).returncode for _ in range(2)]
    assert codes == [-signal.SIGSEGV, -signal.SIGSEGV]
    assert run(videos, "--model", model, "--out", out) == 0
    (failure,) = lines(out / "failures.jsonl")
    assert failure["kind"] == "crash"
    assert "crashed the process that read it 2 times: Segmentation fault" in failure["reason"]
    assert {Path(name).stem for name in made(out)} == {"0", "1", "3"}
    assert run(videos, "--model", model, "--out", out, "--retry-failures") == 0
    _check(out)
