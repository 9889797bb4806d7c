"""The `halftone` command as its user runs it: started, watched, killed, and whatever it left behind."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from services.standalone.broker import free_port

T = TypeVar("T")
HALFTONE = str(Path(sys.executable).with_name("halftone"))
PATIENCE = 110.0  # seconds: the machine may have other work
_MARK = "HALFTONE_TEST_RUN"  # an environment variable that all processes of one run inherit


class Ended(msgspec.Struct, frozen=True):
    """What a command left."""

    code: int
    out: str
    err: str


class Command:
    """A running `halftone …`."""

    def __init__(
        self,
        *arguments: str,
        data: Path | None = None,
        public_port: int = 8080,
        err: int = subprocess.PIPE,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.run = uuid.uuid4().hex
        self._sessions: set[int] = set()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HALFTONE_")}
        environment |= {_MARK: self.run, "HALFTONE_PUBLIC_URL": f"http://127.0.0.1:{public_port}"}
        environment |= settings or {}
        self.process = subprocess.Popen(
            [HALFTONE, *arguments, *(("--data", str(data)) if data else ())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=err,
            env=environment,
            start_new_session=True,
            text=True,
        )

    def end(self, seconds: float = PATIENCE) -> Ended:
        """Wait until it has ended by itself."""
        out, err = self.process.communicate(timeout=seconds)
        return Ended(self.process.returncode, out, err)

    def interrupt(self) -> None:
        """Press Ctrl-C: the terminal tells the whole process group."""
        self.alive()  # so that whoever stays behind is known
        os.killpg(self.process.pid, signal.SIGINT)

    def alive(self) -> dict[int, str]:
        """Return every process of this run: pid → command line.

        The sandbox's do not inherit the mark, but the session of the service that started them. A zombie has no line.
        """
        mark = f"{_MARK}={self.run}".encode()
        found: dict[int, str] = {}
        sessions: dict[int, int] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                pid = int(entry.name)
                sessions[pid] = os.getsid(pid)
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    self._sessions.add(sessions[pid])
                found[pid] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return {
            pid: line for pid, line in found.items() if line and sessions[pid] in self._sessions
        }  # a zombie has none

    def find(self, name: str) -> int | None:
        """Return the pid of the service of that name, or of the broker, if it runs."""
        sign = "nats-server" if name == "broker" else f"-m services.{name}"
        return next((pid for pid, line in self.alive().items() if sign in line and "shared.sandbox" not in line), None)

    def kill(self, name: str) -> int:
        """Kill -9 the service (or the broker) as soon as it is there; return its pid."""
        pid = until(lambda: self.find(name))
        os.kill(pid, signal.SIGKILL)
        return pid

    def vanish(self) -> None:
        """Leave nothing behind, whatever happened."""
        for pid in self.alive():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()


@contextmanager
def running(
    *arguments: str,
    data: Path | None = None,
    public_port: int = 8080,
    err: int = subprocess.PIPE,
    settings: Mapping[str, str] | None = None,
) -> Generator[Command]:
    """Start `halftone` with these arguments, its stderr to the file `err`; kill what is left of it after the block."""
    command = Command(*arguments, data=data, public_port=public_port, err=err, settings=settings)
    try:
        yield command
    finally:
        command.vanish()


def halftone(*arguments: str, data: Path | None = None, public_port: int = 8080, seconds: float = PATIENCE) -> Ended:
    """Run `halftone` with these arguments to its end."""
    with running(*arguments, data=data, public_port=public_port) as command:
        return command.end(seconds)


def until(look: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Return what `look` returns as soon as that is something."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.02)
    return found


def objects(data: Path) -> list[str]:
    """Return the name of every object that the local accounts below `data` hold."""
    found: Sequence[Path] = sorted((data / "objects").glob("*/[0-9]*/**/*.*"))
    return [path.name for path in found]


__all__ = ["Command", "Ended", "free_port", "halftone", "objects", "running", "until"]
