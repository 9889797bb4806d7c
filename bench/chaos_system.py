"""The system in bench/chaos.py: a broker of three nodes and two replicas of each service, each a process to kill."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import msgspec

from services.standalone.broker import executable, free_port
from shared.nats import NatsBus, provision
from tests.deploy.guarded_broker import DEPLOY

SERVICES = ("fetcher", "transcoder", "uploader", "api")
NODES = 3

_CLUSTER = """server_name: n{number}
cluster {{ name: halftone, listen: "127.0.0.1:{port}", no_advertise: true, routes: [{routes}] }}
"""
_ACCOUNT = """[[account]]
store = "s3"
name = "bucket-{number}"
capacity = "1 GB"
endpoint = "{endpoint}"
region = "auto"
bucket = "b{number}"
public_url = "{endpoint}/b{number}"
access_key_id = {{ env = "CHAOS_KEY" }}
secret_access_key = {{ env = "CHAOS_KEY" }}
"""


class Part:
    """One process, and where it says whether it works."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], health: str, log: Path) -> None:
        self.name = name
        self._command = command
        self._environment = {"PATH": os.environ["PATH"], **environment}
        self._health = health
        self._log = log
        self.start()

    def start(self) -> None:
        """Start it, anew after a kill."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    def kill(self) -> None:
        """End it with -9."""
        self.process.kill()
        self.process.wait()

    async def until_it_works(self, seconds: float) -> None:
        """Wait until it can work.

        Raises:
            TimeoutError: It cannot by then.
        """
        async with asyncio.timeout(seconds):
            while not await self.works():  # noqa: ASYNC110 - another process's state is no event
                await asyncio.sleep(0.05)

    async def works(self) -> bool:
        """Ask whether it can work."""
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
                return (await client.get(self._health)).is_success
        except httpx.TransportError:
            return False


def start_nodes(folder: Path) -> tuple[dict[str, Part], list[int]]:
    """Start the broker's nodes with deploy/nats' users and rights; return them and their ports."""
    secrets = folder / "secrets"
    subprocess.run([DEPLOY / "make-secrets", secrets], check=True)
    ports = [free_port() for _ in range(NODES)]
    routes = [free_port() for _ in range(NODES)]
    nodes: dict[str, Part] = {}
    for number, port in enumerate(ports):
        home = folder / f"node-{number}"
        shutil.copytree(DEPLOY / "nats", home)
        shutil.copy(secrets / "broker_passwords.conf", home / "passwords.conf")
        others = ", ".join(f'"nats://127.0.0.1:{route}"' for route in routes)
        (home / "cluster.conf").write_text(_CLUSTER.format(number=number, port=routes[number], routes=others))
        monitor = free_port()
        text = (home / "nats-server.conf").read_text()
        text = text.replace("0.0.0.0:4222", f"127.0.0.1:{port}").replace("0.0.0.0:8222", f"127.0.0.1:{monitor}")
        (home / "nats-server.conf").write_text(text.replace('"/data"', f'"{home}/data"'))
        command = [executable(), "--config", str(home / "nats-server.conf")]
        health = f"http://127.0.0.1:{monitor}/healthz"
        nodes[f"nats-{number}"] = Part(f"nats-{number}", command, {}, health, folder / f"nats-{number}.log")
    return nodes, ports


async def make_streams(folder: Path, urls: str) -> None:
    """Provision with three copies, once the cluster has a leader."""
    deadline = time.monotonic() + 60
    while True:
        bus = NatsBus("chaos")
        await bus.connect(urls, user="provision", password=_password(folder, "provision"))
        try:
            await provision(bus, replicas=NODES)
        except Exception:  # a cluster without a leader refuses in several ways
            if time.monotonic() > deadline:
                raise
        else:
            return
        finally:
            await bus.close()


def _password(folder: Path, user: str) -> str:
    return (folder / "secrets" / f"broker_{user}").read_text().strip()


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """What every service is told."""

    folder: Path
    nats: str
    database: str
    storage: str
    sites: str  # HOST:PORT … that may be fetched from

    def start(self) -> tuple[dict[str, Part], list[str]]:
        """Start two replicas of each; return them and the apis' URLs."""
        accounts = self.folder / "accounts.toml"
        accounts.write_text("\n".join(_ACCOUNT.format(number=number, endpoint=self.storage) for number in range(4)))
        parts: dict[str, Part] = {}
        apis: list[str] = []
        for name in SERVICES:
            for replica in (1, 2):
                http, ops = free_port(), free_port()
                if name == "api":
                    apis.append(f"http://127.0.0.1:{http}")
                environment = self._environment(name, f"{name}-{replica}", http, ops)
                command = [sys.executable, "-m", f"services.{name}"]
                health, log = f"http://127.0.0.1:{ops}/readyz", self.folder / f"{name}-{replica}.log"
                parts[f"{name}-{replica}"] = Part(f"{name}-{replica}", command, environment, health, log)
        return parts, apis

    def _environment(self, user: str, instance: str, http: int, ops: int) -> dict[str, str]:
        return {
            "HALFTONE_NATS_URL": self.nats,
            "HALFTONE_NATS_USER": user,
            "HALFTONE_NATS_PASSWORD": _password(self.folder, user),
            "HALFTONE_INSTANCE": instance,
            "HALFTONE_OPS_PORT": str(ops),
            "HALFTONE_HTTP_PORT": str(http),
            "HALFTONE_DATABASE_URL": self.database,
            "HALFTONE_DATA": str(self.folder / "data"),
            "HALFTONE_ALLOW_HOSTS": self.sites,
            "HALFTONE_ACCOUNTS": str(self.folder / "accounts.toml"),
            "HALFTONE_WORKERS": "1",
            "HALFTONE_HOST_RATE": "0",  # all feeds are of one host
            "CHAOS_KEY": "key",
        }
