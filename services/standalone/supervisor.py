"""Keep processes running: start, restart what crashes, end all within seconds and leave none behind."""

import asyncio
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import IO

import structlog

log = structlog.get_logger()

LOOK_SECONDS = 0.1
TERM_SECONDS = 3.0  # to end by themselves after SIGTERM
FIRST_TERM_SECONDS = 1.0  # the same for the first one, with which nobody talks any more
STUMBLES = 4  # quick deaths after which a start is given up
STEADY_SECONDS = 10.0  # a process that ran so long may be restarted at once
LONGEST_PAUSE = 5.0  # before a restart
_PR_SET_PDEATHSIG = 1


class Supervised:
    """One process that is to run until it is stopped."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log_file: Path | None
    ) -> None:
        """Start it.

        Args:
            name: What to call it.
            command: Program and arguments.
            environment: Added to this process's own.
            log_file: Where its output goes; None: to our stderr.
        """
        self.name = name
        self.refusal = ""  # why it will not run as configured: its own last line
        self.failures = 0  # deaths soon after a start, one after the other
        self.last_line = ""  # of its output
        self._command = list(command)
        self._environment = {**os.environ, **environment}
        self._log_file = log_file
        self._restart_at = 0.0
        self._start()

    def look(self) -> None:
        """Restart it if it has died, after a pause that grows with each quick death."""
        code = self.process.poll()
        if code is None or self.refusal:
            return
        if code == os.EX_CONFIG:
            self._reader.join(1)
            self.refusal = self.last_line.removeprefix("halftone ") or f"{self.name} cannot run as configured"
        elif not self._restart_at:
            quick = time.monotonic() - self._started < STEADY_SECONDS
            self.failures = self.failures + 1 if quick else 0
            self._restart_at = time.monotonic() + min(LONGEST_PAUSE, 0.1 * 2**self.failures)
            log.warning("process died, restarting it", process=self.name, code=code)
        elif time.monotonic() >= self._restart_at:
            self._start()

    def _start(self) -> None:
        self._restart_at = 0.0
        self._started = time.monotonic()
        self.last_line = ""
        self.process = subprocess.Popen(  # noqa: S603 - our own commands
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for us; we tell them
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl(2), no locks
        )
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, output: IO[bytes]) -> None:
        """Pass its output on, line by line; what a full disk does not take is lost, and nothing else."""
        with self._sink() as sink, output:
            for line in output:
                self.last_line = line.decode(errors="replace").strip()
                with suppress(OSError):
                    sink.write(line)
                    sink.flush()

    def _sink(self) -> AbstractContextManager[IO[bytes]]:
        return self._log_file.open("ab", buffering=0) if self._log_file else nullcontext(sys.stderr.buffer)


class Supervisor:
    """Several processes, started in order, ended in the opposite one."""

    def __init__(self) -> None:
        self.processes: list[Supervised] = []
        self._watching: asyncio.Task[None] | None = None

    def add(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log_file: Path | None
    ) -> Supervised:
        """Start one more process and keep it running from now on."""
        supervised = Supervised(name, command, environment, log_file)
        self.processes.append(supervised)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        return supervised

    @property
    def refusal(self) -> str:
        """Why one of them will not run as configured; empty: all run."""
        return next((supervised.refusal for supervised in self.processes if supervised.refusal), "")

    @property
    def stumbling(self) -> str:
        """Which one dies again and again, and with what last line; empty: none does."""
        return next(
            (f"{it.name} does not start: {it.last_line}" for it in self.processes if it.failures >= STUMBLES), ""
        )

    async def stop(self) -> None:
        """End all but the first one, on which the others stand."""
        if self._watching is not None:
            self._watching.cancel()
        await _end([supervised.process for supervised in self.processes[1:]], TERM_SECONDS)

    async def stop_first(self) -> None:
        """End the first one too."""
        await _end([supervised.process for supervised in self.processes[:1]], FIRST_TERM_SECONDS)

    async def _watch(self) -> None:
        while True:
            for supervised in self.processes:
                supervised.look()
            await asyncio.sleep(LOOK_SECONDS)


async def _end(processes: "Sequence[subprocess.Popen[bytes]]", seconds: float) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    for process in processes:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _die_with_parent() -> None:
    """Have the kernel end this process when its parent is killed (Linux; elsewhere it goes on)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
