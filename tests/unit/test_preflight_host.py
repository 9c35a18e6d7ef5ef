"""Python, torch, Horovod, shared memory and ffmpeg."""

import re
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpc.preflight import host
from hpc.preflight.ffmpeg import DECODERS, FfmpegFacts, gather_ffmpeg, judge_ffmpeg
from hpc.preflight.gpu_facts import TorchFacts
from hpc.preflight.host import PYTHON_RANGE, TORCH_RANGE, check_horovod, judge_python, judge_shm, judge_torch
from hpc.preflight.limits import Answer, ask

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_tested_ranges_are_those_of_the_package():
    text = PYPROJECT.read_text()
    python = re.search(r'requires-python = ">=(\d+)\.(\d+),<(\d+)\.(\d+)"', text)
    torch = re.search(r'"torch>=(\d+)\.(\d+),<(\d+)\.(\d+)"', text)
    for found, ours in ((python, PYTHON_RANGE), (torch, TORCH_RANGE)):
        low_major, low_minor, high_major, high_minor = (int(part) for part in found.groups())
        assert ours == ((low_major, low_minor), (high_major, high_minor))


@pytest.mark.parametrize(("version", "level"), [((3, 9), "fail"), ((3, 10), "ok"), ((3, 13), "ok"), ((3, 14), "warn")])
def test_python_is_judged_by_the_range(version, level):
    assert judge_python(version, f"{version[0]}.{version[1]}.1").level == level


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ("2.5.1", "warn"),
        ("2.6.0", "ok"),
        ("2.10.0+cu128", "ok"),
        ("2.13.1a0+git", "ok"),
        ("2.14.0", "warn"),
        ("?", "warn"),
    ],
)
def test_torch_is_judged_by_the_range(version, level):
    found = judge_torch(TorchFacts(version))
    assert found.level == level
    assert version in found.sentence


def test_torch_that_cannot_be_imported_fails_with_the_reason():
    found = judge_torch(TorchFacts(torch_error="OSError: libcudart.so.12: cannot open shared object file"))
    assert found.level == "fail"
    assert "libcudart.so.12" in found.sentence


@pytest.mark.parametrize(("fits", "size", "level"), [(True, 4, "ok"), (False, 4, "fail"), (False, 1, "warn")])
def test_horovod_must_fit_where_there_are_several_processes(monkeypatch, fits, size, level):
    verdict = SimpleNamespace(
        fits=fits, sentence="Horovod 0.28.1 was looked at", fix=None if fits else "build it again"
    )
    monkeypatch.setitem(sys.modules, "hpc.build_horovod", SimpleNamespace(check=lambda timeout_s: verdict))
    found = check_horovod(size)
    assert (found.level, found.sentence, found.fix) == (level, verdict.sentence, verdict.fix)


@pytest.mark.parametrize(("free", "level"), [(None, "warn"), (64 * 10**6, "warn"), (10**9, "ok")])
def test_shared_memory_below_a_gigabyte_warns(free, level):
    assert judge_shm(free).level == level


def test_this_machines_shared_memory_is_looked_at():
    assert "/dev/shm" in host.check_shm().sentence


def _program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_the_real_ffmpeg_is_read():
    if ask(["ffmpeg", "-version"], 20).outcome == "missing":
        pytest.skip("no ffmpeg on this machine")
    facts = gather_ffmpeg()
    found = judge_ffmpeg(facts)
    assert found.level in ("ok", "warn")
    assert re.search(r"ffmpeg [nN0-9]\S+", found.sentence)
    assert " aac " in facts.encoders


LISTING = " V....D h264  x\n VFS..D hevc  x\n V....D vp9  x\n V..... libdav1d  x\n A....D aac  x\n A....D opus  x\n"
VERSION = Answer("answered", "ffmpeg version n6.1-custom Copyright\n")
COMPLETE = FfmpegFacts(VERSION, VERSION, LISTING, " A..... aac  x\n", " ..C scale  V->V  x\n")


def test_a_complete_ffmpeg_is_fine():
    assert judge_ffmpeg(COMPLETE).level == "ok"
    assert "n6.1-custom" in judge_ffmpeg(COMPLETE).sentence


@pytest.mark.parametrize("codec", DECODERS)
def test_each_missing_decoder_is_named(codec):
    lines = [line for line in LISTING.splitlines() if not any(way in line.split() for way in DECODERS[codec])]
    found = judge_ffmpeg(FfmpegFacts(VERSION, VERSION, "\n".join(lines), COMPLETE.encoders, COMPLETE.filters))
    assert found.level == "warn"
    assert f"lacks decoder {codec}:" in found.sentence


def test_the_av1_decoder_that_needs_special_hardware_does_not_count():
    facts = FfmpegFacts(VERSION, VERSION, LISTING.replace("libdav1d", "av1"), COMPLETE.encoders, COMPLETE.filters)
    assert "decoder av1" in judge_ffmpeg(facts).sentence


def test_a_missing_encoder_and_filter_are_named():
    found = judge_ffmpeg(FfmpegFacts(VERSION, VERSION, LISTING, " V..... aacx  x\n", " ..C xscale  x\n"))
    assert "lacks encoder aac, filter scale:" in found.sentence


def test_a_machine_without_ffmpeg_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = judge_ffmpeg(gather_ffmpeg())
    assert found.level == "fail"
    assert "ffmpeg is not on PATH" in found.sentence
    assert "apt-get install ffmpeg" in found.fix
    assert "module load" in found.fix


def test_ffmpeg_without_ffprobe_fails(tmp_path, monkeypatch):
    _program(tmp_path, "ffmpeg", "echo ffmpeg version 5")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = judge_ffmpeg(gather_ffmpeg())
    assert (found.level, "ffprobe is not on PATH" in found.sentence) == ("fail", True)


def test_ffmpeg_that_misses_a_library_fails_with_its_words(tmp_path, monkeypatch):
    _program(tmp_path, "ffmpeg", "echo 'error while loading shared libraries: libx264.so' >&2; exit 127")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = judge_ffmpeg(gather_ffmpeg())
    assert found.level == "fail"
    assert "libx264.so" in found.sentence


def test_ffmpeg_that_hangs_fails_in_time(tmp_path, monkeypatch):
    _program(tmp_path, "ffmpeg", "exec /bin/sleep 60")
    monkeypatch.setenv("PATH", str(tmp_path))
    started = time.monotonic()
    found = judge_ffmpeg(gather_ffmpeg(limit_s=0.3))
    assert time.monotonic() - started < 5
    assert "did not answer within 0.3 s" in found.sentence


def test_a_program_that_cannot_be_started_is_a_failure_and_no_exception(tmp_path):
    (tmp_path / "tool").write_text("not a program")
    answer = ask([str(tmp_path / "tool")], 1)
    assert answer.outcome == "failed"
    assert "Permission denied" in answer.text
