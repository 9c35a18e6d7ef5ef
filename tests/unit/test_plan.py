"""From what was asked to what will be submitted: shape, identity, and what is refused before the queue."""

import json
import os
from pathlib import Path

import pytest

from hpc.checks import check_fits, check_place, check_time, check_torch, warn_crowded
from hpc.job import JobError, JobSpec
from hpc.partitions import Partition
from hpc.plan import make_plan
from hpc.profiles import find_profile, load_profile, profile_names
from hpc.request import Request
from tests.unit.fake_slurm import ROSIE, FakeSlurm
from tests.unit.inputs import write_clips
from v2a.stages import input_contents, load_config, stage_names

MIXED = "all*|20|gpu:t4:4|72|infinite\nall*|3|gpu:v100:8|80|infinite\nall*|5|(null)|32|infinite\n"
_PARTITIONS = {
    "t4": Partition("t4", 4, 4, default=True, cpus=8, minutes=90),
    "dgx": Partition("dgx", 1, 8, default=False, cpus=8),
}


def _spec(**changes: object) -> JobSpec:
    return JobSpec("selftest", (), Path("/runs/x"), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"nodes": 4, "gpus_per_node": 4}, None),
        ({"partition": "dgx", "gpus_per_node": 8}, None),
        ({"nodes": 5}, "partition t4 has 4 nodes, but --nodes 5 were asked for"),
        ({"gpus_per_node": 5}, "nodes of partition t4 have 4 GPUs each, but --gpus-per-node 5 were asked"),
        ({"partition": "dgx", "nodes": 2}, "partition dgx has 1 nodes, but --nodes 2"),
        ({"partition": "gpu"}, "there is no partition 'gpu'; there are: t4, dgx"),
        (
            {"ranks_per_node": 4, "cpus_per_rank": 3},
            "have 8 cores each, but --ranks-per-node 4 times --cpus-per-rank 3 asks for 12",
        ),
        ({"minutes": 91}, "partition t4 has a time limit of 1:30:00, but --time 1:31:00 was asked for"),
        ({"minutes": 90}, None),
        ({"minutes": 10000, "partition": "dgx"}, None),
    ],
)
def test_what_the_queue_could_never_start_is_refused(changes: dict[str, object], message: str | None):
    def check() -> None:
        check_fits(spec, _PARTITIONS)
        check_time(spec, _PARTITIONS)

    spec = _spec(**changes)
    if message is None:
        check()
        assert spec.nodes <= 4
        return
    with pytest.raises(JobError, match=message):
        check()


def test_a_cluster_without_a_default_partition_wants_one_chosen():
    known = {name: Partition(name, 1, 0, default=False, cpus=8) for name in ("a", "b")}
    with pytest.raises(JobError, match="no default partition; choose one with --partition: a, b"):
        check_fits(_spec(), known)


@pytest.mark.parametrize(
    ("version", "gpu", "gpus", "said"),
    [
        ("2.10.0", "v100", 8, []),
        ("2.11.0", "v100", 8, None),
        ("2.13.0+cu130", "v100", 8, None),
        ("2.13.0+cu126", "v100", 8, []),
        ("2.13.0", "t4", 4, []),
        ("2.13.0+cpu", "v100", 8, ["torch 2.13.0+cpu knows no GPU: the ranks train on their CPUs"]),
        ("2.13.0", "v100", 0, []),
    ],
)
def test_torch_must_have_kernels_for_the_gpu(
    version: str, gpu: str, gpus: int, said: list[str] | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    if said is not None:
        assert check_torch(_spec(gpus_per_node=gpus), gpu) == said
        return
    with pytest.raises(
        JobError, match=r"has no kernels for V100 \(sm_70\); install one that has: pip install -c constraints"
    ):
        check_torch(_spec(gpus_per_node=gpus), gpu)


def test_a_full_disk_is_said_before_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 5e8}))
    with pytest.raises(JobError, match=r"has 0.5 GB free, and a run needs 1.1; make room"):
        check_place(tmp_path / "runs" / "x", slurm=True)


