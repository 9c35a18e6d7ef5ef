"""The test cluster without bringing it up: its files, names and addresses, its refusals, and what it will not touch."""

import ipaddress
import os
import subprocess
import sys
from pathlib import Path

import pytest

from slurm.testbed import faults, files, guards, lifecycle, network, processes
from slurm.testbed.layout import LONGEST_STATE_PATH, NODES, PARTITIONS, Addresses, Cluster, TestbedError, find_node
from tests.house.source import CHECKOUT

_GOLDEN = Path(__file__).parents[1] / "golden"
_CLUSTER = Cluster(Path("/var/tmp/c"))
_ADDRESSES = Addresses(ipaddress.IPv4Network("10.77.5.0/24"))


# --- files and names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("golden", "rendered"),
    [
        ("slurm.conf", files.slurm_conf(_CLUSTER, _ADDRESSES)),
        ("slurmdbd.conf", files.slurmdbd_conf(_CLUSTER, _ADDRESSES, "a-made-up-password")),
        ("gres.conf", files.gres_conf(_CLUSTER)),
        ("mpi.conf", files.mpi_conf()),
        ("hosts", files.hosts_file(_ADDRESSES, _CLUSTER)),
    ],
)
def test_files_are_the_golden_ones(golden: str, rendered: str):
    assert rendered == (_GOLDEN / golden).read_text()


def test_two_folders_are_two_clusters():
    other = Cluster(Path("/var/tmp/d"))
    assert _CLUSTER.key != other.key
    assert _CLUSTER.mark != other.mark
    assert _CLUSTER.interface != other.interface
    assert Cluster(Path("/var/tmp/c"), (Path("/srv"),)).key == _CLUSTER.key, "what it shares is not who it is"


def test_the_interfaces_name_fits_the_kernel():
    assert len(_CLUSTER.interface) <= 15
    assert _CLUSTER.interface.isalnum()


def test_every_node_has_a_partition_and_an_address_of_its_own():
    assert {name for partition in PARTITIONS for name in partition.nodes} == {node.name for node in NODES}
    assert [partition.name for partition in PARTITIONS if partition.default] == ["t4"]
    addresses = [_ADDRESSES.shell, *(_ADDRESSES.of(host) for host in _CLUSTER.hosts)]
    assert len(set(addresses)) == len(addresses) == 7
    assert all(ipaddress.IPv4Address(address) in _ADDRESSES.subnet for address in addresses)


def test_an_unknown_host_has_no_address():
    with pytest.raises(KeyError):
        _ADDRESSES.of("t4-9")


def test_an_unknown_node_names_the_known():
    assert find_node("dgx-1").gpu_type == "v100"
    with pytest.raises(TestbedError, match="there is no node 't4-9'; the nodes are t4-1, t4-2, t4-3, t4-4, dgx-1"):
        find_node("t4-9")


# --- guards ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "usable"),
    [
        ("/var/tmp/c", True),
        ("/srv/a-b_c.d+e/1", True),
        ("/srv/with space", False),
        ("/srv/quote'd", False),
        ("/srv/new\nline", False),
        ("/srv/new-line-at-the-end\n", False),
        ("/srv/a,b", False),
        ("/srv/a=b", False),
        ("/srv/50%", False),
        ("/srv/Zürich", False),
        ("/" + "x" * (LONGEST_STATE_PATH - 1), True),
        ("/" + "x" * LONGEST_STATE_PATH, False),
    ],
)
def test_the_folders_path_must_suit_slurm_and_sockets(path: str, usable: bool):
    assert guards.path_is_usable(Path(path)) is usable
    if not usable:
        with pytest.raises(
            TestbedError, match=rf"expected at most {LONGEST_STATE_PATH} characters .* CLUSTER_DIR=/var/tmp"
        ):
            guards._check_path(Path(path))


@pytest.fixture
def no_system_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "_SYSTEM_CONFIGS", ())


def test_a_machines_own_slurm_is_not_disturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = tmp_path / "slurm.conf"
    monkeypatch.setattr(guards, "_SYSTEM_CONFIGS", (str(config),))
    guards._check_no_other_slurm(_CLUSTER, {})
    config.write_text("ClusterName=rosie\n")
    with pytest.raises(TestbedError, match=f"already configured on this machine \\({config}\\).*nothing was touched"):
        guards._check_no_other_slurm(_CLUSTER, {})


def test_a_slurm_of_this_shell_is_not_disturbed(tmp_path: Path, no_system_slurm: None):
    config = tmp_path / "slurm.conf"
    config.write_text("ClusterName=rosie\n")
    with pytest.raises(TestbedError, match=f"already configured on this machine \\({config}\\)"):
        guards._check_no_other_slurm(_CLUSTER, {"SLURM_CONF": str(config)})


