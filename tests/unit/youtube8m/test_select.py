"""`select`, on records that the tfrecord library wrote."""

import gzip
import random
import struct
import sys
from pathlib import Path

import pytest
from tfrecord import TFRecordWriter

from tests.unit.youtube8m.conftest import rows_of
from tests.unit.youtube8m.dataset import LABELS, Records, write_vocabulary
from v2a.youtube8m.records import Fault, Record, read_records
from v2a.youtube8m.tables import InputError
from v2a.youtube8m.vocabulary import read_vocabulary


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    return write_vocabulary(tmp_path / "vocabulary.csv")


@pytest.fixture
def select(tmp_path: Path, vocabulary: Path, cli):
    """Select and give the rows as (id, labels, split, start_s, end_s); the whole outcome when it fails."""

    def run(*arguments: object):
        out = tmp_path / "out.csv"
        status, printed, err = cli("select", "--vocabulary", vocabulary, "--out", out, *arguments)
        return [tuple(row.values()) for row in rows_of(out)] if status == 0 else (status, printed, err)

    return run


def test_both_kinds_of_records(tmp_path: Path, select):
    video = Records(tmp_path / "train0001.tfrecord").video("aaaa", [46, 109]).video("bbbb", [186]).close()
    frame = Records(tmp_path / "validate0001.tfrecord").frames("cccc", [1, 46]).frames("dddd", []).close()
    assert select("--records", video, frame, "--label", "Airplane") == [
        ("aaaa", "Airplane;Landing", "train", "", ""),
        ("cccc", "Airplane;label 1", "validate", "", ""),
    ]
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == "id,labels,split,start_s,end_s"


@pytest.mark.parametrize("word", ["Airplane", "aIRPLANE", " airplane ", "46", "/m/05czz6l"])
def test_a_label_by_name_index_or_graph_id(word: str, tmp_path: Path, select):
    file = Records(tmp_path / "x.tfrecord").video("aaaa", [46]).video("bbbb", [44]).close()
    assert select("--records", file, "--label", word) == [("aaaa", "Airplane", "", "", "")]


def test_several_labels_and_exclusions(tmp_path: Path, select):
    file = Records(tmp_path / "x.tfrecord")
    for name, labels in {"aa": [44, 46], "bb": [114], "cc": [46, 119], "dd": [186], "ee": [46, 200]}.items():
        file.video(name, labels)
    rows = select(
        "--records",
        file.close(),
        "--label",
        "Airliner",
        "--label",
        "Airplane",
        "--exclude",
        "Radio-controlled aircraft",
    )
    assert [(row[0], row[1]) for row in rows] == [
        ("aa", "Airplane;Aircraft"), ("bb", "Airliner"), ("ee", "Airplane;Paper, folded"),
    ]  # fmt: skip


def test_rated_segments_become_spans(tmp_path: Path, select):
    segments = [
        (40, 46, 1.0),
        (10, 46, 1.0),
        (20, 46, 0.0),
        (30, 186, 1.0),
        (50, 46, 1.0),
        (50, 119, 1.0),
        (10, 46, 1.0),
    ]
    file = Records(tmp_path / "validate0001.tfrecord").frames("aaaa", [46], segments=segments)
    file.frames("none", [46], segments=[(5, 46, 0.0)])
    path = file.frames("bbbb", [44], segments=[(0, 46, 0.75)]).close()
    excluded = ["--exclude", "119"]
    assert [row[:1] + row[3:] for row in select("--records", path, "--label", "46", *excluded)] == [
        ("aaaa", "10", "15"), ("aaaa", "40", "45"), ("bbbb", "0", "5"),
    ]  # fmt: skip
    strict = select("--records", path, "--label", "46", *excluded, "--min-score", "1")
    assert [row[0] for row in strict] == ["aaaa", "aaaa"]
    whole = select("--records", path, "--label", "46", "--whole")
    assert [row[:1] + row[3:] for row in whole] == [("aaaa", "", ""), ("none", "", "")]


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_an_id_comes_once_and_its_segments_stand_before_all_of_it(order: tuple[str, str], tmp_path: Path, select):
    first = Records(tmp_path / f"{order[0]}.tfrecord").video("aaaa", [46]).video("aaaa", [46]).close()
    second = Records(tmp_path / f"{order[1]}.tfrecord").frames("aaaa", [46], segments=[(10, 46, 1.0)]).close()
    assert select("--records", first, second, "--label", "46") == [("aaaa", "Airplane", "", "10", "15")]


