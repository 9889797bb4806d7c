"""Have glibc's malloc(3) serve processes that are forked for one job: most of what they cost is page faults.

A fresh process gets each page it touches by a fault of its own, and malloc returns large buffers to the kernel as
soon as they are free, so that the next one faults again. Here buffers come from one heap that is never trimmed, and
its untouched part is advised to be backed by huge pages (madvise(2), MADV_HUGEPAGE): one fault in place of 512.
With another libc nothing is done.
"""

import ctypes
import mmap

RESERVE = 128 * 1024 * 1024  # bytes of heap that children find ready, not yet backed by memory
_HUGE_PAGE = 2 * 1024 * 1024
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # mallopt(3)
_LARGEST_INT = 2**31 - 1


def tune() -> None:
    """Have one heap for all threads and all sizes; to be called before any thread is started."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        return
    for option, value in (
        (_M_MMAP_THRESHOLD, _LARGEST_INT),
        (_M_TRIM_THRESHOLD, _LARGEST_INT),
        (_M_ARENA_MAX, 1),
    ):
        libc.mallopt(option, value)


def reserve(size: int = RESERVE) -> None:
    """Return to the kernel what is free, so that forks need not copy it, and put untouched heap in its place."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt") or not hasattr(mmap, "MADV_HUGEPAGE"):
        return
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc_trim(ctypes.c_size_t(0))
    start = libc.malloc(ctypes.c_size_t(size))
    if not start:
        return
    first = -(-start // _HUGE_PAGE) * _HUGE_PAGE
    length = (start + size - first) // _HUGE_PAGE * _HUGE_PAGE
    libc.madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), mmap.MADV_HUGEPAGE)  # advice: it may be refused
    libc.free(ctypes.c_void_p(start))
