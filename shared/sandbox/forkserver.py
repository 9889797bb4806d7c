"""The process that children are forked from: it has loaded all they need once, and does nothing else.

    python -m shared.sandbox.forkserver FD MODULE:FUNCTION LIMITS

On the socket FD the parent asks for each child with a byte and two sockets: one for jobs, and a lifeline. When the
parent closes the lifeline, the child is killed; when the child ends, its exit code is written there. Nobody but this
process signals its children, so no process number is ever used after it has been given to another process.
"""

import gc
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, NoReturn

import msgspec

from shared.sandbox import heap
from shared.sandbox.child import answer_jobs
from shared.sandbox.confine import Confinement, prepare

READY = b"r"
STATUS = 4  # bytes of an exit code on a lifeline, big-endian, signed
_STANDARD_FDS = 3
_MOST_FDS = 1 << 16


class ForkServer:
    """Forks children on demand, kills and reaps them.

    Args:
        control: Where the parent asks for them.
        serve: What a child does with its socket for jobs, a file descriptor.
    """

    def __init__(self, control: socket.socket, serve: Callable[[int], None]) -> None:
        self._control = control
        self._serve = serve
        self._lifelines: dict[int, socket.socket] = {}  # by the child's process number
        self._selector = selectors.DefaultSelector()
        self._deaths, deaths = socket.socketpair()
        deaths.setblocking(False)
        self._deaths.setblocking(False)
        signal.signal(signal.SIGCHLD, _be_woken)
        signal.set_wakeup_fd(deaths.detach())

    def run(self) -> None:
        """Serve until the parent is gone; then no child is left."""
        self._selector.register(self._control, selectors.EVENT_READ, self._fork)
        self._selector.register(self._deaths, selectors.EVENT_READ, self._reap)
        with suppress(EOFError):
            while True:
                for key, _ in self._selector.select():
                    key.data()
        for pid in self._lifelines:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def _fork(self) -> None:
        _, fds, _, _ = socket.recv_fds(self._control, 1, 2)
        if not fds:
            raise EOFError
        job, lifeline = fds[0], socket.socket(fileno=fds[1])
        pid = _fork()
        if pid == 0:
            self._be_child(job)
        os.close(job)
        if pid is None:  # the parent sees that both are closed
            lifeline.close()
            return
        self._lifelines[pid] = lifeline
        self._selector.register(lifeline, selectors.EVENT_READ, partial(self._kill, pid, lifeline))

    def _be_child(self, job: int) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            os.closerange(_STANDARD_FDS, job)
            os.closerange(job + 1, _MOST_FDS)
            self._serve(job)
            code = 0
        except Exception:  # noqa: BLE001 - whatever it is, there is nobody else to say it
            traceback.print_exc()
        finally:
            os._exit(code)  # no interpreter shutdown: it would want files

    def _kill(self, pid: int, lifeline: socket.socket) -> None:
        if self._lifelines.get(pid) is lifeline:  # not reaped yet, so it is still this child's number
            self._selector.unregister(lifeline)
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        self._deaths.recv(1024)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                with self._lifelines.pop(pid) as lifeline:
                    with suppress(KeyError):  # where it was killed
                        self._selector.unregister(lifeline)
                    with suppress(OSError):  # where nobody wants to know any more
                        lifeline.send(os.waitstatus_to_exitcode(status).to_bytes(STATUS, "big", signed=True))


def _fork() -> int | None:
    try:
        return os.fork()
    except OSError:  # out of processes or memory
        return None


def _be_woken(_number: int, _frame: object) -> None:
    """Do nothing: without a handler, nothing is written to the wake-up descriptor either."""


def main() -> None:
    """Load the function, give up all but forking, and serve."""
    fd, target, limits = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM):  # meant for the service: this process ends with it
        signal.signal(number, signal.SIG_IGN)
    control = socket.socket(fileno=int(fd))
    heap.tune()
    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    confine = prepare(msgspec.json.decode(limits, type=Confinement))
    gc.collect()
    gc.freeze()  # collections in a child would touch, and so copy, what it shares with the others
    heap.reserve()

    def serve(job: int) -> None:
        confine()
        answer_jobs(job, function)

    control.sendall(READY)
    ForkServer(control, serve).run()


if __name__ == "__main__":
    main()
