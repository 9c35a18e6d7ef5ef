"""The training loop: where it starts from, when it stops, what it refuses, and that a resumed run is the undisturbed one."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
import torch

from tests.unit.training.small import SmallFeed, SmallTask
from v2a.comm import LocalComm
from v2a.stages import Context
from v2a.tasks import SerialTasks
from v2a.training.config import Train
from v2a.training.loop import train
from v2a.training.precision import Precision

CPU = torch.device("cpu")
TIMINGS = ("clips_per_s", "step_ms", "data_wait")


def settings(**changes: object) -> Train:
    """Small ones; every period is another, so that they meet in all ways."""
    values: dict[str, object] = {
        "steps": 30, "batch": 2, "lr": 0.02, "warmup": 5, "log_every": 4, "validate_every": 9, "checkpoint_every": 7,
        "workers": 0, "accumulate": 2,
    }  # fmt: skip
    return Train(**{**values, **changes})  # type: ignore[arg-type]


def context(out: Path, should_stop: Callable[[], bool] = lambda: False) -> Context:
    """One rank's."""
    return Context(LocalComm(), SerialTasks(), out, lambda step, metrics: None, should_stop)


def run(out: Path, task: SmallTask | None = None, **changes: object) -> tuple[SmallTask, dict[str, float]]:
    """Train in a folder; goes on from what is there."""
    task = task or SmallTask()
    return task, train(task, SmallFeed(), settings(**changes), context(out), CPU)


def stop_after(calls: int) -> Callable[[], bool]:
    """Asked once a step."""
    left = iter([False] * calls)
    return lambda: next(left, True)


