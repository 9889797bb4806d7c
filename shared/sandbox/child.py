"""The child's side: confine itself, then answer one job after the other until the pipe closes."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from shared.errors import Reject
from shared.sandbox.confine import Confinement, confine


class Outcome(msgspec.Struct, frozen=True):
    """What a job came to. MessagePack, not pickle: a child that was taken over must not take over its parent."""

    result: msgspec.Raw = msgspec.Raw(b"\xc0")  # MessagePack of what the function returned
    rejected: str = ""  # the text of its `Reject`
    failed: str = ""  # any other exception


def child_main(connection: Connection, target: str, limits: Confinement) -> None:
    """Serve jobs on `connection`: argument tuples in, outcomes out.

    Args:
        connection: To the parent.
        target: `module:function`.
        limits: What the child may take.
    """
    _let_go_of_server()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    confine(limits)
    with suppress(EOFError, OSError):
        while True:
            arguments: tuple[Any, ...] = connection.recv()
            connection.send_bytes(msgspec.msgpack.encode(_outcome(function, arguments)))
    os._exit(0)  # no interpreter shutdown: it would want files


def _let_go_of_server() -> None:
    """Close our end of the pipe by which the server knows that it is needed.

    Children could start others through it; ours do not, and a server that outlives a killed service keeps us at work.
    """
    alive: int | None = getattr(forkserver, "_forkserver")._forkserver_alive_fd  # noqa: B009, SLF001 - no public name
    if alive is not None:
        os.close(alive)


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
    try:
        return Outcome(result=msgspec.Raw(msgspec.msgpack.encode(function(*arguments))))
    except Reject as error:
        return Outcome(rejected=str(error) or "refused")
    except MemoryError:
        return Outcome(rejected="it needs more memory than allowed")
    except Exception as error:  # noqa: BLE001 - told to the parent, which decides
        return Outcome(failed=f"{type(error).__name__}: {error}"[:1000])