def _plan(runs: Path, **asked: object) -> JobSpec:
    return make_plan(Request(**{"stage": "selftest", "runs": runs, **asked})).spec  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sinfo", "asked", "expected"),
    [
        # nodes x ranks, GPUs, cores, minutes
        (ROSIE, {"nodes": 2}, (2, 4, 4, 16, 1440)),
        (ROSIE, {"partition": "batch"}, (1, 4, 4, 16, 2880)),
        (ROSIE, {"partition": "dgx"}, (1, 8, 8, 8, 1440)),
        (ROSIE, {"ranks_per_node": 2}, (1, 2, 2, 16, 1440)),
        (ROSIE, {"gpus_per_node": 2}, (1, 2, 2, 16, 1440)),
        (ROSIE, {"ranks_per_node": 3, "gpus_per_node": 3, "cpus_per_rank": 5, "minutes": 7}, (1, 3, 3, 5, 7)),
        # A cluster that no profile knows: a rank for each GPU, and the cores shared out.
        ("gpu*|9|gpu:a:8|64|5:00:00\n", {"nodes": 3}, (3, 8, 8, 8, 60)),
        ("gpu*|9|gpu:a:8|64|0:30:00\n", {"nodes": 3}, (3, 8, 8, 8, 30)),
        ("cpu*|9|(null)|64|infinite\n", {"nodes": 3}, (3, 1, 0, 1, 60)),
        # Nodes of several kinds: what enough of them have.
        (MIXED, {"nodes": 3}, (3, 8, 8, 10, 60)),
        (MIXED, {"nodes": 10}, (10, 4, 4, 18, 60)),
        (MIXED, {"nodes": 25}, (25, 1, 0, 32, 60)),
        # Without MPI tasks are shared out on one node.
        (
            MIXED,
            {"stage": "prepare", "settings": ("videos=.",), "nodes": 3, "ranks_per_node": 4, "controller": "gloo"},
            (1, 1, 0, 4, 60),
        ),
    ],
)
def test_what_is_left_out_follows_from_the_cluster(
    sinfo: str, asked: dict[str, object], expected: tuple[int, ...], tmp_path: Path, fake_slurm: FakeSlurm
):
    (fake_slurm.folder / "sinfo").write_text(sinfo)
    spec = _plan(tmp_path, **asked)
    assert (spec.nodes, spec.ranks_per_node, spec.gpus_per_node, spec.cpus_per_rank, spec.minutes) == expected


def test_more_than_enough_nodes_have_is_refused(tmp_path: Path, fake_slurm: FakeSlurm):
    (fake_slurm.folder / "sinfo").write_text(MIXED)
    with pytest.raises(
        JobError, match="partition all has 3 nodes with 8 GPUs and 8 cores, but --nodes 10 were asked for"
    ):
        _plan(tmp_path, nodes=10, gpus_per_node=8, cpus_per_rank=1)


def test_too_many_excluded_nodes_are_refused(tmp_path: Path, fake_slurm: FakeSlurm):
    assert _plan(tmp_path, nodes=2, exclude="t4-[1-2]").exclude == "t4-[1-2]"
    with pytest.raises(JobError, match=r"partition t4 has 2 nodes without t4-\[1-2\], but --nodes 3 were asked for"):
        _plan(tmp_path, nodes=3, exclude="t4-[1-2]")


