"""Take from this process what hostile input could use: memory, CPU, files, sockets, other processes.

Three layers, each where the kernel has it: resource limits (setrlimit(2)), landlock(7) against the file system,
and a seccomp(2) filter that lets through what computing, threads and the pipe to the parent need, nothing more.
"""

import ctypes
import errno
import fcntl
import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

pyseccomp: Any = None
with suppress(ImportError, RuntimeError, OSError):  # another system, or one without libseccomp
    pyseccomp = import_module("pyseccomp")

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_INSTRUCTION = 8  # bytes of one instruction of a filter
_CLONE_THREAD = 0x00010000
_LANDLOCK_CREATE_RULESET = 444  # the numbers are the same on every architecture
_LANDLOCK_RESTRICT_SELF = 446
_LANDLOCK_CREATE_RULESET_VERSION = 1
_LANDLOCK_RIGHTS_BY_ABI = (0x1FFF, 0x3FFF, 0x7FFF)  # file-system access rights known to ABI 1, 2, 3 and later
_LANDLOCK_TCP = 0x3  # to bind and to connect: known from ABI 4 on
_LANDLOCK_SCOPES = 0x3  # to abstract sockets and to signals of others: known from ABI 6 on
_LANDLOCK_FIELDS_BY_ABI = (1, 1, 1, 2, 2, 3)  # of `struct landlock_ruleset_attr`

# What the interpreter, libc and libwebp call while they compute, and what the pipe needs.
_ALLOWED_CALLS = """
    brk mmap munmap mremap mprotect madvise
    read write readv writev lseek close fstat newfstatat dup poll ppoll select pselect6
    futex set_robust_list get_robust_list rseq sched_yield sched_getaffinity getcpu
    rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall
    clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time
    getpid getppid gettid getuid geteuid getgid getegid getcwd getrandom uname getrusage sysinfo
    exit exit_group
"""
_ALLOWED_FCNTL = (
    fcntl.F_DUPFD,
    fcntl.F_DUPFD_CLOEXEC,
    fcntl.F_GETFD,
    fcntl.F_SETFD,
    fcntl.F_GETFL,
)  # none that signals


class Confinement(msgspec.Struct, frozen=True):
    """How much a child may take."""

    memory: int = 1024 * 1024 * 1024  # bytes of address space on top of what it has at its start
    cpu_seconds: int = 60  # of CPU time, all threads together, per child


@cache
def confinement_level() -> str:
    """Name the layers that this system has, e.g. `rlimits+landlock+seccomp`."""
    layers = ["rlimits"]
    if _landlock_abi() > 0:
        layers.append("landlock")
    if pyseccomp is not None:
        layers.append("seccomp")
    return "+".join(layers)


def prepare(limits: Confinement) -> Callable[[], None]:
    """Confine this process as far as it can still fork, and return what confines a child of it altogether.

    What is open stays open. The returned function does only what cannot be done once for all children.

    Raises:
        OSError: The kernel refuses a layer that it says it has; so does the returned function.
    """
    address_space = _address_space() + limits.memory
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _landlock_abi() > 0:
        _landlock(libc)
    program = _seccomp_program() if pyseccomp is not None else None

    def confine() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a killed server must not leave children at work
        _set_limits(address_space, limits.cpu_seconds)
        if program is not None and libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program)):
            raise OSError(ctypes.get_errno(), "the system call filter was refused")

    return confine


def _set_limits(address_space: int, cpu_seconds: int) -> None:
    for what, soft, hard in (
        (resource.RLIMIT_AS, address_space, address_space),
        (resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1),  # first SIGXCPU, which tells why
        (resource.RLIMIT_FSIZE, 0, 0),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 0, 0),
    ):
        with suppress(ValueError, OSError):  # a container may have set it lower already
            resource.setrlimit(what, (soft, hard))


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")


@cache
def _landlock_abi() -> int:
    """Return the kernel's landlock version, 0 or less where it has none."""
    libc = ctypes.CDLL(None, use_errno=True)
    version: int = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_CREATE_RULESET_VERSION)
    return version


def _landlock(libc: ctypes.CDLL) -> None:
    """Deny every access to the file system, to TCP and to processes outside: a ruleset without a rule."""
    abi = _landlock_abi()
    rights = _LANDLOCK_RIGHTS_BY_ABI[min(abi, len(_LANDLOCK_RIGHTS_BY_ABI)) - 1]
    fields = _LANDLOCK_FIELDS_BY_ABI[min(abi, len(_LANDLOCK_FIELDS_BY_ABI)) - 1]
    attribute = (ctypes.c_uint64 * 3)(rights, _LANDLOCK_TCP, _LANDLOCK_SCOPES)
    size = fields * ctypes.sizeof(ctypes.c_uint64)
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, ctypes.byref(attribute), size, 0)
    if ruleset < 0:
        return
    libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


class _Program(ctypes.Structure):
    """A filter as the kernel takes it: `struct sock_fprog` of seccomp(2)."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _seccomp_program() -> _Program:
    filtering = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    for name in _ALLOWED_CALLS.split():
        with suppress(RuntimeError, ValueError):  # not every architecture has every call
            filtering.add_rule(pyseccomp.ALLOW, name)
    filtering.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")  # its flags cannot be looked at: fall back to clone
    for command in _ALLOWED_FCNTL:
        filtering.add_rule(pyseccomp.ALLOW, "fcntl", pyseccomp.Arg(1, pyseccomp.EQ, command))
    threads = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, _CLONE_THREAD, _CLONE_THREAD)
    filtering.add_rule(pyseccomp.ALLOW, "clone", threads)
    with os.fdopen(os.memfd_create("filter"), "w+b") as file:
        filtering.export_bpf(file)
        file.seek(0)
        program = file.read()
    return _Program(len(program) // _INSTRUCTION, program)
