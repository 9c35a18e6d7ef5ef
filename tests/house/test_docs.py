"""The documentation's links exist and its commands are ones that bash, make and our parsers accept."""

import importlib
import re
from pathlib import Path

import pytest

from tests.house.documents import (
    anchors,
    broken_commands,
    broken_links,
    broken_python,
    code_blocks,
    foreign_texts,
    script_faults,
)
from tests.house.shell import simple_commands
from tests.house.source import CHECKOUT, files, python_sources

DOCUMENTS = {path: (CHECKOUT / path).read_text() for path in files() if path.endswith(".md")}


def test_there_is_documentation():
    assert "README.md" in DOCUMENTS


def test_links_lead_somewhere():
    assert [fault for path, text in DOCUMENTS.items() for fault in broken_links(path, text)] == []


def test_commands_are_accepted():
    assert [fault for path, text in DOCUMENTS.items() for fault in broken_commands(path, text)] == []


def test_every_code_block_says_its_language():
    """A block without one is looked at by no check."""
    unnamed = [f"{path}:{line}" for path, text in DOCUMENTS.items() for name, _, line in code_blocks(text) if not name]
    assert unnamed == []


def test_python_examples_parse():
    assert [fault for path, text in DOCUMENTS.items() for fault in broken_python(path, text)] == []


def test_no_text_names_a_machine_or_a_registry():
    faults = []
    for path in files():
        try:
            faults += foreign_texts(path, (CHECKOUT / path).read_text())
        except UnicodeDecodeError:
            continue  # a picture
    assert faults == []


def _modules_with_a_parser() -> list[str]:
    return [s.module for s in python_sources("hpc", "sweeps", "slurm") if re.search(r"^def parser\(", s.text, re.M)]


@pytest.mark.parametrize("module", _modules_with_a_parser())
def test_examples_of_help_texts_are_accepted(module: str):
    """`--help` shows examples: a command, then two spaces or more before what it does."""
    parser = importlib.import_module(module).parser()
    lines = _example_lines(f"{parser.description}\n{parser.epilog}")
    script = "\n".join(re.split(r"\s{2,}", line.strip())[0] for line in lines)
    assert script, f"{module} --help shows no example"
    assert script_faults(script) == []


def _example_lines(text: str) -> list[str]:
    lines = text.splitlines()
    return [
        line for line in lines if re.match(r"\s*(python\S*|srun|mpirun|horovodrun|eval|make|sbatch|\w+=\S*)\s", line)
    ]


# --- the checks find faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("markdown", "fault"),
    [
        ("[a](there.md)", None),
        ("[a](missing.md)", "there is no such file"),
        ("![a](missing.png)", "there is no such file"),
        ("[a](there.md#second-part)", None),
        ("[a](there.md#third)", "no heading has that anchor"),
        ("# One `two` (3)\n[a](#one-two-3)", None),
        ("[a](#nowhere)", "no heading has that anchor"),
        ("[a](with%20space.md 'title')", None),
        ("[a](<with space.md>)", None),
        ("[a]: missing.md", "there is no such file"),
        ('<img src="missing.png">', "there is no such file"),
        ("[a](https://example.org/x)", None),
        ("[a](/there.md)", "works on no checkout"),
        ("[a](../outside.md)", "there is no such file"),
        ("`[a](missing.md)`", None),
        ("```text\n[a](missing.md)\n```", None),
        ("[a](there.md) [b](missing.md)", "there is no such file"),
        ("```text\n# not a heading\n```\n[a](#not-a-heading)", "no heading has that anchor"),
    ],
)
def test_the_check_finds_broken_links(markdown: str, fault: str | None, tmp_path: Path):
    (tmp_path / "there.md").write_text("# First\n## Second part\n")
    (tmp_path / "with space.md").touch()
    found = broken_links("doc.md", markdown, tmp_path)
    assert (fault is None and found == []) or (fault is not None and len(found) == 1 and fault in found[0])