def test_the_order_of_files_and_records_does_not_matter(tmp_path: Path, select):
    names = [f"{number:04x}" for number in random.Random(0).sample(range(65536), 40)]
    for round_ in range(2):
        folder = tmp_path / f"round{round_}"
        folder.mkdir()
        for part in range(4):
            file = Records(folder / f"train{part}.tfrecord")
            for name in names[part::4]:
                file.video(name, [46])
            file.close()
        random.Random(1).shuffle(names)
        rows = select("--records", folder, "--label", "46")
        assert [row[0] for row in rows] == sorted(names)


def test_a_folder_is_searched_and_gzip_is_read(tmp_path: Path, select):
    deep = tmp_path / "yt8m" / "frame"
    deep.mkdir(parents=True)
    Records(deep / "train1.tfrecord").video("aaaa", [46]).close()
    Records(tmp_path / "b.tfrecord").video("bbbb", [46]).close()
    (deep / "train2.tfrecord.gz").write_bytes(gzip.compress((tmp_path / "b.tfrecord").read_bytes()))
    (deep / "notes.txt").write_text("no record")
    assert [row[0] for row in select("--records", tmp_path / "yt8m", "--label", "46")] == ["aaaa", "bbbb"]


def test_a_record_that_begins_as_gzip_does_is_no_gzip(tmp_path: Path):
    """A length of 0x88b1f bytes begins with gzip's magic bytes."""
    path = tmp_path / "x.tfrecord"
    probe = len(
        TFRecordWriter.serialize_tf_example({"id": (b"aaaa", "byte"), "labels": ([46], "int"), "pad": (b"", "byte")})
    )
    size = 0x088B1F - probe
    for length in range(size - 16, size):
        Records(path).raw({"id": (b"aaaa", "byte"), "labels": ([46], "int"), "pad": (bytes(length), "byte")}).close()
        if path.read_bytes()[:3] == b"\x1f\x8b\x08":
            break
    assert path.read_bytes()[:3] == b"\x1f\x8b\x08"
    assert list(read_records(path)) == [Record("aaaa", (46,))]


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return Records(tmp_path / "three.tfrecord").video("aaaa", [46]).video("bbbb", [46]).video("cccc", [46]).close()


def _starts(content: bytes) -> list[int]:
    starts, at = [], 0
    while at < len(content):
        starts.append(at)
        at += 16 + struct.unpack("<Q", content[at : at + 8])[0]
    return starts


def test_a_damaged_record_is_named_and_the_next_is_read(three: Path, tmp_path: Path, select, capfd):
    content = bytearray(three.read_bytes())
    content[_starts(content)[1] + 100] ^= 1
    three.write_bytes(content)
    good = Records(tmp_path / "zgood.tfrecord").video("dddd", [46]).close()
    assert [row[0] for row in select("--records", three, good, "--label", "46")] == ["aaaa", "cccc", "dddd"]


def test_the_damage_is_reported_with_file_and_record(three: Path, vocabulary: Path, tmp_path: Path, cli):
    content = bytearray(three.read_bytes())
    content[_starts(content)[1] + 100] ^= 1
    three.write_bytes(content)
    arguments = ["--vocabulary", vocabulary, "--label", "46", "--out", tmp_path / "out.csv"]
    status, out, err = cli("select", "--records", three, *arguments)
    assert status == 0
    assert err == f"damaged: {three}: record 2: its checksum is wrong\n"
    assert "2 records, 1 damaged in 1 files" in out


