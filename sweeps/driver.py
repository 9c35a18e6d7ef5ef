"""Mode "job": each trial is a run of its own, so many at once; the next one starts when one ends."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hpc.launch import HoldsAnother
from hpc.room import has_room, say
from hpc.slurm_query import SlurmError
from sweeps.brake import Brake
from sweeps.launch import Launcher
from sweeps.options import Options
from sweeps.patience import or_stopped
from sweeps.plan import StudyError
from sweeps.presence import Presence
from sweeps.reaper import find_lost, next_attempt, prepare, settle_ended
from sweeps.running import Running
from sweeps.study import Sweep
from sweeps.table import Table, say_shortfall
from sweeps.trial_folder import Handle, Outcome, hold, is_held, write_handle
from sweeps.unseen import Unseen

_QUIET_S = 60.0  # between two sentences about the same trouble


class Driver:
    """Chooses trials, starts them, and tells the study how they ended. Any number of drivers share a study; what one that was
    killed left behind, the others or the next one take over.

    Args:
        sweep: the study.
        folder: of its runs.
        launcher: how a run is started.
        options: how many, and how they are chosen.
        look_s: between two looks for trials whose process is gone.
    """

    def __init__(self, sweep: Sweep, folder: Path, launcher: Launcher, options: Options, look_s: float = 1.0) -> None:
        self._sweep, self._folder, self._launcher = sweep.seen_from(folder), folder, launcher
        self._options, self._look_s = options, look_s
        self._lock = folder / "drivers" / f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}.lock"
        self._me = Handle("process", str(self._lock), driver=str(self._lock))
        self._table, self._presence, self._unseen = Table(self._sweep), Presence(sweep, folder), Unseen(self._sweep)
        self._looked = self._said = -1e9
        self._brake = Brake()
        self._lost: set[int] = set()  # at the last look
        self._enough = False
        self._running: list[Running] = []  # as far as is known

    def run(self, should_stop: Callable[[], bool]) -> bool:
        """Until the study has its trials and none of them runs.

        Args:
            should_stop: asked again and again.

        Returns:
            Whether it is finished; False when it was asked to stop, also when the storage does not answer.

        Raises:
            sweeps.plan.StudyError: the objective is no metric of the runs; those that run are stopped. Or a folder is another
                study's, or another driver works in a folder that is not seen here, or trials are left in one.
            sweeps.place.StorageError: the storage was away for too long.
            hpc.slurm_query.SlurmError: Slurm takes no job of ours.
            sweeps.brake.JobsDoNotBegin: jobs end before their trials begin.
        """

        def drive() -> bool:
            with self._presence:
                return self._drive(should_stop)

        held = hold(self._lock)
        try:
            return or_stopped(drive, self._stop)
        finally:
            if held is not None:
                os.close(held)
            self._lock.unlink(missing_ok=True)

    def _drive(self, should_stop: Callable[[], bool]) -> bool:
        while True:
            if should_stop():
                self._stop()  # first: the storage may be away
            else:
                self._presence.say()
            self._running = settle_ended(self._sweep, self._sweep.running())
            self._unseen.say()
            if should_stop():
                self._leave(self._running)
                return False
            self._check_objectives(self._running)
            running = self._start_more(self._revive(self._running))
            self._table.show()
            if not running and self._enough and not self._start_more([], again=True) and not self._sweep.running():
                self._table.show(last=True)
                say_shortfall(self._sweep, self._options)
                self._unseen.check()
                return True
            time.sleep(self._launcher.poll_s)

    def _check_objectives(self, running: list[Running]) -> None:
        try:
            self._sweep.check_objectives()
        except StudyError:
            self._leave(running)
            raise

    def _mine(self, running: list[Running]) -> list[Running]:
        """Trials that fill this driver's places: those that it started, those of a driver that is no more, and those that are lost.
        A worker's is the worker's."""
        return [trial for trial in running if trial.number in self._lost or self._is_mine(trial.handle)]

    def _is_mine(self, handle: Handle | None) -> bool:
        if handle is None or handle.driver == str(self._lock):
            return True
        return handle.driver != "" and not is_held(Path(handle.driver))

    def _revive(self, running: list[Running]) -> list[Running]:
        """Start lost trials again, while there is room; those that fail for good are left out."""
        now = time.monotonic()
        if now - self._looked < self._look_s:
            return running
        self._looked = now
        lost = find_lost(running)
        self._brake.look(self._sweep, running, lost)
        self._lost = {trial.number for trial, _ in lost}
        if lost and not self._has_room():
            return running
        room = self._options.parallel - sum(trial.number not in self._lost for trial in self._mine(running))
        for trial, before in lost[: max(0, room)]:
            handle = next_attempt(self._sweep, trial, before, self._me, self._options.retries)
            if handle is not None:
                self._start(trial, handle, others=len(running) > len(lost))
            self._lost.discard(trial.number)
        return self._sweep.running() if lost else running

    def _has_room(self) -> bool:
        """Without it what was begun again would end at once, again and again."""
        if has_room(self._folder):
            return True
        if time.monotonic() - self._said > _QUIET_S:
            self._said = time.monotonic()
            say(f"the disk that holds {self._folder} is full: trials wait until there is room")
        return False

    def _start_more(self, running: list[Running], again: bool = False) -> list[Running]:
        """New trials, up to the number that may run at once."""
        options, mine = self._options, len(self._mine(running))
        while mine < options.parallel and (again or not self._enough):
            trial = self._sweep.claim(
                self._folder, self._me, sampler=options.sampler, trials=options.trials, seed=options.seed
            )
            if trial is None:
                self._enough = True
                break
            self._start(trial, self._me, others=mine > 0)
            running, mine = [*running, trial], mine + 1
        return running

    def _start(self, trial: Running, handle: Handle, others: bool) -> None:
        self._running = [*self._running, trial]
        prepare(self._sweep, trial, self._options)
        try:
            self._launcher.start(trial.folder, handle)
        except (
            HoldsAnother
        ) as error:  # as after a change of the stage's own settings: this trial cannot go on, others can
            self._sweep.settle(trial, Outcome("failed", str(error)))
        except SlurmError as error:
            # Nobody runs it: the next look finds it lost, and tries again without counting this attempt.
            write_handle(trial.folder, replace(handle, name=str(trial.folder / "nobody"), attempt=handle.attempt - 1))
            if not others:
                raise
            if time.monotonic() - self._said > _QUIET_S:
                self._said = time.monotonic()
                print(f"trial {trial.number} waits: {error}", flush=True)

    def _leave(self, running: list[Running]) -> None:
        self._running = running
        self._stop()
        self._table.show(last=True)

    def _stop(self) -> None:
        self._launcher.stop([trial.folder for trial in self._mine(self._running)])
