"""The compiled kernels: whether they are there or can be made, and which of them this processor uses."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from thriftune.doctor.finding import Finding

SUBJECT = "Compiled kernels"
TRIAL = "#include <omp.h>\n#include <math.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"


def kernels() -> Iterator[Finding]:
    """Whether a CPU's kernels work here; without them everything works, at 0.67 to 0.93 of a step's speed."""
    from thriftune.models.ops.kernels.build import build, is_kept, tools

    compiler, openmp = tools()
    if os.environ.get("THRIFTUNE_KERNELS", "").lower() == "off":
        yield _slower("switched off", "unset THRIFTUNE_KERNELS")
    elif platform.system() != "Linux":
        yield Finding(SUBJECT, f"none on {platform.system()}: torch's operations stand in", "note")
    elif compiler is None:
        yield _slower("no C compiler", "install GCC (Debian, Ubuntu: apt-get install gcc libc6-dev)")
    elif openmp is None:
        yield _slower("torch came without its OpenMP library (libgomp)", "install torch by pip")
    elif is_kept():
        reason = build().reason
        yield (
            _slower(reason, "thriftune cache shows the folder; delete `compiled` in it") if reason else _active("ready")
        )
    elif problem := _trial(compiler):
        yield _slower(f"{compiler} cannot compile: {problem}", "install GCC with its headers, or name one in CC")
    else:
        yield _active(f"not compiled yet; the first study does it with {compiler}, in some seconds")


def _slower(why: str, remedy: str) -> Finding:
    return Finding(SUBJECT, f"{why}: torch's operations stand in, slower and with the same results", "note", remedy)


def _active(state: str) -> Finding:
    """Which of them this processor uses."""
    from thriftune.models.ops.kernels import instructions, made_by_amd, multiplies_narrow

    vectors = instructions()
    products = (
        f"products of matrices too ({vectors})"
        if vectors == "AVX2" or (vectors == "AVX512" and made_by_amd())
        else f"products of matrices by torch's library, which is the faster one with {vectors}"
    )
    narrow = "; precision: bf16 has a unit here" if multiplies_narrow() else "; no unit for precision: bf16"
    return Finding(SUBJECT, f"{state}; attention, LayerNorm, GELU and dropout, {products}{narrow}")


def _trial(compiler: str) -> str | None:
    """Why the compiler cannot make a small program with OpenMP; None where it can."""
    with tempfile.TemporaryDirectory(prefix="thriftune-doctor-") as folder:
        source = Path(folder) / "trial.c"
        source.write_text(TRIAL, encoding="ascii")
        command = [compiler, "-march=native", "-fopenmp", "-c", str(source), "-o", str(Path(folder) / "trial.o")]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=20)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            text = str(getattr(error, "stderr", None) or error)
            return (text.strip().splitlines() or ["no message"])[0][:200]
    return None