def test_its_own_and_another_test_clusters_configuration_are_no_obstacle(tmp_path: Path, no_system_slurm: None):
    mine, other = Cluster(tmp_path / "mine"), Cluster(tmp_path / "other")
    other.slurm_conf.parent.mkdir(parents=True)
    other.slurm_conf.write_text(files.slurm_conf(other, _ADDRESSES))
    for config in ("", str(mine.slurm_conf), str(other.slurm_conf), str(tmp_path / "gone")):
        guards._check_no_other_slurm(mine, {"SLURM_CONF": config})
    mine.slurm_conf.parent.mkdir(parents=True)
    mine.slurm_conf.write_text("half written")
    guards._check_no_other_slurm(mine, {"SLURM_CONF": str(mine.slurm_conf)})
    assert guards._is_foreign_config(mine.slurm_conf, other)


def test_inside_a_job_it_is_refused(no_system_slurm: None):
    with pytest.raises(TestbedError, match=r"inside a Slurm job \(SLURM_JOB_ID is set\)"):
        guards._check_no_other_slurm(_CLUSTER, {"SLURM_JOB_ID": "5"})


def test_without_root_it_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guards.os, "geteuid", lambda: 1000)
    with pytest.raises(TestbedError, match=r"needs root: .* everything else of the project works without"):
        guards.check_can_run(_CLUSTER)