def test_ranks_that_would_share_gpus_are_refused(
    tmp_path: Path, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hpc.checks.knows_no_gpu", lambda: False)
    monkeypatch.setattr("hpc.plan.knows_no_gpu", lambda: False)
    with pytest.raises(
        JobError, match="expected a GPU for each rank, but --ranks-per-node 8 would share --gpus-per-node 4"
    ):
        _plan(tmp_path, ranks_per_node=8, gpus_per_node=4, cpus_per_rank=1)


@pytest.mark.parametrize("cpu", [True, False])
def test_half_precision_is_for_gpus(cpu: bool, tmp_path: Path, fake_slurm: FakeSlurm, monkeypatch: pytest.MonkeyPatch):
    (fake_slurm.folder / "sinfo").write_text(ROSIE)
    monkeypatch.setattr("hpc.checks._torch_version", lambda: "2.10.0+cpu" if cpu else "2.10.0")
    write_clips(tmp_path / "clips")
    asked = {"stage": "vqvae", "settings": (f"data={tmp_path / 'clips'}",), "partition": "dgx"}
    assert ("train.precision=fp16" in _plan(tmp_path, **asked).overrides) is not cpu
    assert "train.precision=fp16" not in _plan(tmp_path, **asked, gpus_per_node=0).overrides


@pytest.mark.parametrize("option", ["partition", "account", "qos", "exclude"])
def test_a_line_break_would_be_a_command_of_the_batch_script(option: str):
    with pytest.raises(JobError, match=f"expected --{option} without line breaks"):
        _spec(**{option: "me\ntouch HACKED #"})


def test_preparing_needs_no_gpu(tmp_path: Path, fake_slurm: FakeSlurm):
    (fake_slurm.folder / "sinfo").write_text(ROSIE)
    assert _plan(tmp_path, stage="prepare", settings=(f"videos={tmp_path}",)).gpus_per_node == 0


def test_the_cluster_is_asked_before_the_queue_and_not_after(tmp_path: Path, fake_slurm: FakeSlurm):
    make_plan(Request("selftest", runs=tmp_path, where="slurm"))
    assert len((fake_slurm.folder / "calls").read_text().splitlines()) == 1


def _name(runs: Path, *settings: str, stage: str = "selftest", **asked: object) -> str:
    return _plan(runs, stage=stage, settings=settings, where="local", **asked).run_dir.name


def test_what_can_change_a_result_names_the_folder(tmp_path: Path):
    name = _name(tmp_path, "steps=5")
    assert _name(tmp_path, "steps=5", minutes=7, restarts=1) == name
    assert _name(tmp_path, "steps=6") != name
    assert _name(tmp_path, "steps=5", nodes=2) != name, "more ranks make larger batches"
    assert _name(tmp_path, "steps=5", nodes=2) == _name(tmp_path, "steps=5", ranks_per_node=2)
    assert _name(tmp_path, "steps=5", name="mine") == "mine"


def test_ranks_that_share_out_tasks_make_the_same(tmp_path: Path):
    one = _name(tmp_path, f"videos={tmp_path}", stage="prepare")
    assert _name(tmp_path, f"videos={tmp_path}", "threads=3", stage="prepare", nodes=4) == one
    assert _name(tmp_path, f"videos={tmp_path}", "fit=crop", stage="prepare") != one


def test_the_same_command_in_another_folder_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    names = []
    for place in ("a", "b"):
        write_clips(tmp_path / place / "clips")
        monkeypatch.chdir(tmp_path / place)
        names.append(_name(tmp_path / "runs", "data=clips", stage="vqvae"))
        assert _name(tmp_path / "runs", f"data={tmp_path / place / 'clips'}", stage="vqvae") == names[-1]
    (tmp_path / "link").symlink_to(tmp_path / "b" / "clips")
    assert _name(tmp_path / "runs", "data=../link", stage="vqvae") == names[1]
    assert names[0] != names[1]


def test_a_data_set_that_was_prepared_anew_makes_another_run(tmp_path: Path):
    clips = write_clips(tmp_path / "clips")
    before = _name(tmp_path, f"data={clips}", stage="vqvae")
    manifest = json.loads((clips / "dataset.json").read_text())
    (clips / "dataset.json").write_text(json.dumps({**manifest, "settings": {"threads": 3}}, indent=1))
    assert _name(tmp_path, f"data={clips}", stage="vqvae") == before, "the same clips"
    manifest["shards"][0]["table"] = "other"
    (clips / "dataset.json").write_text(json.dumps(manifest))
    assert _name(tmp_path, f"data={clips}", stage="vqvae") != before


@pytest.mark.parametrize("listed", ["", "list.txt", "list.csv"])
def test_videos_are_known_by_names_sizes_and_times(listed: str, tmp_path: Path):
    def digest() -> str:
        return input_contents(load_config("prepare", [f"videos={videos / listed}"])).get("videos", "")

    videos = tmp_path / "it's\n$HOME"
    videos.mkdir()
    (videos / "a.mp4").write_bytes(b"1")
    (videos / "b.mp4").write_bytes(b"2")
    (videos / "list.txt").write_text("a.mp4\nb.mp4\nmissing.mp4\n")
    (videos / "list.csv").write_text("path\na.mp4\nb.mp4\n")
    seen = [digest()]
    assert digest() == seen[0] != ""
    (videos / "b.mp4").write_bytes(b"22")
    seen.append(digest())
    os.utime(videos / "b.mp4", (7, 7))
    seen.append(digest())
    (videos / "b.mp4").unlink()
    seen.append(digest())
    assert len(set(seen)) == 4
    assert input_contents(load_config("prepare", ["videos=/nowhere"])) == {}


def test_more_ranks_than_cores_are_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    assert warn_crowded(_spec(nodes=3)) == ""
    assert warn_crowded(_spec(nodes=4)).startswith("4 ranks on this machine, which has 3 cores for them")


def test_profiles_are_whole():
    assert profile_names() == ["rosie", "testbed"]
    for name in profile_names():
        profile = load_profile(name)
        assert profile.partition in profile.partitions
        assert find_profile(profile.partitions) == name
        for partition in profile.partitions:
            for stage in stage_names():
                load_config(stage, profile.settings_for(partition, stage))
    assert find_profile(["t4"]) is None
    assert find_profile([]) is None


def test_a_precision_that_a_gpu_has_not_is_in_no_profile():
    for name in profile_names():
        settings = load_profile(name).settings
        assert {"t4", "v100"} <= settings.keys()
        assert "bf16" not in str(settings)
