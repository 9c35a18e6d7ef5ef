"""Every command of the documentation, in the order of reading, and what becomes of it in the tests: the one table for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.house.documents import SHELLS, code_blocks, typed
from tests.house.source import CHECKOUT, files

_SIZES = "seconds=2 width=64 height=36 fps=10 sample_rate=16000"
_TINY = "preset=tiny train.steps=4 train.batch=2 train.validate_every=4"

# Documents that make what later ones read come first; the others follow by name.
FIRST = (
    "README.md", "docs/synthetic.md", "docs/prepare.md", "docs/shards.md", "docs/training.md", "docs/codes.md", "docs/audio.md",
    "docs/inference.md", "docs/evaluation.md", "docs/report.md", "docs/cluster.md",
)  # fmt: skip

# What a reader has before the first command: videos of the names that the documents use.
GIVEN = (
    f"python -m v2a.synthetic flyby out=clips n=40 seed=1 {_SIZES}",
    "mkdir -p folder videos more data abs && ln -s clips data/planes && ln -s ../clips abs/clips",
    "for to in silent.mp4 folder/b.mp4 videos/c.mp4 more/d.mp4 a.mkv; do "
    "ffmpeg -v error -i clips/flyby-1-000003.mp4 -an -c copy $to; done; echo silent.mp4 > list.txt",
)

# How a command is made small enough to be run here; each in turn, at every place that it fits.
SMALLER = (
    (r"^mpirun -np 2 ", "mpirun --allow-run-as-root --oversubscribe -np 2 "),
    (r"^horovodrun -np 2 ", "python -m horovod.runner.launch -np 2 --gloo --network-interfaces lo "),
    (r"^tensorboard ", "tensorboard --inspect "),  # reads the same files, and ends
    (r"hpc\.build_horovod$", "hpc.build_horovod --check"),
    (r"(v2a\.synthetic \w+ out=\S+) n=\d+", rf"\1 n=2 {_SIZES}"),
    (r"=/data/", "=abs/"),
    (r"(v2a\.prepare(?: --dry-run)?|stage=prepare)", r"\1 preset=tiny split.test=0.2 split.validation=0.2"),
    (r"clips-node7-793-d08b66-00003\.h5:4", "$(basename data/planes/clips-*-00000.h5):4"),
    (r"cp hpc/profiles/", "cp $PYTHONPATH/hpc/profiles/"),  # of the checkout
    (r"overlap_s=2", "overlap_s=0.5"),
    (r"train\.steps=\d+", "train.steps=4"),
    (
        r"--follow stage=vqvae preset=tiny",
        "--follow stage=vqvae preset=tiny train.batch=1 train.steps=4",
    ),  # two runs to compare
    (r"(v2a\.vqvae|stage=vqvae(?! preset=tiny train\.batch=1))(?: preset=tiny)?", rf"\1 {_TINY}"),
    (r"preset=paper (?=model=)", "decoder=fc crop=0 "),
    (r"preset=wavenet (?=model=)", "decoder=wavenet "),
    (r"(v2a\.audio(?: --dry-run)?|stage=audio)", rf"\1 {_TINY}"),
    (r"(hpc\.submit .*)--profile rosie --partition dgx --nodes 2 (--dry-run)", r"\1\2"),  # profiles need their Slurm
    (r"(hpc\.submit .*) cluster=testbed", r"\1"),
    (r"(hpc\.submit.*?) --partition dgx --time \S+", r"\1"),
    (r"(hpc\.submit.*?) --nodes \d", r"\1"),
    (r"--ranks-per-node [48]", "--ranks-per-node 2"),
    (r"hpc\.submit(?! --cluster)", "hpc.submit --cluster local"),
    (r"(hpc\.submit(?!.*--follow)(?!.*--dry-run))", r"\1 --follow"),
    (
        r"pipeline videos=clips/",
        "pipeline videos=clips/ data=data/piped prepare.split.test=0.2 prepare.split.validation=0.2",
    ),
    (r"pipeline (?!.*preset=tiny)", "pipeline preset=tiny "),
    (r"pipeline ", "pipeline vqvae.train.steps=4 audio.train.steps=4 "),
    (r"hpc\.status --watch", "hpc.status"),
    (
        r"vqvae-12345678",
        "$(cd runs && dirname vqvae-????????/run.json | head -1)",
    ),  # studies have such names, too
    (r"vqvae-9abcdef0", "$(cd runs && dirname vqvae-????????/run.json | tail -1)"),
    (r"--trials \d+", ""),
    (r"sweeps\.optuna_run$", f"sweeps.optuna_run stage=vqvae {_TINY}"),
    (r"(sweeps\.optuna_run(?!.*--objective)(?!.*--search))", r"\1 --study STUDY --sampler random"),
    (r"sweeps\.optuna_run", "sweeps.optuna_run --cluster local --trials 1 --parallel 1"),
    (r"--parallel \d+ --(nodes|partition) \w+ --time \S+", ""),
    (r"--samplers \S+ --seeds \d+", "--samplers random --seeds 1 --trials 1 --cluster local"),
)


@dataclass(frozen=True)
class Elsewhere:
    """Commands that other tests run.

    Attributes:
        commands: a regular expression of theirs.
        test: the file, of which `names` is a part.
        names: what shows it there.
    """

    commands: str
    test: str
    names: str


ELSEWHERE = (
    Elsewhere(r"python -m v2a\.reproduce.*", "tests/unit/reproduce/test_results.py", '"--size", "tiny"'),
    Elsewhere(r"make demo", "tests/unit/test_demo.py", '"hpc.demo", "--quick"'),
    Elsewhere(
        r"make (setup|test|test-fast|test-slow|docs|wheel|test-oldest)",
        "tests/house/test_makefile.py",
        '"--dry-run", target',
    ),
    Elsewhere(
        r"make (-s )?cluster-(up|down|fault|env).*|eval .*cluster-env.*", "tests/cluster/test_lifecycle.py", '"up"'
    ),
    Elsewhere(r"srun -N4 hostname|sinfo|sacct -X|sbatch -N2 --wrap .*", "tests/cluster/test_lifecycle.py", "srun"),
    Elsewhere(r"(?s)srun .*horovod\.torch.*", "tests/cluster/test_jobs.py", "--mpi=pmix"),
    Elsewhere(r"srun .*hpc\.worker .*", "tests/cluster/test_vqvae.py", "hpc.worker"),
    Elsewhere(r"srun .*hpc\.preflight .*", "tests/cluster/test_submit.py", "hpc.preflight"),
    Elsewhere(r"sbatch .*infer_array.*", "tests/cluster/test_infer_array.py", "infer_array.sh"),
    Elsewhere(
        r"(\w+=\S+ )*sbatch .*(train_vqvae|train_audio|prepare|sweep_workers)\.sh.*",
        "tests/unit/test_batch_scripts.py",
        "sweep_workers.sh",
    ),
    Elsewhere(r"OPTUNA_STORAGE=\S+ optuna tell .*", "tests/unit/sweeps/test_runs_folder.py", "--state fail"),
    Elsewhere(r".*sweeps\.optuna_run .*postgresql.*", "tests/unit/sweeps/test_storages.py", "postgresql"),
    Elsewhere(r".*v2a\.youtube8m select .*", "tests/unit/youtube8m/test_select.py", "select("),
    Elsewhere(r".*v2a\.youtube8m resolve .*", "tests/unit/youtube8m/test_resolve.py", "resolve"),
    Elsewhere(r".*v2a\.youtube8m fetch .*", "tests/unit/youtube8m/test_fetch.py", "fetch"),
    Elsewhere(r".*v2a\.youtube8m review .*", "tests/unit/youtube8m/test_review.py", "review"),
)

# Commands that no test runs, and why; their words are still checked by tests/house/test_docs.py.
NOWHERE = (
    (
        r"pip install .*|python3 -m venv .*|pip download .*|PIP_NO_INDEX=1 .*",
        "changes an environment, from a package index",
    ),
    (r"module load .*", "a cluster's own modules"),
    (r".*hpc\.build_horovod --gpu require", "needs the CUDA toolkit"),
    (r"ssh .*", "needs another machine"),
    (r"python benchmarks/.*", "minutes of measuring; `make bench`"),
)


@dataclass(frozen=True)
class Typed:
    """A command of a document: the file, its line's number, and the command without comments."""

    path: str
    line: int
    text: str

    def small(self) -> str:
        """As it is run here."""
        text = self.text
        for pattern, into in SMALLER:
            text = re.sub(pattern, into, text)
        return text

    def elsewhere(self) -> Elsewhere | None:
        """The other test that runs it."""
        return next((way for way in ELSEWHERE if re.fullmatch(way.commands, self.text)), None)

    def nowhere(self) -> str | None:
        """Why it cannot be run."""
        return next((why for pattern, why in NOWHERE if re.fullmatch(pattern, self.text)), None)


def documents() -> list[str]:
    """Of the reader, in the order of the walk."""
    there = [path for path in files() if path.endswith(".md") and not path.startswith("tests/")]
    return [*FIRST, *sorted(set(there) - set(FIRST))]


def commands() -> Iterator[Typed]:
    """All of them."""
    for path in documents():
        for language, code, line in code_blocks((CHECKOUT / path).read_text()):
            if language in SHELLS:
                yield from (Typed(path, line + number, text) for number, text in typed(code, language))
