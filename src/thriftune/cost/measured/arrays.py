"""The bytes of the arrays that are alive while something runs: of numpy and scipy what live tensors are of torch."""

from __future__ import annotations

import ctypes
import gc
import tracemalloc
from dataclasses import dataclass

NOT_COUNTED = "this Python does not tell which arrays are alive"
DOMAINS = range(3)
"""Python's own allocators (raw, memory, objects), by CPython's numbers."""


class _Allocator(ctypes.Structure):
    """CPython's `PyMemAllocatorEx`."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("ctx", "malloc", "calloc", "realloc", "free")]


@dataclass(frozen=True)
class LiveArrays:
    """Counts from `begin` to `end`; arrays that were there before are not seen.

    tracemalloc hears of every array that numpy takes and gives back. It would hear of every Python object too, which
    makes fitting up to twice as slow: Python's own allocators are therefore taken back from it, and arrays alone count.
    """

    counting: bool

    @classmethod
    def begin(cls) -> LiveArrays:
        """Starts to count."""
        if tracemalloc.is_tracing() or not hasattr(ctypes, "pythonapi"):
            return cls(False)
        gc.collect()
        own = [_Allocator() for _ in DOMAINS]
        for domain, allocator in zip(DOMAINS, own, strict=True):
            ctypes.pythonapi.PyMem_GetAllocator(ctypes.c_int(domain), ctypes.byref(allocator))
        tracemalloc.start()
        for domain, allocator in zip(DOMAINS, own, strict=True):
            ctypes.pythonapi.PyMem_SetAllocator(ctypes.c_int(domain), ctypes.byref(allocator))
        tracemalloc.clear_traces()
        return cls(True)

    def end(self) -> int | None:
        """The peak in bytes; None where arrays cannot be counted. To be called once."""
        if not self.counting:
            return None
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak
