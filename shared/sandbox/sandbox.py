"""The parent's side: children forked from a server of its own, one job at a time each, killed when they overstay."""

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any, Generic, TypeVar

import msgspec

from shared.errors import Reject, Retry
from shared.sandbox.child import HEAD, Outcome, framed
from shared.sandbox.confine import Confinement

T = TypeVar("T")
MAX_RESULT = 512 * 1024 * 1024  # bytes that a child may answer with
PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TZ")  # of the environment, which also holds secrets
DYING = 2.0  # seconds that the end of a child, or of the server, may take


class Killed(Reject):
    """The job took too long or too much, or its process died of it."""


class Sandbox(Generic[T]):
    """A pool of confined children that all run one function.

    Args:
        target: `module:function`; takes what `run` is given, returns `kind`.
        kind: The type of its result: anything that msgspec decodes.
        slots: Jobs at the same time.
        seconds: Wall-clock time for one job.
        limits: What one child may take.
        jobs_per_child: Jobs until a child is replaced; 1 gives each job a child that saw no other.
    """

    def __init__(
        self,
        target: str,
        kind: type[T],
        *,
        slots: int,
        seconds: float,
        limits: Confinement | None = None,
        jobs_per_child: int = 1,
    ) -> None:
        self._target = target
        self._decode = msgspec.msgpack.Decoder(kind)
        self._seconds = seconds
        self._jobs_per_child = jobs_per_child
        self._server = _Server(target, limits or Confinement())
        self._slots = asyncio.Semaphore(slots)
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()

    async def run(self, *arguments: Any) -> T:
        """Return what the function makes of the arguments.

        Raises:
            Killed: It took too long or too much, or died.
            Reject: The function said so.
            Retry: The function broke: a defect, or a system out of resources.
        """
        async with self._slots:
            await self.warm()
            child = self._idle.pop()
            if self._jobs_per_child == 1 and not self._idle:
                with suppress(OSError):  # the next job will say so itself
                    self._fork()  # its child is made ready while this one's is at work
            try:
                answer = await self._ask(child, arguments)
            except BaseException:
                self._discard(child)
                raise
            self._put_back(child)
        return self._result(answer)

    async def warm(self) -> None:
        """Have the server and a child ready.

        Raises:
            Retry: They cannot be started.
        """
        try:
            if await self._server.start():
                self._discard_idle()  # the children of the one before died with it
            if not self._idle:
                self._fork()
        except OSError as error:
            raise Retry(f"cannot start a process to run {self._target} in: {error}") from error

    async def close(self) -> None:
        """Kill all children and the server."""
        for child in list(self._all):
            self._discard(child)
        await self._server.close()

    def _fork(self) -> None:
        child = self._server.fork()
        self._all.add(child)
        self._idle.append(child)

    async def _ask(self, child: "_Child", arguments: tuple[Any, ...]) -> bytearray:
        try:
            async with asyncio.timeout(self._seconds):
                return await child.ask(arguments)
        except TimeoutError:
            raise Killed(f"it took longer than {self._seconds:.0f} s") from None
        except (EOFError, OSError) as error:
            code = await child.exit_code()
            if code is None:
                raise Retry(f"the server that runs {self._target} ended") from error
            raise Killed(_why_dead(code)) from error

    def _discard_idle(self) -> None:
        for child in self._idle:
            self._discard(child)
        self._idle.clear()

    def _put_back(self, child: "_Child") -> None:
        child.jobs += 1
        if child.jobs < self._jobs_per_child:
            self._idle.append(child)
        else:
            self._discard(child)

    def _discard(self, child: "_Child") -> None:
        self._all.discard(child)
        child.kill()

    def _result(self, answer: bytearray) -> T:
        try:
            outcome = _outcomes.decode(answer)
            if not (outcome.rejected or outcome.failed):
                return self._decode.decode(outcome.result)
        except msgspec.DecodeError as error:
            raise Killed(f"its process answered with nonsense: {error}") from error
        if outcome.rejected:
            raise Reject(outcome.rejected)
        raise Retry(f"{self._target} broke: {outcome.failed}")


_outcomes = msgspec.msgpack.Decoder(Outcome)


class _Server:
    """The process of `shared.sandbox.forkserver`, started when it is first needed and again if it died."""

    def __init__(self, target: str, limits: Confinement) -> None:
        self._arguments = (target, msgspec.json.encode(limits).decode())
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> bool:
        """Start it, unless it runs, and tell which; OSError where that cannot be done."""
        async with self._starting:
            if self._process is not None and self._process.poll() is None:
                return False
            self._hang_up()
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            self._control = ours
            with theirs:
                self._process = await asyncio.to_thread(self._popen, theirs.fileno())
            if not await asyncio.get_running_loop().sock_recv(ours, 1):
                raise ChildProcessError("the server could not load it; see its own message")
            return True

    def fork(self) -> "_Child":
        """Ask for a child; OSError where the server is gone."""
        if self._control is None:
            raise BrokenPipeError
        job, jobs_end = socket.socketpair()
        lifeline, watched_end = socket.socketpair()
        child = _Child(job, lifeline)
        with jobs_end, watched_end:
            try:
                socket.send_fds(self._control, [b"f"], [jobs_end.fileno(), watched_end.fileno()])
            except OSError:
                child.kill()
                raise
        return child

    async def close(self) -> None:
        """End it: it ends when its parent hangs up."""
        self._hang_up()
        if self._process is not None:
            try:
                await asyncio.to_thread(self._process.wait, DYING)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _hang_up(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def _popen(self, fd: int) -> subprocess.Popen[bytes]:
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        environment["OMP_NUM_THREADS"] = "1"  # numpy's: a process that forks is to have no other thread
        return subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "shared.sandbox.forkserver", str(fd), *self._arguments],
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=[fd],
        )


class _Child:
    """The two sockets to a child process."""

    def __init__(self, job: socket.socket, lifeline: socket.socket) -> None:
        self._job = job
        self._lifeline = lifeline
        self._job.setblocking(False)
        self._lifeline.setblocking(False)
        self.jobs = 0

    async def ask(self, arguments: tuple[Any, ...]) -> bytearray:
        """Have it do a job; EOFError or OSError where it ends before the answer does."""
        await asyncio.get_running_loop().sock_sendall(self._job, framed(pickle.dumps(arguments)))
        size = int.from_bytes(await self._exactly(HEAD), "big")
        if size > MAX_RESULT:
            raise Killed(f"its process answered with {size:,} bytes; {MAX_RESULT:,} are allowed")
        return await self._exactly(size)

    async def exit_code(self) -> int | None:
        """Return what it died of, None if nobody is left to tell."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(DYING):
                status = await asyncio.get_running_loop().sock_recv(self._lifeline, 4)
                return int.from_bytes(status, "big", signed=True) if status else None
        return None

    def kill(self) -> None:
        """End it now."""
        self._job.close()
        self._lifeline.close()

    async def _exactly(self, size: int) -> bytearray:
        loop = asyncio.get_running_loop()
        data = bytearray(size)
        left = memoryview(data)
        while left:
            got = await loop.sock_recv_into(self._job, left)
            if not got:
                raise EOFError
            left = left[got:]
        return data


def _why_dead(code: int) -> str:
    if code == -signal.SIGXCPU:
        return "it took more processor time than allowed"
    if code == -signal.SIGKILL:
        return "it was killed, most likely for its memory"
    if code < 0:
        return f"its process died of {signal.Signals(-code).name}"
    return f"its process ended with {code}"