def test_headings_become_anchors_as_github_makes_them():
    text = "# A title: *two* words & more\n## Same\n## Same\n### [Linked](x.md) `code_name`\n<a id='by-hand'></a>\n"
    assert anchors(text) == {"a-title-two-words--more", "same", "same-1", "linked-code_name", "by-hand"}


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("make setup", None),
        ("make -s -j 4 test CLUSTER_DIR=/var/tmp/x", None),
        ("make tset", "no target tset"),
        ("PYTHON=python3.12 make setup PYTHON=python3.12 && make test | tee log", None),
        ('eval "$(make -s cluster-env)"', None),
        ('eval "$(make -s cluster-environment)"', "no target cluster-environment"),
        ("python -m hpc.submit --nodes 4 --follow stage=selftest steps=50   # why", None),
        (".venv/bin/python -m hpc.submit --cluster local stage=selftest", None),
        ("python3 -X importtime -m hpc.submit --help", None),
        ("python -m hpc.submit --node-count 4 stage=selftest", "unrecognized arguments: --node-count"),
        ("python -m hpc.submit --nodes four stage=selftest", "invalid int value"),
        ("python -m hpc.submit --nodes $N stage=selftest", None),
        ("python -m hpc.submit stage=selftset", "did you mean selftest"),
        ("python -m hpc.submit stage=selftest stepz=5", "did you mean steps"),
        ("python -m hpc.submit stage=selftest lr=5", "learning rate between 0 and 1"),
        ("python -m hpc.sumbit stage=selftest", "there is no module hpc.sumbit"),
        ("python -m hpc.world", "has no parser()"),
        ("srun -N4 --ntasks-per-node=1 --mpi=pmix python -m hpc.worker --run-dir r stage=selftest", None),
        ("srun -N4 --mpi=pmix python -m hpc.worker stage=selftest", "--run-dir"),
        ("mpirun -np 2 python -m hpc.worker --run-dir 'my runs' stage=nothing", "no stage 'nothing'"),
        ("horovodrun -np 2 --gloo python -m hpc.worker --run-dir r", "required: key=value"),
        ("python -m horovod.runner.launch -np 2 python -m hpc.worker --run-dir r stage=x", "no stage 'x'"),
        ("for n in 1 2; do python -m hpc.submit --nodes $n stage=selftest; done", None),
        ("for n in 1 2; do python -m hpc.submit --nodez $n stage=selftest; done", "unrecognized"),
        ("if true; then make nothing; fi", "no target nothing"),
        ("python -m slurm.testbed fault cut t4-2", None),
        ("python -m slurm.testbed fault burn t4-2", "invalid choice: 'burn'"),
        ("python -m nothing.known", "unknown module nothing.known"),
        ("python -m pip install x", None),
        ("python benchmarks/missing.py", "there is no file benchmarks/missing.py"),
        ("python -c 'import v2a; print(v2a)'", None),
        ("python -c 'import v2a print(v2a)'", "does not parse"),
        ("sbatch -N 2 --ntasks-per-node 2 Makefile extra", None),
        ("sbatch --time=10 missing.sbatch", "there is no file missing.sbatch"),
        ("sbatch --wrap 'hostname'", None),
        ("srun -N4 hostname; sacct -j $(cat job)", None),
        ("sacct -j $(mkae help)", "unknown program mkae"),
        (".ci/run", None),
        ("./missing.sh", "there is no file ./missing.sh"),
        ("./Makefile", "not executable"),
        ("source .venv/bin/activate", None),
        ("bash slurm/missing.sh", "there is no file"),
        ("frobnicate --all", "unknown program frobnicate"),
        ("echo 'never closed", "bash does not read it"),
        ("cat <<EOF >file\nfrobnicate\nEOF\nmake help", None),
        ("sudo apt-get install g++ 2>&1 >/dev/null", None),
    ],
)
def test_the_check_finds_broken_commands(command: str, fault: str | None):
    found = broken_commands("doc.md", f"text\n```bash\n{command}\n```\n")
    assert (fault is None and found == []) or (fault is not None and len(found) == 1 and fault in found[0]), found


def test_only_what_was_typed_counts_in_a_transcript():
    text = "```console\n$ make \\\n>   nothing\nfrobnicated 3 files\n$ make help\n```\n"
    assert [fault.split("`")[1] for fault in broken_commands("doc.md", text)] == ["make nothing"]


def test_shell_words_are_bashs():
    script = (
        """A=1 B="x y" prog 'a b' "c $HOME d" e\\ f "$(inner "q r")" g#h >out 2>&1 # comment\nnext&&last;{ grouped; }"""
    )
    assert simple_commands(script) == [
        ["inner", "q r"],
        ["prog", "a b", "c 1 d", "e f", "1", "g#h"],
        ["next"],
        ["last"],
        ["grouped"],
    ]


@pytest.mark.parametrize(
    ("code", "broken"),
    [(">>> 1 +\n", True), (">>> 1 + 1\n2\n", False), ("x = (\n", True), ("x = 1\n", False)],
)
def test_the_check_finds_broken_python(code: str, broken: bool):
    assert bool(broken_python("doc.md", f"```python\n{code}```\n")) is broken


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        (("pip --index-url=", "https://mirror.example/x"), True),
        (("https://pypi.org", "/simple/torch"), True),
        (("deb http://deb.", "debian.org/debian"), True),
        (("/home", "/someone/clips"), True),
        (("/home", "/jane/clips"), False),
        (("/root", "/.cache"), True),
        (("see https://pypi.org", "/project/torch"), False),
        (("/data/clips and /var/tmp and $HOME", "/clips"), False),
    ],
)
def test_the_check_finds_machines_and_registries(parts: tuple[str, str], found: bool):
    assert bool(foreign_texts("x.md", "".join(parts))) is found
