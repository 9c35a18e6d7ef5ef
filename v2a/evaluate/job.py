"""The stage `evaluate` as a job of independent tasks, one for each clip.

torch is imported where it is used: a process that begins reads this module before it is deaf to Ctrl-C.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from v2a.codes.turns import Lead, Seat
from v2a.evaluate.config import GIVEN, Config
from v2a.evaluate.parts import Part, read_part
from v2a.evaluate.plan import REFERENCE, ClipTask, Plan, load_models, make_plan
from v2a.evaluate.progress import Progress
from v2a.inputs import check_out
from v2a.tasks import Counts, Link
from v2a.whole import remove_unfinished, write_json

_STAGE = "evaluate"
_TOLD = ("log_mel_db", "envelope_r", "centroid_r", "onset_f1", "level_abs_db")


class EvaluateJob:
    """Plans, measures and reports; see `v2a.tasks.Job`. Only its config travels to the workers.

    Args:
        config: validated.
        progress: where the process that leads shows how far it is.
    """

    def __init__(self, config: Config, progress: Progress | None = None) -> None:
        self.config = config
        self._progress = progress or Progress()
        self._out = Path(config.out)
        self._lead = Lead(self._out, _STAGE)
        self._plan = Plan()
        self._lost: list[str] = []
        self._begun = time.monotonic()

    def __reduce__(self) -> tuple[type[EvaluateJob], tuple[Config]]:
        return EvaluateJob, (self.config,)

    def plan(self) -> Sequence[ClipTask]:
        """Load the models, listen to the training split, see what is done.

        Raises:
            ConfigError, ModelError, ShardError: see `make_plan` and `load_models`.
            FolderBusy: another is at work there.
        """
        import torch

        from v2a.training.precision import pick_device

        check_out(self.config.out)
        pick_device(self.config.device, 0)
        models = load_models(self.config, torch.device("cpu"))
        self._lead.take()
        remove_unfinished(self._out)
        self._plan = make_plan(self.config, models, self._progress.show)
        left, all_ = len(self._plan.left), len(self._plan.tasks)
        without = f"; {self._plan.left_out} clips of videos without sound are left out" if self._plan.left_out else ""
        self._progress.say(f"{left} clips to measure, {all_ - left} done before{without}")
        return self._plan.left

    def work(self, link: Link) -> None:
        """One worker: measure clips as the link gives them."""
        tasks = link.tasks()
        # Not before the first task: the process that leads must have seen that no worker of an earlier run is left.
        first: ClipTask | None = next(tasks, None)
        if first is None:
            return
        import torch

        from v2a.evaluate.measure import Measurer
        from v2a.training.precision import pick_device

        with Seat(self._out, _STAGE) as seat:
            threads = torch.get_num_threads()
            torch.set_num_threads(1)  # the same sums in every process; and a process a core needs no more
            try:
                measurer = Measurer(self.config, first.identity, pick_device(self.config.device, seat.number))
                for task in chain([first], tasks):
                    link.durable()
                    measurer.measure(task)
                    link.count({"clips": 1})
            finally:
                torch.set_num_threads(threads)

    def show(self, done: int, total: int, counts: Counts) -> None:
        """Progress, by clips."""
        del done
        self._progress.show("clips", int(counts.get("clips", 0)), total)

    def again(self, task: ClipTask) -> ClipTask:
        """Nothing of a clip is kept before all of it."""
        return task

    def lost(self, task: ClipTask, reason: str) -> None:
        """Said at the end: the other clips are measured first."""
        self._lost.append(f"{task.key} ({reason})")

    def finish(self, counts: Counts, stopped: bool) -> Counts:
        """Add up and report when every clip is measured.

        Raises:
            RuntimeError: clips that ended their process twice.
            OSError: a report cannot be written.
        """
        self._progress.close()
        if self._lost:
            raise RuntimeError(
                f"{len(self._lost)} clips were not measured: {'; '.join(self._lost)}; the same command tries again"
            )
        parts = [part for task in self._plan.tasks if (part := read_part(self._out, task.key, self._plan.identity))]
        found = {"clips": float(len(parts)), "measured": counts.get("clips", 0.0), "stopped": float(stopped)}
        if len(parts) == len(self._plan.tasks):
            found |= self._report(parts)
        else:
            self._progress.say(f"{len(parts)} of {len(self._plan.tasks)} clips are measured; the same command goes on")
        return {**found, "wall_s": time.monotonic() - self._begun}

    def close(self) -> None:
        """Let others into the folder."""
        self._progress.close()
        self._lead.give()

    def _report(self, parts: list[Part]) -> Counts:
        from v2a.evaluate.reference import read_reference
        from v2a.evaluate.report import write_reports
        from v2a.evaluate.sheets import draw_sheets
        from v2a.evaluate.totals import count_up

        reference = read_reference(self._out / REFERENCE, self._plan.identity)
        if reference is None:
            raise RuntimeError(f"{self._out / REFERENCE} is gone; the same command makes it again")
        totals = count_up(parts, reference, self.config.seed)
        write_reports(self._out, self._plan, parts, totals)
        write_json(self._out / GIVEN, {"overrides": self.config.given()})  # no result: the same one may lie elsewhere
        by_key = {part.key: part for part in parts}
        shown = sorted((task for task in self._plan.tasks if task.shown >= 0), key=lambda task: task.shown)
        titles = [f"{Path(by_key[task.key].source).name} {by_key[task.key].start_s:g} s" for task in shown]
        names = [total.name for total in totals.candidates]
        rate = self._plan.settings["geometry"]["sample_rate"]
        pictures = draw_sheets(self._out, titles, names, rate) if titles else []
        self._progress.end(self._out, ["table.md", "metrics.json", "clips.csv", *(path.name for path in pictures)])
        return {
            f"{total.name}/{name}": total.scores[name].value
            for total in totals.candidates
            for name in _TOLD
            if name in total.scores
        }
