"""Lines of sinfo's as partitions."""

import pytest

from hpc.partitions import Partition, parse_partitions
from hpc.slurm_query import SlurmError

_SINFO = "teaching*|18|gpu:t4:4(S:0-1)|72\nteaching*|2|gpu:t4:4|72+\ndgx|3|gpu:v100:8(S:0-1)|80\nhighmem|2|(null)|72\n"


def test_lines_of_a_partition_are_added_up():
    assert parse_partitions(_SINFO) == {
        "teaching": Partition("teaching", 20, 4, default=True, cpus=72, gpu_type="t4"),
        "dgx": Partition("dgx", 3, 8, default=False, cpus=80, gpu_type="v100"),
        "highmem": Partition("highmem", 2, 0, default=False, cpus=72),
    }


def test_the_default_comes_first():
    assert list(parse_partitions("a|1|(null)|8\nb*|1|(null)|8\nc|1|(null)|8\n")) == ["b", "a", "c"]


def test_nodes_of_several_kinds_are_told_apart():
    found = parse_partitions(_SINFO)["teaching"]
    assert [found.nodes_with(*least) for least in ((4, 72), (5, 0), (0, 73))] == [20, 0, 0]
    mixed = parse_partitions("all|20|gpu:t4:4|72\nall|3|gpu:v100:8|80")["all"]
    assert [mixed.gpus_of(nodes) for nodes in (3, 4, 24)] == [8, 4, 8]
    assert [mixed.cpus_of(3, 8), mixed.cpus_of(4, 4)] == [80, 72]


def test_an_answer_that_is_no_partition_is_a_sentence():
    with pytest.raises(SlurmError, match=r"sinfo said 'slurm_load: timeout', which is no partition"):
        parse_partitions("slurm_load: timeout\n")


def test_no_partition_is_no_error():
    assert parse_partitions("") == {}


@pytest.mark.parametrize(
    ("gres", "gpus"),
    [
        ("(null)", 0),
        ("gpu:4", 4),
        ("gpu:4(S:0-1)", 4),
        ("gpu:t4:4", 4),
        ("gpu:t4:4(S:0-1),gpu:v100:2(S:1)", 6),
        ("gpu:nvidia_a100_1g.5gb:7", 7),
        ("craynetwork:4,gpu:16", 16),
        ("shard:8", 0),
        ("gpu_mem:80", 0),
    ],
)
def test_gpus_are_read_from_the_gres(gres: str, gpus: int):
    assert parse_partitions(f"p|1|{gres}|8")["p"].gpus == gpus


def test_the_node_with_most_gpus_counts():
    assert parse_partitions("p|1|gpu:2|8\np|1|gpu:8|8\np|1|gpu:4|8")["p"].gpus == 8
