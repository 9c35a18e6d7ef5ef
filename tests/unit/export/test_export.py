"""Export: the same model comes back, nothing else is written over, and what is damaged is said."""

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.house.documents import broken_commands, broken_python
from tests.house.source import CHECKOUT
from tests.unit.codes.making import STAGED, make_network, make_run
from tests.unit.shards.making import TINY, make_dataset
from v2a.export.__main__ import main
from v2a.export.errors import ModelBusy, ModelError
from v2a.export.folder import read_config, write_model
from v2a.export.run import read_run
from v2a.training.agreement import weights_hash
from v2a.vqvae.load import load_vqvae

CPU = torch.device("cpu")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, and so needs root")


@pytest.fixture(name="run")
def run_fixture(tmp_path: Path) -> Path:
    return make_run(tmp_path / "run")


@pytest.fixture(name="model")
def model_fixture(run: Path, tmp_path: Path) -> Path:
    assert main([str(run), "--out", str(tmp_path / "model")]) == 0
    return tmp_path / "model"


@pytest.mark.parametrize("kind", ["paper", "staged"])
def test_what_was_exported_is_what_the_run_holds(kind: str, tmp_path: Path):
    run = make_run(tmp_path / "run") if kind == "paper" else make_run(tmp_path / "run", model=STAGED)
    assert main([str(run), "--out", str(tmp_path / "a/b/model")]) == 0
    ours, theirs = load_vqvae(tmp_path / "a/b/model", CPU), load_vqvae(run, CPU)
    assert ours.identity == theirs.identity
    assert ours.geometry == theirs.geometry == TINY
    network = (make_network() if kind == "paper" else make_network(model=STAGED)).eval()
    video = torch.rand(2, 3, TINY.frames, TINY.height, TINY.width)
    for loaded in (ours, theirs):
        assert not loaded.model.training
        assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
        assert torch.equal(loaded.model.codes(video), network.codes(video))
        assert torch.equal(loaded.model(video).video, network(video).video)


def test_the_same_again_says_so_and_writes_nothing(run: Path, model: Path, capsys: pytest.CaptureFixture[str]):
    before = {path: path.stat().st_mtime_ns for path in model.rglob("*")}
    assert main([str(run), "--out", str(model)]) == 0
    assert "is this model already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in model.rglob("*")} == before
    assert set(os.listdir(model)) == {"model.safetensors", "config.json", "README.md"}
    assert set(os.listdir(model.parent)) == {"run", "model"}


def test_a_dry_run_writes_nothing(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(run), "--out", str(tmp_path / "model"), "--dry-run"]) == 0
    assert "would be exported" in capsys.readouterr().out
    assert os.listdir(tmp_path) == ["run"]


def test_the_last_and_the_best_checkpoint(tmp_path: Path):
    run = make_run(tmp_path / "run", seed=1, step=10, score=0.5)
    make_run(run, seed=2, step=20, score=0.9)
    for name, flags in (("last", []), ("best", ["--best"])):
        assert main([str(run), "--out", str(tmp_path / name), *flags]) == 0
    last, best = (read_config(tmp_path / name) for name in ("last", "best"))
    assert (last["step"], last["best"], best["step"], best["best"]) == (20, False, 10, True)
    assert load_vqvae(run, CPU).identity == last["identity"] != best["identity"]


def _refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("export: ")
    return captured.err


def test_another_export_is_not_written_over(run: Path, model: Path, capsys: pytest.CaptureFixture[str]):
    before = (model / "model.safetensors").read_bytes()
    make_run(run, seed=5, step=9)
    assert "holds another export (other identity, step" in _refusal(capsys, run, "--out", model)
    assert (model / "model.safetensors").read_bytes() == before