@pytest.mark.parametrize(
    ("where", "reason"),
    [(3, "checksum of its length"), (9, "checksum of its length")],
)
def test_a_damaged_length_ends_the_file_but_not_the_run(where: int, reason: str, three: Path):
    content = bytearray(three.read_bytes())
    content[_starts(content)[1] + where] ^= 0x40
    three.write_bytes(content)
    first, second = read_records(three)
    assert first == Record("aaaa", (46,))
    assert isinstance(second, Fault)
    assert second.record == 2
    assert reason in second.reason


def test_a_length_beyond_measure_is_not_believed(three: Path):
    head = struct.pack("<Q", 1 << 60)
    three.write_bytes(three.read_bytes() + head + TFRecordWriter.masked_crc(head) + b"rest")
    assert list(read_records(three))[-1] == Fault(
        4, f"it says that it has {1 << 60} bytes, more than 67108864; the rest of the file is lost"
    )


def test_every_truncation_is_noticed_and_what_is_whole_is_read(three: Path):
    content = three.read_bytes()
    starts = [*_starts(content), len(content)]
    for length in [*range(1, 40), *range(starts[1] - 5, starts[1] + 20), len(content) - 1]:
        three.write_bytes(content[:length])
        found = list(read_records(three))
        whole = sum(start <= length for start in starts[1:])
        assert [entry for entry in found if isinstance(entry, Record)] == [Record(n * 4, (46,)) for n in "abc"[:whole]]
        assert len(found) == whole + (length not in starts), length


@pytest.mark.parametrize("cut", [20, 100, -4])
def test_a_gzip_that_ends_early(cut: int, three: Path):
    three.write_bytes(gzip.compress(three.read_bytes(), mtime=0)[:cut])
    found = list(read_records(three))
    assert isinstance(found[-1], Fault)
    assert all(isinstance(entry, Record) for entry in found[:-1])


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ({"labels": ([46], "int")}, "expected features id and labels, but it has labels"),
        ({"id": (b"aaaa", "byte")}, "expected features id and labels, but it has id"),
        ({"id": (b"../x", "byte"), "labels": ([46], "int")}, "expected one id of letters and digits"),
        ({"id": ([b"aaaa", b"bbbb"], "byte"), "labels": ([46], "int")}, "expected one id"),
        ({"id": (b"aaaa", "byte"), "labels": ([46], "int"), "segment_labels": ([46, 46], "int"),
          "segment_start_times": ([5], "int")}, "2 labels, 1 starts"),
        ({"id": (b"aaaa", "byte"), "labels": ([46], "int"), "segment_labels": ([46], "int"),
          "segment_start_times": ([5], "int"), "segment_scores": (float("nan"), "float")}, "with score nan"),
        ({}, "it has none"),
    ],
)  # fmt: skip
def test_records_of_something_else(features, reason: str, tmp_path: Path):
    path = Records(tmp_path / "x.tfrecord").raw(features).video("good", [46]).close()
    fault, good = read_records(path)
    assert isinstance(fault, Fault)
    assert reason in fault.reason
    assert good == Record("good", (46,))


@pytest.mark.parametrize("content", [b"", b"text, not records", bytes(1000), b"\x1f\x8b\x08garbage"])
def test_files_that_hold_no_records(content: bytes, tmp_path: Path, select):
    (tmp_path / "x.tfrecord").write_bytes(content)
    good = Records(tmp_path / "y.tfrecord").video("good", [46]).close()
    assert [row[0] for row in select("--records", tmp_path / "x.tfrecord", good, "--label", "46")] == ["good"]
    _, _, err = select("--records", tmp_path / "x.tfrecord", "--label", "46")
    assert f"damaged: {tmp_path / 'x.tfrecord'}: record 1: " in err


