"""The same bytes from a seed, for every decoder, however the model is given and the work is shared out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.audio.making import FRAMEWISE, make_audio_run
from tests.unit.infer.running import RATE, film, made, run, wav
from v2a.export.__main__ import main as export
from v2a.infer.__main__ import main


def test_a_seed_makes_the_same_bytes_and_another_one_others(model: Path, flat: Path, tmp_path: Path):
    path = film(tmp_path / "a.mp4", seconds=3.2)
    sounds = {}
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert run(path, "--model", model, "--out", tmp_path / name, "--seed", seed) == 0
        sounds[name] = [(tmp_path / name / file).read_bytes() for file in ("a.wav", "a.mp4")]
    assert sounds["one"] == sounds["again"]
    assert sounds["one"][0] != sounds["other"][0]
    assert run(path, "--model", flat, "--out", tmp_path / "flat") == 0
    assert len(wav(tmp_path / "flat/a.wav")[0]) == round(3.2 * RATE)


def test_the_autoregressive_decoder_makes_a_whole_video_and_the_same_again(slow: Path, tmp_path: Path):
    path = film(tmp_path / "a.mp4", seconds=3.2)
    for out, seed in (("one", 1), ("again", 1), ("other", 2)):
        assert run(path, "--model", slow, "--out", tmp_path / out, "--seed", seed) == 0
    assert len(wav(tmp_path / "one/a.wav")[0]) == round(3.2 * RATE)
    one, again, other = ((tmp_path / out / "a.wav").read_bytes() for out in ("one", "again", "other"))
    assert one == again
    assert one != other


@pytest.mark.parametrize("kind", ["latents", "pixels"])
def test_a_decoder_of_latents_or_pixels_makes_a_whole_video(kind: str, tmp_path: Path):
    model = make_audio_run(tmp_path / "run", replace(FRAMEWISE, input=kind))
    assert export([str(model), "--out", str(tmp_path / "model")]) == 0
    path = film(tmp_path / "a.mp4", seconds=3.2)
    for given, out in ((model, "one"), (tmp_path / "model", "two")):
        assert run(path, "--model", given, "--out", tmp_path / out) == 0
    assert len(wav(tmp_path / "one/a.wav")[0]) == round(3.2 * RATE)
    assert (tmp_path / "one/a.wav").read_bytes() == (tmp_path / "two/a.wav").read_bytes()


def test_run_and_export_and_two_workers_make_the_same(model: Path, tmp_path: Path):
    for number in range(3):
        film(tmp_path / f"videos/{number}.mp4", "-metadata", f"comment={number}")
    assert export([str(model), "--out", str(tmp_path / "model")]) == 0
    assert run(tmp_path / "videos", "--model", model, "--out", tmp_path / "one") == 0
    arguments = [tmp_path / "videos", "--model", tmp_path / "model", "--out", tmp_path / "two", "--workers", "2"]
    assert main([*map(str, arguments), "--device", "cpu"]) == 0
    assert (
        made(tmp_path / "one") == made(tmp_path / "two") == {f"{n}.{kind}" for n in range(3) for kind in ("mp4", "wav")}
    )
    for name in made(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_segments_side_by_side_make_the_same(model: Path, tmp_path: Path):
    path = film(tmp_path / "a.mp4", seconds=9.3)
    for threads in (1, 3):
        done = run(
            path, "--model", model, "--out", tmp_path / str(threads), "--workers", 0, "--set", f"threads={threads}"
        )
        assert done == 0
    first, second = ((tmp_path / name / "a.wav").read_bytes() for name in ("1", "3"))
    assert first == second