def test_other_things_are_not_written_over(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.tex").write_text("x")
    assert "holds something else than a model" in _refusal(capsys, run, "--out", tmp_path / "full")
    assert os.listdir(tmp_path / "full") == ["thesis.tex"]
    assert "is a file" in _refusal(capsys, run, "--out", tmp_path / "full/thesis.tex")
    assert "holds something else" in _refusal(capsys, run, "--out", run)
    (tmp_path / "empty").mkdir()
    assert main([str(run), "--out", str(tmp_path / "empty")]) == 0


def test_names_of_any_kind(run: Path, tmp_path: Path, hostile_name: str):
    name = hostile_name.replace("/", "") or "plain"
    folder = tmp_path / ("x" if name == "~" else name)
    assert main([str(run), f"--out={folder}"]) == 0
    assert load_vqvae(folder, CPU).identity == load_vqvae(run, CPU).identity
    card = (folder / "README.md").read_text()
    assert broken_commands("README.md", card) == broken_python("README.md", card) == []


def test_the_card_tells_metrics_data_and_use(tmp_path: Path):
    make_dataset(tmp_path / "planes", 30)
    run = make_run(tmp_path / "run", step=20, data=str(tmp_path / "planes"))
    lines = [
        {"step": 10, "validation/psnr": 11.5}, {"step": 15, "epoch/usage": 0.75, "epoch/perplexity": 9.5},
        {"step": 20, "validation/psnr": 22.25, "loss": 4.0}, {"step": 30, "validation/psnr": 33.5},
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 20, "vali'
    (run / "metrics.jsonl").write_bytes(b"\xff\xfe of a broken disk\n" + text.encode())
    weights = weights_hash(read_run(run).weights)
    (run / "test.json").write_text(json.dumps({"step": 20, "weights": weights, "metrics": {"psnr": 21.125}}))
    assert main([str(run), "--out", str(tmp_path / "m")]) == 0
    card = (tmp_path / "m/README.md").read_text()
    for text in ("psnr 22.25", "psnr 21.125", "usage 0.75", "`planes`: 30 clips of 10 videos", "MIT", "step 20"):
        assert text in card
    for text in ("11.5", "33.5", str(tmp_path)):
        assert text not in card
    assert broken_commands("README.md", card) == broken_python("README.md", card) == []
    assert read_config(tmp_path / "m")["metrics"] == {
        "validation/psnr": 22.25, "epoch/usage": 0.75, "epoch/perplexity": 9.5, "test/psnr": 21.125,
    }  # fmt: skip


@pytest.mark.parametrize(("step", "weights"), [(10, "its own"), (20, "0123456789abcdef"), (20, "")])
def test_a_test_of_another_step_or_of_other_weights_is_not_this_models(tmp_path: Path, step: int, weights: str):
    run = make_run(tmp_path / "run", step=20)
    weights = weights_hash(read_run(run).weights) if weights == "its own" else weights
    (run / "test.json").write_text(json.dumps({"step": step, "weights": weights, "metrics": {"psnr": 21.125}}))
    assert main([str(run), "--out", str(tmp_path / "m")]) == 0
    assert read_config(tmp_path / "m")["metrics"] == {}


# --- what is damaged --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 8, 100, 700, -700, -1])
def test_damaged_weights(model: Path, place: int):
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[place] ^= 1
    (model / "model.safetensors").write_bytes(weights)
    with pytest.raises(ModelError, match=r"model\.safetensors does not match its checksum"):
        load_vqvae(model, CPU)


def test_weights_cut_off_or_missing(model: Path, run: Path, capsys: pytest.CaptureFixture[str]):
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[:-10])
    with pytest.raises(ModelError, match=f"has {len(weights) - 10} bytes where {len(weights)} were written"):
        load_vqvae(model, CPU)
    assert "bytes where" in _refusal(capsys, run, "--out", model)
    (model / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors is missing"):
        load_vqvae(model, CPU)


def test_a_damaged_config(model: Path):
    path = model / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "step": 999}))
    with pytest.raises(ModelError, match="changed by hand"):
        load_vqvae(model, CPU)
    path.write_text(json.dumps({**config, "version": 2}))
    with pytest.raises(ModelError, match="version 2; this program reads v2a-model 1"):
        load_vqvae(model, CPU)
    for text in ("", "[]", "{}", "\xff", '{"format"'):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(ModelError, match="cannot be read"):
            load_vqvae(model, CPU)
    path.unlink()
    with pytest.raises(ModelError, match=r"has no config\.json"):
        load_vqvae(model, CPU)


def _rewrite(folder: Path, tmp_path: Path, tensors: dict[str, torch.Tensor] | None = None, **config: Any) -> Path:
    """The same model with something changed, and every checksum right."""
    found = {name: value for name, value in read_config(folder).items() if name not in ("format", "version", "weights")}
    write_model(tmp_path / "other", {**found, **config}, tensors or load_file(folder / "model.safetensors"), "card")
    return tmp_path / "other"


def test_sound_files_that_do_not_fit_each_other(model: Path, tmp_path: Path):
    other = load_vqvae(make_run(tmp_path / "run2", seed=7), CPU)
    kept = ("codebook", "initialised")
    tensors = {n: t for n, t in other.model.state_dict().items() if not n.startswith("quantizer") or n.endswith(kept)}
    mine = load_vqvae(model, CPU).identity
    with pytest.raises(ModelError, match=f"its encoder is {mine}, but its weights are {other.identity}"):
        load_vqvae(_rewrite(model, tmp_path, tensors), CPU)


@pytest.mark.parametrize("how", ["missing", "unknown", "shape"])
def test_decoders_that_are_not_whole(how: str, model: Path, tmp_path: Path):
    """The identity does not cover the decoder."""
    tensors = load_file(model / "model.safetensors")
    weight = tensors.pop("decoder.0.weight")
    if how != "missing":
        tensors |= (
            {"decoder.9.weight": weight.clone(), "decoder.0.weight": weight}
            if how == "unknown"
            else {"decoder.0.weight": weight[1:]}
        )
    with pytest.raises(ModelError, match=r"has weights that do not fit its settings .*decoder\.[09]\.weight"):
        load_vqvae(_rewrite(model, tmp_path, tensors), CPU)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stage": "audio"}, "is a model of stage audio, where one of stage vqvae is expected"),
        ({"strides": [1, 1, 1]}, "says that its encoder is"),
        ({"geometry": {"width": 8}}, "settings that this version does not know"),
        ({"model": {"name": "transformer"}}, "settings that this version does not know"),
        ({"model": {"depth": 3}}, "settings that this version does not know"),
    ],
)
def test_settings_that_do_not_fit(model: Path, tmp_path: Path, change: dict[str, Any], reason: str):
    with pytest.raises(ModelError, match=reason):
        load_vqvae(_rewrite(model, tmp_path, **change), CPU)