# --- what a person got wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--label", "Airplan"], "there is no label 'Airplan'; did you mean 'Airplane'"),
        (["--label", "aircraft rc"], "did you mean 'Aircraft'"),
        (["--label", "controlled"], "did you mean 'Radio-controlled aircraft'"),
        (["--label", "9999"], "expected a label's index of 0 to 202, but got 9999"),
        (["--label", "/m/nothing"], "there is no label '/m/nothing'; give its name or its index instead"),
        (["--label", ""], "there is no label ''"),
        (["--label", "Twin"], "several labels are called 'Twin'; give an index: 201, 202"),
        (["--label", "Airplane", "--exclude", "46"], "'Airplane' is both wanted (--label) and excluded (--exclude)"),
        (["--label", "Helicopter"], "no video has the label 'Helicopter': 1 records in 1 files"),
    ],
)
def test_labels_that_lead_nowhere(arguments: list[str], sentence: str, tmp_path: Path, select):
    file = Records(tmp_path / "x.tfrecord").video("aaaa", [46]).close()
    status, _, err = select("--records", file, *arguments)
    assert status == 1
    assert err.startswith("error: ")
    assert sentence in err
    assert not (tmp_path / "out.csv").exists()


def test_the_test_records_have_no_labels_and_that_is_said(tmp_path: Path, select):
    file = Records(tmp_path / "test0001.tfrecord").video("aaaa", []).close()
    assert "the dataset's test records have no labels" in select("--records", file, "--label", "46")[2]


def test_places_that_are_not_there(tmp_path: Path, select):
    assert f"there is no file or folder {tmp_path / 'no'}" in select("--records", tmp_path / "no", "--label", "46")[2]
    (tmp_path / "empty").mkdir()
    assert "has no files *.tfrecord" in select("--records", tmp_path / "empty", "--label", "46")[2]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "there is no file"),
        ("", "is empty"),
        ("Index,Label\n1,x\n", "has no column KnowledgeGraphId, Name"),
        ("Index,KnowledgeGraphId,Name\n1,/m/x\n", ":2 has 2 fields, but its first row names 3 columns"),
        ("Index,KnowledgeGraphId,Name\nx,/m/x,X\n", "row 2 has Index 'x'"),
        ("Index,KnowledgeGraphId,Name\n1,/m/x,X\n1,/m/y,Y\n", "row 3 has Index '1'"),
        ("Index,KnowledgeGraphId,Name\n", "has no labels"),
        ('Index,KnowledgeGraphId,Name\n1,/m/x,"X\n', "cannot be read as CSV"),
    ],
)
def test_vocabularies_of_something_else(text: str | None, sentence: str, tmp_path: Path):
    path = tmp_path / "v.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as error:
        read_vocabulary(path)
    assert sentence in str(error.value)


def test_a_vocabulary_with_a_byte_order_mark_and_windows_lines(tmp_path: Path):
    path = tmp_path / "v.csv"
    path.write_bytes(b"\xef\xbb\xbfIndex,KnowledgeGraphId,Name\r\n46,/m/05czz6l,Airplane\r\n")
    assert read_vocabulary(path).find("airplane") == 46
    assert len(LABELS) > 1


def test_a_dry_run_writes_nothing(tmp_path: Path, vocabulary: Path, cli):
    file = Records(tmp_path / "x.tfrecord").video("aaaa", [46]).close()
    arguments = ["--vocabulary", vocabulary, "--label", "46", "--out", tmp_path / "out.csv", "--dry-run"]
    status, out, _ = cli("select", "--records", file, *arguments)
    assert status == 0
    assert out.splitlines()[-1] == f"dry run: {tmp_path / 'out.csv'} is not written"
    assert not (tmp_path / "out.csv").exists()


def test_without_tfrecord_the_command_is_named(tmp_path: Path, select, monkeypatch):
    monkeypatch.setitem(sys.modules, "tfrecord", None)
    assert 'pip install "v2a-hpc[youtube8m]"' in select("--records", tmp_path, "--label", "46")[2]
