"""What the sandbox's tests run in a child: harmless work, and everything that must not work."""

import fcntl
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from shared.errors import Reject

F_SETSIG = 10  # fcntl(2); the module does not name it


def double(data: bytes) -> bytes:
    return data * 2


def pid(data: bytes) -> int:
    del data
    return os.getpid()


def parent(data: bytes) -> int:
    del data
    return os.getppid()


def environment(data: bytes) -> list[str]:
    del data
    return list(os.environ)


def refuse(data: bytes) -> bytes:
    raise Reject(f"no {data.decode()}")


def break_down(data: bytes) -> bytes:
    raise ZeroDivisionError(data.decode())


def loop(data: bytes) -> bytes:
    while data:
        pass
    return data


def sleep(data: bytes) -> bytes:
    time.sleep(60)
    return data


def die(data: bytes) -> bytes:
    if data == b"die":
        os.abort()
    return data


def hoard(data: bytes) -> bytes:
    return bytes(4_000_000_000) + data


def in_threads(data: bytes) -> bytes:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(data)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return b"".join(found)


ATTEMPTS: dict[str, Callable[[str], object]] = {
    "read a file": lambda _: Path("/etc/passwd").read_text(encoding="utf-8"),
    "write a file": lambda path: Path(path).write_text("x", encoding="utf-8"),
    "list a folder": lambda _: list(Path("/").iterdir()),
    "delete a file": lambda path: Path(path).unlink(),
    "open a socket": lambda _: socket.socket(),
    "start a process": lambda _: os.fork(),
    "run a program": lambda _: os.execv("/bin/true", ["true"]),  # noqa: S606 - it must not come to that
    "signal another": lambda _: os.kill(1, 0),
    "have the kernel signal another": lambda _: fcntl.fcntl(0, fcntl.F_SETOWN, 1),
    "choose the signal": lambda _: fcntl.fcntl(0, F_SETSIG, 9),
    "be signalled on input": lambda _: fcntl.fcntl(0, fcntl.F_SETFL, os.O_ASYNC),
    "trace another": lambda _: os.pidfd_open(os.getppid()),
}


def attempt(data: bytes, path: str) -> str:
    """Say how an attempt ended: "done", or the error that stopped it."""
    try:
        ATTEMPTS[data.decode()](path)
    except OSError as error:
        return type(error).__name__
    return "done"