def test_missing_programs_are_named_by_package(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(guards.shutil, "which", lambda name, path: None if name in ("munged", "slurmd") else name)
    with pytest.raises(TestbedError, match=r"apt-get install munge slurm-wlm$"):
        guards._check_programs()


# --- what it removes -------------------------------------------------------------------------------------------------


@pytest.fixture
def no_kernel(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Nothing is killed and no interface is deleted; what would have been is written down."""
    asked: list[str] = []
    monkeypatch.setattr(processes, "kill_hosts", lambda cluster, *hosts: asked.append("kill"))
    monkeypatch.setattr(network, "remove_interface", lambda cluster: asked.append("interface"))
    return asked


def test_a_folder_that_is_not_a_clusters_is_refused_and_left(tmp_path: Path, no_kernel: list[str]):
    """CLUSTER_DIR=$HOME must not end in tears."""
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "etc").mkdir()
    for act in (lifecycle._remove, lambda cluster: lifecycle.down(cluster, print)):
        with pytest.raises(TestbedError, match="is not empty and no test cluster's folder, so nothing was done to it"):
            act(Cluster(tmp_path))
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["etc", "thesis.tex"]
    assert no_kernel == []


def test_a_clusters_folder_goes_whole_and_nothing_that_it_points_to(tmp_path: Path, no_kernel: list[str]):
    state, outside = tmp_path / "state", tmp_path / "outside"
    outside.mkdir()
    (outside / "data").touch()
    (state / "etc").mkdir(parents=True)
    (state / "etc" / "slurm.conf").touch()
    (state / "link").symlink_to(outside)
    (state / "loose").touch()
    cluster = Cluster(state)
    cluster.marker_file.touch()
    lifecycle._remove(cluster)
    assert not state.exists()
    assert (outside / "data").exists()
    assert no_kernel == ["kill", "interface"], "processes first: they write into the folder"


@pytest.mark.parametrize("there", [True, False])
def test_an_empty_or_missing_folder_is_fine(there: bool, tmp_path: Path, no_kernel: list[str]):
    state = tmp_path / "state"
    if there:
        state.mkdir()
    lifecycle._remove(Cluster(state))
    assert not state.exists()


def test_an_interrupted_removal_can_be_taken_up_again(
    tmp_path: Path, no_kernel: list[str], monkeypatch: pytest.MonkeyPatch
):
    cluster = Cluster(tmp_path / "state")
    (cluster.state / "mysql").mkdir(parents=True)
    (cluster.state / "log").mkdir()
    cluster.marker_file.touch()
    remove = lifecycle.shutil.rmtree

    def interrupted_at_the_end(path: Path) -> None:
        if path == cluster.state:
            raise KeyboardInterrupt
        remove(path)

    with monkeypatch.context() as power_cut:
        power_cut.setattr(lifecycle.shutil, "rmtree", interrupted_at_the_end)
        with pytest.raises(KeyboardInterrupt):
            lifecycle._remove(cluster)
    assert list(cluster.state.iterdir()) == [cluster.marker_file]
    lifecycle._remove(cluster)
    assert not cluster.state.exists()


def test_the_logs_of_a_failed_cluster_are_kept_beside_it(tmp_path: Path):
    cluster = Cluster(tmp_path / "state")
    (cluster.state / "log").mkdir(parents=True)
    (cluster.state / "log" / "slurmctld.log").write_text("fatal: no\n")
    (cluster.state / "log" / "munged.log").write_bytes(b"\xff\n")
    saved = lifecycle._save_logs(cluster)
    assert saved == tmp_path / "state-failed.log"
    assert saved.read_text() == "==== munged.log\n\ufffd\n\n==== slurmctld.log\nfatal: no\n\n"
    assert lifecycle._save_logs(Cluster(tmp_path / "never")) is None


# --- one at a time ---------------------------------------------------------------------------------------------------

_HOLDER = """
import sys
from slurm.testbed.network import machine_wide_lock
with machine_wide_lock(sys.argv[1], "busy", wait_s=0):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_excludes_another_process_and_ends_with_it():
    name = f"v2a-test-{os.getpid()}"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, name], cwd=CHECKOUT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(TestbedError, match=r"^another one is up to something$"):
            _take(name, "another one is up to something", wait_s=0)
        with pytest.raises(TestbedError, match="busy"):
            _take(name, "busy", wait_s=0.3)
        _take(name + "-other", "busy", wait_s=0)
    finally:
        holder.kill()
        holder.communicate()
    _take(name, "busy", wait_s=5)
    _take(name, "busy", wait_s=0)


def _take(name: str, busy: str, wait_s: float) -> None:
    with network.machine_wide_lock(name, busy, wait_s):
        pass


# --- the network -----------------------------------------------------------------------------------------------------


def _networks(*texts: str) -> list[ipaddress.IPv4Network]:
    return [ipaddress.IPv4Network(text) for text in texts]


def test_a_folder_keeps_its_subnet_where_it_can(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(network, "_networks_in_use", list)
    chosen = network.choose_subnet(_CLUSTER).subnet
    assert chosen == network.choose_subnet(_CLUSTER).subnet
    assert chosen.subnet_of(ipaddress.IPv4Network("10.77.0.0/16"))
    assert chosen.prefixlen == 24


@pytest.mark.parametrize("length", [24, 25, 32, 20])
def test_a_subnet_in_use_is_avoided(length: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(network, "_networks_in_use", list)
    first = network.choose_subnet(_CLUSTER).subnet
    taken = ipaddress.IPv4Network(f"{first.network_address}/{length}", strict=False)
    monkeypatch.setattr(network, "_networks_in_use", lambda: [taken])
    assert not network.choose_subnet(_CLUSTER).subnet.overlaps(taken)


def test_the_last_free_subnet_is_found(monkeypatch: pytest.MonkeyPatch):
    taken = _networks(*(f"10.77.{number}.0/24" for number in range(256) if number != 3))
    monkeypatch.setattr(network, "_networks_in_use", lambda: taken)
    assert network.choose_subnet(_CLUSTER).subnet == ipaddress.IPv4Network("10.77.3.0/24")


def test_no_free_subnet_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(network, "_networks_in_use", lambda: _networks("10.77.0.0/16"))
    with pytest.raises(TestbedError, match=r"every /24 of 10.77.0.0/16 is in use on this machine"):
        network.choose_subnet(_CLUSTER)


def test_networks_in_use_are_those_of_routes_and_addresses(monkeypatch: pytest.MonkeyPatch):
    routes = [
        {"dst": text} for text in ("default", "0.0.0.0/0", "10.0.0.0/8", "10.77.9.0/24", "10.77.8.5", "127.0.0.0/8")
    ]
    links = [{"addr_info": [{"local": "10.77.7.1", "prefixlen": 24}]}, {"addr_info": []}]
    monkeypatch.setattr(network, "_ip_json", lambda *arguments: routes if "route" in arguments else links)
    # 10.0.0.0/8, a VPN's, is narrowed by ours without harm.
    assert set(network._networks_in_use()) == set(_networks("10.77.9.0/24", "10.77.8.5/32", "10.77.7.0/24"))


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target", ["t4-9", "", "slurmd", "t4-1/munged", "t4-1/", "slurmctld/slurmd", "ctl", "t4-1/slurmd/x"]
)
def test_an_unknown_target_names_the_known(target: str):
    for act in (faults.kill, faults.restart):
        with pytest.raises(TestbedError, match=r"nothing called .*nodes t4-1, .*munged, mariadbd, slurmdbd, slurmctld"):
            act(_CLUSTER, target)


@pytest.mark.parametrize("target", ["t4-9", "slurmctld", "t4-1/slurmd"])
def test_only_nodes_have_cables(target: str):
    for act in (faults.cut, faults.heal):
        with pytest.raises(TestbedError, match=f"there is no node '{target}'; the nodes are t4-1"):
            act(_CLUSTER, target)


@pytest.mark.parametrize(
    ("target", "place"),
    [("t4-2", ("t4-2", None)), ("dgx-1/slurmd", ("dgx-1", "slurmd")), ("munged", ("ctl", "munged"))],
)
def test_targets_are_places(target: str, place: tuple[str, str | None]):
    assert faults._place(target) == place


def test_faults_of_a_cluster_that_is_down_say_what_to_do(tmp_path: Path):
    cluster = Cluster(tmp_path / "never-up")
    with pytest.raises(TestbedError, match="bring the cluster up again with: make cluster-up"):
        faults.cut(cluster, "t4-1")
    with pytest.raises(TestbedError, match="start it with: make cluster-fault DO='restart t4-1'"):
        faults.heal(cluster, "t4-1")
    assert faults.kill(cluster, "t4-1") == "t4-1 does not run already"
    with pytest.raises(TestbedError, match=r"the test cluster is not up .*make cluster-up"):
        lifecycle.require_ready(cluster)
