"""The parent's side: children forked from a preloaded server, one job at a time each, killed when they overstay."""

import asyncio
import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import msgspec

from shared.errors import Reject, Retry
from shared.sandbox.child import Outcome, child_main
from shared.sandbox.confine import Confinement

T = TypeVar("T")
MAX_RESULT = 512 * 1024 * 1024  # bytes that a child may answer with


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
        preload: Modules that the server imports once, so that children have them from the start.
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
        preload: Sequence[str] = (),
    ) -> None:
        self._target = target
        self._decode = msgspec.msgpack.Decoder(kind)
        self._seconds = seconds
        self._limits = limits or Confinement()
        self._jobs_per_child = jobs_per_child
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([target.partition(":")[0], "shared.sandbox.child", *preload])
        self._slots = asyncio.Semaphore(slots)
        self._threads = ThreadPoolExecutor(slots + 1, thread_name_prefix="sandbox")
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        self._ahead: asyncio.Task[None] | None = None

    async def run(self, *arguments: Any) -> T:
        """Return what the function makes of the arguments.

        Raises:
            Killed: It took too long or too much, or died.
            Reject: The function said so.
            Retry: The function broke: a defect, or a system out of resources.
        """
        async with self._slots:
            child = self._idle.pop() if self._idle else await self._spawn()
            self._spawn_ahead()
            try:
                answer = await self._ask(child, arguments)
            except BaseException:
                self._discard(child)
                raise
            self._put_back(child)
        return self._result(answer)

    async def warm(self) -> None:
        """Start the server and a first child, so that the first job need not wait for them."""
        self._idle.append(await self._spawn())

    async def close(self) -> None:
        """Kill all children."""
        if self._ahead is not None:
            await self._ahead
        for child in list(self._all):
            self._discard(child)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _spawn_ahead(self) -> None:
        """Where each job has a child of its own: have the next one's ready while this one's is at work."""
        under_way = self._ahead is not None and not self._ahead.done()
        if self._jobs_per_child == 1 and not self._idle and not under_way:
            self._ahead = asyncio.create_task(self._warm_quietly())

    async def _warm_quietly(self) -> None:
        with suppress(OSError):  # out of processes: the next job will say so itself
            await self.warm()

    async def _spawn(self) -> "_Child":
        loop = asyncio.get_running_loop()
        child = await loop.run_in_executor(self._threads, self._start)
        self._all.add(child)
        return child

    def _start(self) -> "_Child":
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=child_main, args=(theirs, self._target, self._limits), daemon=True)
        process.start()
        theirs.close()
        return _Child(process, ours)

    async def _ask(self, child: "_Child", arguments: tuple[Any, ...]) -> bytes:
        loop = asyncio.get_running_loop()
        asking = loop.run_in_executor(self._threads, child.ask, arguments)
        done, _ = await asyncio.wait({asking}, timeout=self._seconds)
        if not done:
            child.kill()
            with suppress(EOFError, OSError):
                await asking
            raise Killed(f"it took longer than {self._seconds:.0f} s")
        try:
            return asking.result()
        except (EOFError, OSError) as error:
            raise Killed(await loop.run_in_executor(self._threads, child.why_dead)) from error

    def _put_back(self, child: "_Child") -> None:
        child.jobs += 1
        if child.jobs < self._jobs_per_child:
            self._idle.append(child)
        else:
            self._discard(child)

    def _discard(self, child: "_Child") -> None:
        self._all.discard(child)
        child.kill()

    def _result(self, answer: bytes) -> T:
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


class _Child:
    """A child process and the pipe to it."""

    def __init__(self, process: BaseProcess, connection: Connection) -> None:
        self._process = process
        self._connection = connection
        self.jobs = 0

    def ask(self, arguments: tuple[Any, ...]) -> bytes:
        """Have it do a job; blocks."""
        self._connection.send(arguments)
        return self._connection.recv_bytes(MAX_RESULT)

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def why_dead(self) -> str:
        """Say what it died of; blocks for the moment that dying takes."""
        self._process.join(2)
        code = self._process.exitcode
        if code == -signal.SIGXCPU:
            return "it took more processor time than allowed"
        if code == -signal.SIGKILL:
            return "it was killed, most likely for its memory"
        if code is not None and code < 0:
            return f"its process died of {signal.Signals(-code).name}"
        return f"its process ended with {code}"
