"""Is the installed Horovod the right one? Compares what it was built for with what is here now, and imports it."""

import importlib.metadata
import json
import os
import subprocess
import sys
from dataclasses import dataclass

from hpc.build_horovod.cache import RECORD_FILE, key_of
from hpc.build_horovod.key import BuildError, BuildKey, find_mpi, find_torch, python_tag

_BUILD = "python -m hpc.build_horovod"
# Loading the extension is the test: a library built for another torch, Python or MPI fails here with undefined symbols.
_PROBE = """
import json, horovod.torch as hvd
print(json.dumps({"mpi": bool(hvd.mpi_built()), "gloo": bool(hvd.gloo_built()), "nccl": bool(hvd.nccl_built())}))
"""


@dataclass(frozen=True)
class Check:
    """The verdict on the installed Horovod.

    Attributes:
        fits: it can be used with the torch, Python and MPI that are here.
        sentence: what is installed, with what it was built, and whether it fits.
        fix: what to run when it doesn't fit; None when it does.
        key: what it was built for; None when it is not installed or was built by someone else.
        operations: which of "mpi", "gloo", "nccl" are built in, asked from the library itself; empty when it cannot load.
    """

    fits: bool
    sentence: str
    fix: str | None
    key: BuildKey | None = None
    operations: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Plain values, for `--check --json`."""
        key = self.key.to_json() if self.key else None
        operations = list(self.operations)
        return {"fits": self.fits, "sentence": self.sentence, "fix": self.fix, "key": key, "operations": operations}


def check(timeout_s: float = 60.0) -> Check:
    """Say what Horovod is installed and whether it fits the torch, Python and MPI that are here.

    Takes about two seconds: the time of importing torch once, in another process.

    Args:
        timeout_s: after how many seconds an import that hangs counts as failed.
    """
    try:
        torch = find_torch()
    except BuildError as error:
        return Check(False, error.what, error.fix)
    if torch is None:
        return Check(False, "torch is not installed, so no Horovod can fit it", "pip install torch, then " + _BUILD)
    version, key, complaint = installed()
    if version is None:
        return Check(False, f"Horovod is not installed (torch {torch.version} is)", _BUILD)
    if complaint:
        return Check(False, complaint, f"{_BUILD} --force")
    if key is not None and (wrong := mismatches(key, torch.version, torch.cxx11_abi, python_tag(), find_mpi())):
        built, here = (" and ".join(names) for names in zip(*wrong, strict=True))
        return Check(False, f"Horovod {version} is built for {built}, but here is {here}", _BUILD, key)
    return _loaded(version, key, torch.version, timeout_s)


def installed() -> tuple[str | None, BuildKey | None, str | None]:
    """The installed Horovod's version, the key in its record, and a complaint when that record is unreadable."""
    try:
        distribution = importlib.metadata.distribution("horovod")
    except importlib.metadata.PackageNotFoundError:
        return None, None, None
    try:
        # Not distribution.read_text: that looks in the metadata folder only.
        with open(str(distribution.locate_file(RECORD_FILE)), encoding="utf-8") as file:
            return distribution.version, key_of(file.read()), None
    except FileNotFoundError:
        return distribution.version, None, None
    except (OSError, ValueError) as error:
        return distribution.version, None, f"the record of how Horovod was built ({RECORD_FILE}) is damaged: {error}"


def mismatches(key: BuildKey, torch: str, cxx11_abi: bool, python: str, mpi: str | None) -> list[tuple[str, str]]:
    """Pairs of what Horovod was built for and what is here instead; empty when it fits.

    MPI absent on either side is no mismatch: a build with MPI runs over Gloo where no MPI is on PATH, and the reverse.
    """
    pairs = [
        (f"torch {key.torch}", f"torch {torch}", key.torch == torch),
        (f"{_abi(key.cxx11_abi)} C++ ABI", f"{_abi(cxx11_abi)} C++ ABI", key.cxx11_abi == cxx11_abi),
        (f"Python {key.python}", f"Python {python}", key.python == python),
        (f"MPI {key.mpi}", f"MPI {mpi}", None in (key.mpi, mpi) or key.mpi == mpi),
    ]
    return [(built, here) for built, here, same in pairs if not same]


def _abi(new: bool) -> str:
    return "new" if new else "old"


def _loaded(version: str, key: BuildKey | None, torch: str, timeout_s: float) -> Check:
    operations, complaint = probe(timeout_s)
    if complaint:
        author = "" if key else ", which was not built by hpc.build_horovod,"
        return Check(False, f"Horovod {version}{author} does not load: {complaint}", f"{_BUILD} --force", key)
    if not key and "gloo" not in operations and "mpi" not in operations:
        return Check(False, f"Horovod {version} was built without any controller", f"{_BUILD} --force", key)
    built = f"built for torch {key.torch}, {key.python}, {key.mpi or 'no MPI'}" if key else "built by someone else"
    gpus = f", CUDA {key.cuda} for sm_{', sm_'.join(map(str, key.archs))}" if key and key.cuda else ""
    sentence = f"Horovod {version} ({built}{gpus}; has {', '.join(operations)}) fits torch {torch}"
    return Check(True, sentence, None, key, operations)


def probe(timeout_s: float = 60.0) -> tuple[tuple[str, ...], str | None]:
    """Load Horovod in another process: the operations built in, or the reason why it does not load."""
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            # `python -c` looks for modules in its working directory first: somewhere without any.
            cwd=os.path.dirname(sys.executable) or "/",
        )
        built = json.loads(answer.stdout.strip().splitlines()[-1]) if answer.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return (), f"importing horovod.torch gave no answer ({type(error).__name__}, {timeout_s:g} s allowed)"
    if built is None:
        lines = answer.stderr.strip().splitlines() or [f"the import ended with code {answer.returncode}"]
        return (), lines[-1]
    return tuple(name for name, there in built.items() if there), None
