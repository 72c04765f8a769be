"""The memory that a process took."""

import subprocess
import sys

from thriftune.cost.measured.environment import process_peak_bytes

CHILD = "from thriftune.cost.measured.environment import process_peak_bytes; print(process_peak_bytes())"


def test_the_peak_is_that_of_the_process_alone() -> None:
    """Not of the larger one that started it."""
    held = bytearray(b"x") * 300_000_000
    assert process_peak_bytes() > len(held)
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True)
    assert 1_000_000 < int(done.stdout) < len(held)


def test_a_peak_does_not_sink() -> None:
    held = bytearray(b"x") * 100_000_000
    before, len_held = process_peak_bytes(), len(held) // 2
    del held
    assert process_peak_bytes() > before - len_held  # the kernel counts pages roughly