def records(out: Path) -> list[dict[str, float]]:
    """metrics.jsonl without what a clock says."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMINGS} for line in lines]


def state(task: SmallTask) -> dict[str, torch.Tensor]:
    """Weights and buffers."""
    return {name: value.clone() for name, value in task.model.state_dict().items()}


def equal(one: SmallTask, two: SmallTask) -> bool:
    """Bit for bit."""
    return all(torch.equal(a, b) for a, b in zip(state(one).values(), state(two).values(), strict=True))


def test_it_learns_and_says_so(tmp_path: Path):
    _, metrics = run(tmp_path, steps=300, accumulate=1)
    assert metrics["step"] == 300
    assert metrics["stopped"] == metrics["skipped"] == 0
    assert metrics["loss"] < metrics["loss_first"] / 5
    assert metrics["weights"] == sum(p.numel() for p in SmallTask().model.parameters())
    assert metrics["validation/loss"] < 1.5


def test_records_come_when_they_should(tmp_path: Path):
    run(tmp_path)
    lines = records(tmp_path)
    assert [line["step"] for line in lines if "loss" in line] == [4, 8, 12, 16, 20, 24, 28, 30]
    assert [line["step"] for line in lines if "validation/loss" in line] == [9, 18, 27, 30]
    assert lines[0]["seen"] == 4 * 2 * 2
    assert lines[-2]["epoch"] == pytest.approx(30 * 4 / 21)


@pytest.mark.parametrize("stop", [1, 7, 8, 13, 21, 29])
def test_a_stopped_run_goes_on_as_if_nothing_had_been(tmp_path: Path, stop: int):
    undisturbed, expected = run(tmp_path / "one")
    first = SmallTask()
    stopped = train(first, SmallFeed(), settings(), context(tmp_path / "two", stop_after(stop)), CPU)
    assert (stopped["step"], stopped["stopped"]) == (stop, 1)
    resumed, metrics = run(tmp_path / "two")
    assert equal(undisturbed, resumed)
    assert not equal(first, resumed)
    assert first.begun is not None, "a new run begins from the data"
    assert torch.equal(first.begun, next(SmallFeed().batches())), "its first batch, which is trained on, too"
    assert resumed.begun is None, "a resumed one does not"
    assert records(tmp_path / "two") == records(tmp_path / "one")
    assert {**metrics, "loss_first": 0} == {**expected, "loss_first": 0}


def test_the_state_of_the_optimizer_goes_on_too(tmp_path: Path):
    run(tmp_path / "one")
    train(SmallTask(), SmallFeed(), settings(), context(tmp_path / "two", stop_after(11)), CPU)
    run(tmp_path / "two")
    one, two = (
        torch.load(tmp_path / name / "checkpoints" / "step-00000030.pt", weights_only=True) for name in ("one", "two")
    )
    assert str(one) == str(two), "all of it: model, optimizer, scaler, feed, window, skipped"


def test_a_finished_run_is_left_alone(tmp_path: Path):
    task, first = run(tmp_path)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()}
    again, second = run(tmp_path)
    assert equal(task, again)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints").iterdir()} == files
    assert (second["step"], second["stopped"]) == (first["step"], 0)


def test_what_killed_runs_left_is_removed_when_a_run_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "checkpoints"
    train(SmallTask(), SmallFeed(), settings(), context(tmp_path, stop_after(8)), CPU)
    sound = {path.name for path in folder.iterdir()}
    for name in ("step-00000009.pt", "step-00000010.pt.tmp"):
        (folder / name).write_bytes(b"left")
    train(SmallTask(), SmallFeed(), settings(), context(tmp_path, stop_after(0)), CPU)
    assert {path.name for path in folder.iterdir()} == sound >= {"step-00000008.pt", "step-00000008.json"}
    assert "by runs that were killed: step-00000009.pt, step-00000010.pt.tmp\n" in capsys.readouterr().out


def test_what_is_no_record_is_left_out_of_the_records(tmp_path: Path):
    """Bytes of a broken disk, in the middle and at the end."""
    train(SmallTask(), SmallFeed(), settings(), context(tmp_path / "one", stop_after(8)), CPU)
    file = tmp_path / "one" / "metrics.jsonl"
    first, *rest = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([first, b'{"step": 5, "\xff\xfe\x80": 1\n', *rest, b"\x00\x9f\x92\x96"]))
    run(tmp_path / "one")
    run(tmp_path / "two")
    assert records(tmp_path / "one") == records(tmp_path / "two")


@pytest.mark.parametrize("name", ["tensorboard", "checkpoints", "pictures", "sounds"])
def test_a_file_where_a_folder_is_to_be_is_named_before_anything_is_computed(tmp_path: Path, name: str):
    (tmp_path / name).write_text("mine")
    task = SmallTask()
    with pytest.raises(ValueError, match=rf"{name} is a file, and a folder is to be there; move it away, or choose"):
        run(tmp_path, task)
    assert task.begun is None
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_lines_of_steps_that_are_done_again_are_taken_back(tmp_path: Path):
    run(tmp_path)
    whole = (tmp_path / "metrics.jsonl").read_text()
    for path in (tmp_path / "checkpoints").glob("step-0000003*"):
        path.unlink()
    (tmp_path / "metrics.jsonl").write_text(whole + '{"step": 31, "lo')
    run(tmp_path)
    steps = [line["step"] for line in records(tmp_path)]
    assert steps == sorted(steps)
    assert len(steps) == len(whole.splitlines())


def test_a_gradient_that_is_not_finite_is_left_out_and_counted(tmp_path: Path):
    spoiled, metrics = run(tmp_path / "one", SmallTask(spoil={(3, 0), (4, 0), (17, 0)}))
    clean, _ = run(tmp_path / "two")
    assert metrics["skipped"] == 3
    assert not equal(spoiled, clean)
    assert all(bool(torch.isfinite(value).all()) for value in state(spoiled).values())


def test_the_loss_of_a_step_that_is_left_out_does_not_hide_the_others(tmp_path: Path):
    run(tmp_path, SmallTask(spoil={(2, 0)}))
    assert all(line["loss"] == line["loss"] for line in records(tmp_path) if "loss" in line)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"on_nan": "stop"},
            r"the gradient is not finite at step 5 \(the loss of ranks 0 is not\); try a smaller train.lr",
        ),
        ({"max_skips": 2}, r"the gradient is not finite 3 times in a row at step 7 \(the loss of ranks 0 is not\)"),
    ],
)
def test_policies_that_stop_say_where(tmp_path: Path, changes: dict[str, object], message: str):
    with pytest.raises(FloatingPointError, match=message):
        run(tmp_path, SmallTask(spoil={(step, 0) for step in range(5, 20)}), **changes)


class Scaled(Precision):
    """A GPU's scaler, which begins at 65,536 and comes down by itself; here on a CPU, and without autocast."""

    def __init__(self, name: str, device: torch.device) -> None:
        super().__init__(name, device)
        self.half, self.scaler = True, torch.amp.GradScaler("cpu", enabled=True)

    def autocast(self) -> AbstractContextManager[None]:
        return nullcontext()


