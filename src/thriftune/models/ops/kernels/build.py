"""Compiles the C sources for this machine, once, where there is a C compiler."""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from thriftune.folders import cache_folder, is_private

SOURCES = tuple(Path(__file__).with_name(name) for name in ("kernels.c", "products.c", "wide.c"))
HEADER = Path(__file__).with_name("vectors.h")
OPTIMISE = ("-O3", "-march=native", "-falign-loops=64", "-fno-math-errno", "-ffp-contract=fast", "-fopenmp")
"""Loops begin a cache line: the products' innermost one is slower where it lies across one more."""
FLAGS = ("-std=gnu11", *OPTIMISE, "-fPIC", "-w")
COMPILERS = ("gcc", "cc")


@dataclass(frozen=True)
class Build:
    """The compiled kernels, or why there are none."""

    libraries: dict[torch.dtype, ctypes.CDLL]
    reason: str | None
    """None where they are there."""
    key: str = ""
    """Names the machine code; empty where there is none."""


@cache
def build() -> Build:
    """The kernels for float32, float64 and bfloat16, compiled on first use into the cache folder.

    Without Linux, a GCC and torch's own OpenMP library there are none; the engine then composes torch's operations.
    THRIFTUNE_KERNELS=off switches them off.
    """
    if os.environ.get("THRIFTUNE_KERNELS", "").lower() == "off":
        return Build({}, "THRIFTUNE_KERNELS=off")
    compiler, openmp = tools()
    if platform.system() != "Linux" or openmp is None or compiler is None:
        return Build({}, "needs Linux, GCC and torch's libgomp")
    try:
        keys = {real: _key(compiler, openmp, real) for real in TYPES.values()}
        libraries = {dtype: _library(compiler, openmp, real, keys[real]) for dtype, real in TYPES.items()}
        return Build(libraries, None, "-".join(keys.values()))
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        output = getattr(error, "stderr", None) or str(error)
        return Build({}, f"{compiler} failed: {(output.strip().splitlines() or ['no message'])[0][:200]}")


def tools() -> tuple[str | None, Path | None]:
    """The C compiler that is used and torch's OpenMP library, None for what is not there.

    A second OpenMP library would bring a second pool of threads, and the two would fight for the cores.
    """
    found = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))
    return next((path for name in _compilers() if (path := shutil.which(name))), None), found[0] if found else None


def is_kept() -> bool:
    """Whether the cache folder holds the kernels for this machine already, so that `build` compiles nothing.

    Raises OSError or CalledProcessError where the compiler does not answer.
    """
    compiler, openmp = tools()
    if compiler is None or openmp is None:
        return False
    return all(_sound(compiled_folder() / f"{_key(compiler, openmp, real)}.so") for real in TYPES.values())


def compiled_folder() -> Path:
    """Where compiled kernels are kept."""
    return cache_folder() / "compiled"


TYPES = {
    torch.float32: "-DREAL=float",
    torch.float64: "-DREAL=double -DDOUBLE",
    torch.bfloat16: "-DREAL=float -DNARROW",
}
"""What is defined for the tensors of each type."""


def _compilers() -> tuple[str, ...]:
    try:
        named = shlex.split(os.environ.get("CC", ""))
    except ValueError:  # an open quote
        named = []
    return (*named[:1], *COMPILERS)


def _library(compiler: str, openmp: Path, real: str, key: str) -> ctypes.CDLL:
    """The compiled library from the cache folder; where that is not safe or not usable, from a folder that goes again.

    Machine code is loaded only from a folder and file that are this user's own and that nobody else may write to, and
    whose checksum is the one that was written with it.
    """
    folder = compiled_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if is_private(folder):
            path = folder / f"{key}.so"
            if not _sound(path):
                _compile(compiler, openmp, real, path)
            if _sound(path):
                return ctypes.CDLL(str(path))
    except OSError:
        pass  # not writable, full, or not what it should be: compiled below, for this process alone
    with tempfile.TemporaryDirectory(prefix="thriftune-kernels-") as private:
        path = Path(private) / f"{key}.so"
        _compile(compiler, openmp, real, path)
        return ctypes.CDLL(str(path))  # stays loaded when its file is gone


def _compile(compiler: str, openmp: Path, real: str, path: Path) -> None:
    """Compiles into a file, and its checksum into one beside it."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        parts, whole, note = [], Path(folder) / "kernels.so", Path(folder) / "checksum"
        for source in SOURCES:
            parts.append(str(Path(folder) / f"{source.stem}.o"))
            _run(compiler, *FLAGS, *real.split(), "-c", str(source), "-o", parts[-1])
        _run(compiler, "-shared", *parts, str(openmp), "-lm", "-o", str(whole))
        note.write_text(_checksum(whole), encoding="ascii")
        for made, target in ((whole, path), (note, _note(path))):
            made.chmod(0o600)
            made.replace(target)


def _sound(path: Path) -> bool:
    """Whether a library is whole, and no other user can have written it."""
    try:
        known = _note(path).read_text(encoding="ascii", errors="replace")
        return is_private(path) and is_private(_note(path)) and known == _checksum(path)
    except OSError:
        return False


def _note(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)  # noqa: S603


def _key(compiler: str, openmp: Path, real: str) -> str:
    """Everything that the machine code depends on: source, flags, compiler, processor."""
    version = subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True, timeout=60).stdout  # noqa: S603
    texts = [path.read_text(encoding="utf-8") for path in (HEADER, *SOURCES)]
    parts = [*texts, " ".join(FLAGS), version, _processor(), str(openmp), real]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
