"""What a build of Horovod depends on: two environments with the same `BuildKey` can share one wheel.

Nothing here imports torch or horovod: torch is read from its files, which takes milliseconds where importing takes seconds.
"""

import dataclasses
import importlib
import importlib.util
import platform
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.version import InvalidVersion, Version

HOROVOD_VERSION = "0.28.1"
# From torch 2.14 on, torch's own headers need C++20; from 2.1 to 2.13 they need C++17 (Horovod asks for C++14).
_FIRST_TORCH_WITH_CXX20 = Version("2.14")


class BuildError(Exception):
    """Something that a person has to put right: what was wrong, and how to fix it, each in plain words."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}\nfix: {fix}")
        self.what, self.fix = what, fix


@dataclass(frozen=True)
class Torch:
    """The installed torch: version with its local part, CUDA version or None, C++ ABI, and its folder."""

    version: str
    cuda: str | None
    cxx11_abi: bool
    folder: Path


@dataclass(frozen=True)
class BuildKey:
    """Everything that makes one build of Horovod different from another.

    Attributes:
        horovod: Horovod's version.
        torch: torch's version with its local part, such as "2.13.0+cpu".
        cxx11_abi: whether torch was compiled with the new C++ ABI of libstdc++.
        python: the interpreter, such as "cp311".
        mpi: name and version, such as "openmpi4.1.4"; None builds the Gloo controller alone.
        cuda: torch's CUDA version when GPU operations are built; None for CPU operations only.
        nccl: version of NCCL that GPU operations are built with; None exactly when cuda is None.
        archs: CUDA architectures, such as (70, 75); empty exactly when cuda is None.
        dialect: C++ standard, 17 or 20.
        machine: instruction set, such as "x86_64".
        libc: C library, such as "glibc2.36": a wheel from a newer system or container does not load on an older one.
    """

    horovod: str
    torch: str
    cxx11_abi: bool
    python: str
    mpi: str | None
    cuda: str | None
    nccl: str | None
    archs: tuple[int, ...]
    dialect: int
    machine: str
    libc: str

    def __post_init__(self) -> None:
        """Refuse a key that is half CPU and half GPU."""
        if len({self.cuda is None, self.nccl is None, not self.archs}) != 1:
            raise ValueError(
                "expected CUDA version, NCCL version and architectures all given or all absent, but got "
                f"cuda={self.cuda!r}, nccl={self.nccl!r}, archs={self.archs!r}"
            )

    @property
    def name(self) -> str:
        """A folder's name for this key: readable, and letters, digits, dot, dash and underscore only."""
        gpu = f"cuda{self.cuda}-nccl{self.nccl}-sm{'.'.join(map(str, self.archs))}" if self.cuda else "cpu"
        parts = (
            f"horovod{self.horovod}",
            f"torch{self.torch}",
            self.python,
            self.mpi or "nompi",
            gpu,
            f"cxx{self.dialect}abi{int(self.cxx11_abi)}",
            self.machine,
            self.libc,
        )
        return re.sub(r"[^A-Za-z0-9._-]", "_", "-".join(parts))

    def to_json(self) -> dict[str, object]:
        """Plain values, for a JSON file; `from_json` reads them back."""
        return {**dataclasses.asdict(self), "archs": list(self.archs)}

    @classmethod
    def from_json(cls, values: object) -> "BuildKey":
        """Read what `to_json` wrote.

        Raises:
            ValueError: the values are not a key of this format.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(values, dict) or set(values) != names or not isinstance(values["archs"], list):
            raise ValueError(f"expected the fields {', '.join(sorted(names))}, but got {values!r}")
        return cls(**{**values, "archs": tuple(values["archs"])})


def find_torch() -> Torch | None:
    """Read the installed torch's version, CUDA version and ABI from its files; None when torch is not installed."""
    importlib.invalidate_caches()
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    try:
        values = runpy.run_path(str(folder / "version.py"))
        version, cuda = str(values["__version__"]), values.get("cuda")
        Version(version)
    except (OSError, SyntaxError, KeyError, InvalidVersion) as error:
        raise BuildError(
            f"the torch in {folder} does not say its version in version.py ({error!r}): half an installation",
            "pip install --force-reinstall torch",
        ) from None
    return Torch(version, cuda, _cxx11_abi(folder), folder)


def _cxx11_abi(folder: Path) -> bool:
    """torch's C++ ABI: its CMake file names the old one, up to 2.8; later there is only the new one."""
    try:
        text = (folder / "share/cmake/Torch/TorchConfig.cmake").read_text(errors="replace")
    except OSError:
        return True
    return "_GLIBCXX_USE_CXX11_ABI=0" not in text


def dialect_for(torch_version: str) -> int:
    """C++ standard that this torch's headers need: 17 or 20."""
    return 20 if Version(Version(torch_version).base_version) >= _FIRST_TORCH_WITH_CXX20 else 17


def python_tag() -> str:
    """This interpreter as in a wheel's name, such as "cp311"; a free-threaded build has its own, "cp313t"."""
    return f"cp{sys.version_info.major}{sys.version_info.minor}{sys.abiflags}"


def libc_tag() -> str:
    """The C library and its version, such as "glibc2.36"."""
    return "".join(platform.libc_ver()) or "libc"


def find_mpi() -> str | None:
    """Name and version of the MPI on PATH, such as "openmpi4.1.4"; None without one."""
    for command in (["mpicxx", "--showme:version"], ["mpirun", "--version"]):
        if shutil.which(command[0]) is None:
            continue
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        name = mpi_name(answer.stdout + answer.stderr)
        if name:
            return name
    return None


def mpi_name(text: str) -> str | None:
    """Name and version from what a compiler wrapper or launcher of MPI says about itself; None when it says neither."""
    patterns = (
        ("openmpi", r"Open MPI\)?\s+v?(\d+(?:\.\d+)*)"),
        ("intelmpi", r"Intel\(R\) MPI Library.*?Version (\d+(?:\.\d+)*)"),
        ("mpich", r"HYDRA build details:\s+Version:\s+(\d+(?:\.\d+)*)"),
    )
    for name, pattern in patterns:
        if found := re.search(pattern, text, re.DOTALL):
            return name + found[1]
    return None
