"""What a study's page says without a run: the command of its best trial."""

from __future__ import annotations

import shlex
from pathlib import Path

from hpc.options import parser
from sweeps.command import JOURNAL
from sweeps.opening import open_sweep
from sweeps.options import Options
from sweeps.place import find_place
from sweeps.reaper import prepare
from sweeps.report import main, run_command
from sweeps.storage import open_storage
from sweeps.trial_folder import TASK, Outcome
from tests.contracts.studies import ME, PLAN


def test_the_best_trials_command_has_its_ranks(tmp_path: Path):
    options = Options("", 1, 1, "random", "none", None, 0, "", 5, 1, nodes=2, ranks_per_node=4)
    sweep = open_sweep(open_storage(find_place(None, tmp_path / "study.log", {})), "it's; $HOME", PLAN)
    running = sweep.claim(tmp_path / "my runs", ME, sampler="random", trials=1, seed=1)
    assert running is not None
    prepare(sweep, running, options)
    assert sweep.settle(running, Outcome("complete", metrics={"loss": 1.0})) == "complete"
    (trial,) = sweep.trials()
    words = shlex.split(run_command(sweep, trial))
    given = parser().parse_intermixed_args(words[3:])
    assert (given.nodes, given.ranks_per_node) == (2, 4)
    assert given.settings == ["stage=selftest", *PLAN.overrides(trial.params)]
    (running.folder / TASK).unlink()
    assert "--nodes" not in run_command(sweep, trial), "where nobody knows, nothing is said"


def test_runs_that_were_moved_have_ranks_on_the_page(tmp_path: Path):
    options = Options("", 1, 1, "random", "none", None, 0, "", 5, 1, nodes=2, ranks_per_node=4)
    folder = tmp_path / "runs" / "planes"
    sweep = open_sweep(open_storage(find_place(None, folder / JOURNAL, {})), "planes", PLAN).seen_from(folder)
    running = sweep.claim(folder, ME, sampler="random", trials=1, seed=1)
    assert running is not None
    prepare(sweep, running, options)
    sweep.settle(running, Outcome("complete", metrics={"loss": 1.0}))
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert main(["planes", "--runs", str(tmp_path / "moved")]) == 0
    assert "--nodes 2 --ranks-per-node 4" in (tmp_path / "moved" / "planes" / "report.html").read_text()
    assert not (tmp_path / "runs").exists()
