"""The training loop, written once: a stage supplies its task and its feed.

One step: forward and backward passes of this rank's batches, gradients averaged over ranks, clipped, one update. Every random draw
of a step follows from (seed, step, rank), so a resumed run draws what the undisturbed one drew.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from v2a.comm import Comm
from v2a.stages import Context
from v2a.training.agreement import any_rank, broadcast_model, ranks_agree, ranks_where
from v2a.training.checkpoint import Checkpoints
from v2a.training.config import Train
from v2a.training.feed import Feed
from v2a.training.leftovers import remove_leftovers
from v2a.training.network import load_state
from v2a.training.places import check_places
from v2a.training.precision import Precision
from v2a.training.record import Recorder
from v2a.training.schedule import lr_factor, parameter_groups, set_lr
from v2a.training.task import Batch, Task
from v2a.training.validate import validate
from v2a.training.window import Window

_SET = ("base_lr", "betas", "weight_decay")  # what a config says of a group of weights


class RanksDiffer(RuntimeError):  # noqa: N818 - the name says what happened
    """The ranks hold different weights: a collective is broken, or something random is not shared."""


def train(  # noqa: PLR0913 - the last one by name
    task: Task, feed: Feed, config: Train, context: Context, device: torch.device, *,
    accepted: Callable[[], None] = lambda: None,
) -> dict[str, float]:  # fmt: skip
    """Train until the last step or until any rank is asked to stop; goes on from the run folder's newest checkpoint.

    Args:
        task: the network, on `device`.
        feed: this rank's batches.
        config: how.
        context: ranks, run folder, `report`, `should_stop`.
        device: of this rank.
        accepted: called on every rank when checkpoint and clips were accepted, and there is something to train.

    Returns:
        "step", "stopped" (1 when it was asked to stop before the last step), "loss_first" and "loss" (of the first and the last
        record), "skipped" steps, "weights" (how many numbers of the network are trained; a codebook that follows a moving average
        is none of them), the last whole epoch's numbers as "epoch/…", the last validation's means as "validation/…".

    Raises:
        FloatingPointError: too many gradients in a row are not finite; on all ranks, with step and ranks.
        CheckpointError: there are checkpoints, and none is sound; or they are of another network.
        ValueError: they are of other clips or of another seed; or something else stands where the run's files go.
        RanksDiffer: the ranks drifted apart; looked at whenever a checkpoint is written.
    """
    check_places(context.out)
    trainer = _Trainer(task, feed, config, context, device)
    trainer.resume()
    try:
        if not trainer.beyond:
            accepted()
        return trainer.run()
    finally:
        trainer.close()


class _Trainer:
    def __init__(self, task: Task, feed: Feed, config: Train, context: Context, device: torch.device) -> None:
        self._task, self._feed, self._config, self._context, self._device = task, feed, config, context, device
        self._comm: Comm = context.comm
        self._precision = Precision(config.precision, device)
        groups = parameter_groups(task.model, config, self._comm.size)
        optimizer = torch.optim.AdamW(groups, betas=(0.9, config.beta2))
        self._groups = [{name: group[name] for name in _SET} for group in optimizer.param_groups]
        self._averaged = self._comm.wrap_optimizer(
            optimizer,
            task.model.named_parameters(),
            passes=config.accumulate,
            compression=config.compression,  # type: ignore[arg-type]
        )
        self._checkpoints = Checkpoints(context.out / "checkpoints", config.keep)
        self._window = Window()
        self._recorder: Recorder | None = None
        self._step = self._skipped = self._skips_in_a_row = 0
        self._saved_at = -1
        self._validated: dict[str, float] = {}
        self._epoch_metrics: dict[str, float] = {}
        self._wait_s, self._since = 0.0, time.monotonic()
        self._window_steps = 0
        self._first = self._last = math.nan

    # --- state --------------------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Begin from equal weights, or go on from the newest sound checkpoint."""
        found = self._checkpoints.load_latest(self._comm, self._device)
        if found is None:
            broadcast_model(self._task.model, self._comm)
            if self._comm.rank == 0:
                print("a new run: what depends on the data comes first", flush=True)
            torch.manual_seed(_seed(self._config.seed, -1, self._comm.rank))
            self._task.begin(self._feed.batches())
        else:
            self._load(*found)
        if self._comm.rank == 0:
            removed = remove_leftovers(self._context.out / "checkpoints", found is not None)
            if removed:
                print(
                    f"removed what was left in checkpoints/ by runs that were killed: {', '.join(removed)}", flush=True
                )
            self._recorder = Recorder(self._context.out, self._step, self._config.steps)

    def _load(self, state: dict[str, object], step: int) -> None:
        optimizer = self._averaged.optimizer
        load_state(self._task.model, optimizer, state)
        for group, mine in zip(optimizer.param_groups, self._groups, strict=True):
            group.update(mine)  # of this config and world size, not of the run that was stopped
        if state["scaler"]:  # empty of a run without one: fp32 that goes on in fp16 begins with a fresh scale
            self._precision.scaler.load_state_dict(state["scaler"])  # type: ignore[arg-type]
        self._feed.load_state_dict(state["feed"])  # type: ignore[arg-type]
        self._window.load_state_dict(state["window"], self._comm)  # type: ignore[arg-type]
        said: Any = state["said"]
        self._epoch_metrics, self._validated, (self._first, self._last) = (
            said["epoch"],
            said["validation"],
            said["loss"],
        )
        self._skipped, self._step, self._saved_at = int(state["skipped"]), step, step  # type: ignore[call-overload]
        self._skips_in_a_row = int(state.get("skips_in_a_row", 0))  # type: ignore[call-overload]
        if self._comm.rank == 0:
            nothing = f"already at step {step}, beyond train.steps={self._config.steps}; nothing to do"
            print(
                nothing if self.beyond else f"going on from step {step}, written by {state['world']} ranks", flush=True
            )

    @property
    def beyond(self) -> bool:
        """Whether more steps are done than are asked for."""
        return self._step > self._config.steps

    def _save(self, score: float | None) -> None:
        if self._saved_at == self._step:
            return
        window = self._window.state_dict(self._comm)
        if not ranks_agree(self._task.model, self._comm):
            raise RanksDiffer(
                f"at step {self._step} the ranks hold different weights or buffers; this checkpoint is not written"
            )
        if self._comm.rank == 0:
            state = {
                "model": self._task.model.state_dict(),
                "optimizer": self._averaged.optimizer.state_dict(),
                "scaler": self._precision.scaler.state_dict(),
                "feed": self._feed.state_dict(),
                "window": window,
                "skipped": self._skipped,
                "skips_in_a_row": self._skips_in_a_row,
                "said": {
                    "epoch": self._epoch_metrics,
                    "validation": self._validated,
                    "loss": [self._first, self._last],
                },
                "world": self._comm.size,
            }
            self._checkpoints.save(state, self._step, score)
        self._saved_at = self._step

    # --- steps --------------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, float]:
        config, stopped = self._config, False
        batches = self._feed.batches()
        self._since = time.monotonic()
        while self._step < config.steps:
            if any_rank(self._context.should_stop(), self._comm):  # one rank that is asked to stop stops all
                stopped = True
                break
            epoch = int(self._feed.epoch)
            self._train_step(batches)
            last = self._step == config.steps
            if last or self._step % config.log_every == 0:
                self._record()
            if int(self._feed.epoch) > epoch:  # after the record, which shows what the epoch counted
                self._end_epoch()
            due = config.validate_every and self._step % config.validate_every == 0
            if last or due:
                self._validate()
            if last or due or self._step % config.checkpoint_every == 0:
                self._save(self._validated.get("validation/loss") if last or due else None)
        if stopped:
            self._save(None)
        done = {"step": float(self._step), "stopped": float(stopped), "skipped": float(self._skipped)}
        done["weights"] = float(sum(p.numel() for p in self._task.model.parameters() if p.requires_grad))
        return {**done, "loss_first": self._first, "loss": self._last, **self._epoch_metrics, **self._validated}

    def _train_step(self, batches: Iterator[Batch]) -> None:
        config, optimizer = self._config, self._averaged.optimizer
        torch.manual_seed(_seed(config.seed, self._step, self._comm.rank))
        self._task.model.train()
        set_lr(optimizer, lr_factor(self._step, config))
        optimizer.zero_grad()
        sums: dict[str, torch.Tensor] = {}
        for _ in range(config.accumulate):
            begun = time.perf_counter()
            batch = next(batches)
            self._wait_s += time.perf_counter() - begun
            with self._precision.autocast():
                scalars = self._task.loss(batch, self._step)
            self._precision.backward(scalars["loss"] / config.accumulate)
            self._feed.advance()
            for name, value in scalars.items():
                sums[name] = sums.get(name, 0) + value.detach() / config.accumulate
        norm = self._update(sums["loss"])
        if norm is not None:
            self._window.add({**sums, "grad_norm": norm})
        self._window_steps += 1
        self._step += 1

    def _update(self, loss: torch.Tensor) -> torch.Tensor | None:
        """Average, clip, step; the gradient's norm, None when it is not finite and the step was left out.

        Averaged gradients are equal on all ranks, so all of them see it. `loss` is this rank's: it tells where it came from.
        """
        optimizer, scaler = self._averaged.optimizer, self._precision.scaler
        self._averaged.average()
        scaler.unscale_(optimizer)
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        limit = self._config.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        finite = bool(torch.isfinite(norm))
        if not finite:
            self._refuse(bool(torch.isfinite(loss)))
        if finite:  # the scaler alone would step where only the norm is too large for a number
            with self._averaged.stepping():
                scaler.step(optimizer)
        scaler.update()
        self._skips_in_a_row = 0 if finite else self._skips_in_a_row
        return norm if finite else None

    def _refuse(self, finite: bool) -> None:
        """Count a step that is left out; stop when the policy says so. `finite`: this rank's loss was."""
        self._skipped += 1
        if self._precision.can_scale_down and not ranks_where(not finite, self._comm):
            return  # what fp16 could not hold: the scaler, which begins high on purpose, comes down by itself
        self._skips_in_a_row += 1
        too_many = self._skips_in_a_row > self._config.max_skips
        if self._config.on_nan == "skip" and not too_many:
            return
        ranks = ranks_where(not finite, self._comm)
        where = f"the loss of ranks {ranks} is not" if ranks else "the loss is, on all ranks"
        again = f" {self._skips_in_a_row} times in a row" if too_many else ""
        raise FloatingPointError(
            f"the gradient is not finite{again} at step {self._step} ({where}); try a smaller train.lr, or more train.warmup"
        )

    # --- what is said -------------------------------------------------------------------------------------------------

    def _record(self) -> None:
        metrics = self._window.means(self._comm) | self._task.metrics() | {"skipped": float(self._skipped)}
        now = time.monotonic()
        elapsed, steps = now - self._since, max(1, self._window_steps)
        clips = steps * self._config.accumulate * self._feed.clips * self._comm.size
        speed = {
            "epoch": self._feed.epoch,
            "lr": float(self._averaged.optimizer.param_groups[0]["lr"]),
            "clips_per_s": clips / max(elapsed, 1e-9),
            "step_ms": 1000 * elapsed / steps,
            "data_wait": self._wait_s / max(elapsed, 1e-9),
            **self._context.measured(),
        }
        self._last = metrics.get("loss", self._last)
        self._first = self._last if math.isnan(self._first) else self._first
        self._since, self._wait_s, self._window_steps = now, 0.0, 0
        self._say(metrics | speed)
        if self._recorder is not None:
            self._recorder.progress(self._step, metrics | speed)

    def _say(self, metrics: Mapping[str, float]) -> None:
        self._context.report(self._step, metrics)
        if self._recorder is not None:
            self._recorder.record(self._step, metrics)

    def _validate(self) -> None:
        """Means over the whole validation split, and pictures of its first clip."""
        begun = time.monotonic()
        batches, limit = self._feed.validation(), self._config.validate_batches
        found, first = validate(self._task, batches, self._comm, self._precision, limit)
        self._validated = {f"validation/{name}": value for name, value in found.items() if found["clips"]}
        self._say(self._validated)
        if self._recorder is not None and first is not None:
            with torch.no_grad(), self._precision.autocast():
                self._recorder.pictures(self._step, self._task.pictures(first), self._task.fps)
                self._recorder.sounds(self._step, self._task.sounds(first), self._task.sample_rate)
        self._since += time.monotonic() - begun

    def _end_epoch(self) -> None:
        self._epoch_metrics = {f"epoch/{name}": value for name, value in self._task.epoch_end().items()}
        self._say(self._epoch_metrics)

    def close(self) -> None:
        if self._recorder is not None:
            self._recorder.close()


def _seed(seed: int, step: int, rank: int) -> int:
    """A number for each draw of (seed, step, rank), far from its neighbours' (SplitMix64's finaliser)."""
    value = (seed << 40) ^ (step << 12) ^ rank
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = ((value ^ (value >> shift)) * factor) & (2**64 - 1)
    return value ^ (value >> 31)