def test_runs_that_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "model"
    assert "is not there" in _refusal(capsys, tmp_path / "none", "--out", out)
    (tmp_path / "empty").mkdir()
    assert "has no stage.json" in _refusal(capsys, tmp_path / "empty", "--out", out)
    run = make_run(tmp_path / "run")
    assert "no checkpoint that was validated" in _refusal(capsys, run, "--out", out, "--best")
    stamp = json.loads((run / "stage.json").read_text())
    (run / "stage.json").write_text(json.dumps({**stamp, "stage": "selftest"}))
    assert "stage with a model to export 'selftest'" in _refusal(capsys, run, "--out", out)
    (run / "stage.json").write_text("{")
    assert "is damaged" in _refusal(capsys, run, "--out", out)
    (run / "stage.json").write_text(json.dumps(stamp))
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    assert "has no checkpoint yet" in _refusal(capsys, run, "--out", out)
    assert not out.exists()


def test_a_damaged_checkpoint_is_not_passed_over(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    make_run(run, seed=1, step=9)
    path = run / "checkpoints/step-00000009.pt"
    path.write_bytes(path.read_bytes()[:-1])
    assert "remove it to take the checkpoint before it" in _refusal(capsys, run, "--out", tmp_path / "m")
    path.unlink()
    assert main([str(run), "--out", str(tmp_path / "m")]) == 0
    assert read_config(tmp_path / "m")["step"] == 3


def test_weights_that_no_one_can_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    network = make_network(batches=0)
    run = make_run(tmp_path / "new", network=network)
    assert "its codebook never saw a sound batch" in _refusal(capsys, run, "--out", tmp_path / "m")
    network = make_network()
    with torch.no_grad():
        next(network.decoder.parameters()).view(-1)[0] = torch.nan
    run = make_run(tmp_path / "nan", network=network)
    assert "its weights are not finite (decoder.0.weight)" in _refusal(capsys, run, "--out", tmp_path / "m")
    with pytest.raises(ModelError, match="not finite"):
        load_vqvae(run, CPU)


class _Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("made-by-a-checkpoint",)


def test_a_checkpoint_with_code_runs_none(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = run / "checkpoints/step-00000003.pt"
    torch.save({"format": 1, "model": _Evil()}, path)
    from v2a.training.checkpoint import file_hash

    note = {"step": 3, "score": None, "bytes": path.stat().st_size, "xxh3": file_hash(path)}
    path.with_suffix(".json").write_text(json.dumps(note))
    with pytest.raises(ModelError, match="is damaged"):
        load_vqvae(run, CPU)
    assert not (tmp_path / "made-by-a-checkpoint").exists()


def test_the_launchers_config_makes_a_run_no_export(run: Path):
    before = load_vqvae(run, CPU).identity
    (run / "config.json").write_text('{"stage": "vqvae"}')  # of hpc.worker
    assert load_vqvae(run, CPU).identity == before


# --- interrupted ------------------------------------------------------------------------------------------------------


def test_a_killed_export_leaves_no_model_and_the_next_one_cleans_up(run: Path, tmp_path: Path):
    program = (
        "import os, sys; from v2a.export.__main__ import main; real = os.fsync\n"
        "os.fsync = lambda file: os.kill(os.getpid(), 9)\n"
        f"main([{str(run)!r}, '--out', {str(tmp_path / 'model')!r}])"
    )
    killed = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, check=False)
    assert killed.returncode == -9
    assert sorted(os.listdir(tmp_path)) == [".model.unfinished", "run"]
    (tmp_path / ".model.unfinished/.half").write_text("x")
    assert main([str(run), "--out", str(tmp_path / "model")]) == 0
    assert sorted(os.listdir(tmp_path)) == ["model", "run"]
    assert len(os.listdir(tmp_path / "model")) == 3
    assert load_vqvae(tmp_path / "model", CPU).identity == load_vqvae(run, CPU).identity


def test_two_at_once(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / ".model.unfinished").mkdir()
    lock = os.open(tmp_path / ".model.unfinished", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        assert "another export writes" in _refusal(capsys, run, "--out", tmp_path / "model")
        with pytest.raises(ModelBusy):
            write_model(tmp_path / "model", {}, {}, "")
    finally:
        os.close(lock)
    assert not (tmp_path / "model").exists()
    assert main([str(run), "--out", str(tmp_path / "model")]) == 0


@needs_root
def test_a_full_disk(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "disk").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "none", tmp_path / "disk"], check=True)
    try:
        said = _refusal(capsys, run, "--out", tmp_path / "disk/model")
        assert "could not be written" in said
        assert os.listdir(tmp_path / "disk") == []
    finally:
        subprocess.run(["umount", tmp_path / "disk"], check=True)
