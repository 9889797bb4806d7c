"""A real nats-server that runs with deploy/nats' own configuration: users, rights, accounts."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from services.standalone.broker import executable, free_port

DEPLOY = Path(__file__).parents[2] / "deploy"


class GuardedBroker(msgspec.Struct, frozen=True):
    """Where it listens and the secrets of those who may come."""

    port: int
    secrets: Path
    monitor: str  # URL of its own figures
    pid: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"nats://127.0.0.1:{self.port}"

    def password(self, user: str) -> str:
        """The user's password."""
        return (self.secrets / f"broker_{user}").read_text().strip()


def configure(folder: Path, port: int, monitor: int) -> Path:
    """Lay out below `folder` what the container mounts, listening on these ports; return the configuration's path."""
    shutil.copytree(DEPLOY / "nats", folder, dirs_exist_ok=True)
    subprocess.run([DEPLOY / "make-secrets", folder / "secrets"], check=True)
    shutil.copy(folder / "secrets" / "broker_passwords.conf", folder / "passwords.conf")
    main = folder / "nats-server.conf"
    text = main.read_text()
    for theirs, ours in (
        ("0.0.0.0:4222", f"127.0.0.1:{port}"),
        ("0.0.0.0:8222", f"127.0.0.1:{monitor}"),
        ('"/data"', f'"{folder}/data"'),
    ):
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    main.write_text(text)
    return main


@contextmanager
def guarded_broker(folder: Path, *, tls: str = "") -> Generator[GuardedBroker]:
    """Run it while the block runs; `tls` is what its tls.conf says."""
    port, monitor = free_port(), free_port()
    main = configure(folder, port, monitor)
    if tls:
        (folder / "tls.conf").write_text(tls)
    with (folder / "broker.log").open("wb") as log:
        process = subprocess.Popen(
            [executable(), "--config", main], stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}
        )
    try:
        _wait_for(port)
        yield GuardedBroker(port, folder / "secrets", f"http://127.0.0.1:{monitor}", process.pid)
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
