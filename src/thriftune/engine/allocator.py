"""Keeps freed memory for the next step: glibc would hand it back and fault it in again, page by page, in every step."""

from __future__ import annotations

import ctypes
import platform
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 << 20
"""What glibc allows on 64-bit machines."""


@cache
def keep_freed_memory() -> None:
    """Makes glibc's allocator reuse freed tensors; does nothing elsewhere. Once a process, for good."""
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def give_back() -> None:
    """Returns freed memory to the system, which glibc else keeps; does nothing elsewhere."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