def test_what_the_loss_scale_spoils_is_no_nan_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In fp16, in which 2,048 is the most here."""

    class Large(SmallTask):
        def loss(self, batch: torch.Tensor, step: int) -> dict[str, torch.Tensor]:
            found = super().loss(batch, step)
            return {**found, "loss": found["loss"].half() * 16}

    monkeypatch.setattr("v2a.training.loop.Precision", Scaled)
    _, metrics = run(tmp_path / "large", Large(), on_nan="stop", max_skips=1, lr=1e-6)
    assert metrics["skipped"] == 4
    with pytest.raises(FloatingPointError, match=r"the loss of ranks 0 is not"):
        run(tmp_path / "nan", SmallTask(spoil={(5, 0)}), on_nan="stop")


def test_the_loss_scale_comes_with_the_run_and_begins_anew_where_there_was_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """fp32 to fp16, fp16 to fp16, and back."""

    def scale_at(step: int) -> dict[str, float]:
        path = tmp_path / "checkpoints" / f"step-{step:08d}.pt"
        found: dict[str, float] = torch.load(path, weights_only=True)["scaler"]
        return found

    run(tmp_path, steps=3)
    assert scale_at(3) == {}
    monkeypatch.setattr("v2a.training.loop.Precision", Scaled)
    run(tmp_path, steps=6)
    assert (scale_at(6)["scale"], scale_at(6)["_growth_tracker"]) == (65536.0, 3)
    run(tmp_path, steps=8)
    assert scale_at(8)["_growth_tracker"] == 5
    monkeypatch.undo()
    _, metrics = run(tmp_path, steps=10)
    assert (metrics["step"], scale_at(10)) == (10, {})


def test_steps_left_out_in_a_row_are_counted_over_a_stop(tmp_path: Path):
    spoiled = SmallTask(spoil={(step, 0) for step in range(5, 20)})
    train(spoiled, SmallFeed(), settings(), context(tmp_path, stop_after(9)), CPU)
    with pytest.raises(FloatingPointError, match=r"not finite 6 times in a row at step 10 "):
        run(tmp_path, SmallTask(spoil=spoiled.spoil), max_skips=5)


def test_a_norm_too_large_for_a_number_leaves_the_step_out(tmp_path: Path):
    class Huge(SmallTask):
        def loss(self, batch: torch.Tensor, step: int) -> dict[str, torch.Tensor]:
            found = super().loss(batch, step)
            return {**found, "loss": found["loss"] * (1e25 if step == 3 else 1.0)}

    task = Huge()
    train(task, SmallFeed(), settings(), context(tmp_path, stop_after(3)), CPU)
    before = state(task)
    train(task, SmallFeed(), settings(), context(tmp_path, stop_after(1)), CPU)
    changed = [name for name, value in state(task).items() if not torch.equal(value, before[name])]
    assert changed == ["seen"]


def test_a_run_that_goes_on_takes_the_settings_it_is_given_now(tmp_path: Path):
    def first_weight(**changes: object) -> float:
        out = tmp_path / str(changes)
        train(SmallTask(), SmallFeed(), settings(), context(out, stop_after(9)), CPU)
        task, _ = run(out, **changes)
        return float(task.model.body[0].weight.detach().norm())

    plain = first_weight()
    assert first_weight(weight_decay=0.9) < 0.9 * plain
    assert first_weight(beta2=0.5) != plain


def test_accumulation_is_a_larger_batch(tmp_path: Path):
    """Without the draws of dropout, two passes of two clips are one of four."""
    tasks = []
    for accumulate, batch in ((2, 2), (1, 4)):
        task = SmallTask()
        task.model.body[2] = torch.nn.Identity()
        feed = SmallFeed(batch=batch)
        train(task, feed, settings(accumulate=accumulate, batch=batch), context(tmp_path / str(batch)), CPU)
        tasks.append(task)
    assert int(tasks[0].model.seen) == int(tasks[1].model.seen) > 0
    for one, two in zip(tasks[0].model.parameters(), tasks[1].model.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=2e-6)


def test_fp16_on_a_cpu_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"expected train.precision=fp32 or auto on a CPU"):
        run(tmp_path, precision="fp16")
