"""The four services as processes, each as its own user of a broker that runs with deploy/nats' configuration."""

import os
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from services.standalone.broker import free_port
from tests.deploy.guarded_broker import GuardedBroker

SERVICES = ("uploader", "transcoder", "fetcher", "api")


class GuardedSystem:
    """Where its parts are, and how to restart them."""

    def __init__(self, broker: GuardedBroker, data: Path, site: str, settings: Mapping[str, str]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"  # of the api
        self._ports = {name: free_port() for name in SERVICES}
        self.ops = {name: f"http://127.0.0.1:{number}" for name, number in self._ports.items()}
        self._broker = broker
        self._data = data
        self._settings = {
            "HALFTONE_DATA": str(data),
            "HALFTONE_ALLOW_HOSTS": site,
            "HALFTONE_HOST_RATE": "0",
            "HALFTONE_HTTP_PORT": str(port),
            "HALFTONE_PUBLIC_URL": self.url,
            **settings,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start a service, anew after it was stopped."""
        environment = {
            **as_user(self._broker, name),
            **self._settings,
            "HALFTONE_INSTANCE": f"{name}-1",
            "HALFTONE_OPS_PORT": str(self._ports[name]),
        }
        with (self._data / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"services.{name}"], env=environment, stdout=log, stderr=log
            )

    def stop(self, name: str) -> tuple[int, float]:
        """Send SIGTERM and wait; return the exit code and the seconds that it took."""
        start = time.monotonic()
        self.processes[name].terminate()
        return self.processes[name].wait(30), time.monotonic() - start

    def kill(self) -> None:
        """End all."""
        for process in self.processes.values():
            process.kill()
            process.wait()

    def wait_until_ready(self, *names: str) -> None:
        """Wait until these services can work."""
        deadline = time.monotonic() + 60
        for name in names or SERVICES:
            while not _is_ready(self.ops[name]):
                assert time.monotonic() < deadline, f"{name} does not become ready"
                time.sleep(0.1)

    async def fetch(self, url: str, wait: float = 60) -> dict[str, Any]:
        """Return the record of a poll of `url`."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=90) as client:
            answer = await client.post("/api/fetches", json={"url": url, "wait": wait})
            answer.raise_for_status()
            return answer.json()

    async def metrics(self, service: str) -> str:
        """Return what the service says on /metrics."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{self.ops[service]}/metrics")).text


def as_user(broker: GuardedBroker, user: str) -> dict[str, str]:
    """Return the environment of a process that comes as `user`."""
    return {
        "PATH": os.environ["PATH"],
        "HALFTONE_NATS_URL": broker.url,
        "HALFTONE_NATS_USER": user,
        "HALFTONE_NATS_PASSWORD_FILE": str(broker.secrets / f"broker_{user}"),
    }


def halftone(broker: GuardedBroker, user: str, *arguments: str) -> str:
    """Run the command line as `user`; return what it prints."""
    command = [Path(sys.executable).with_name("halftone"), *arguments]
    return subprocess.run(
        command, env=as_user(broker, user), check=True, capture_output=True, text=True, timeout=60
    ).stdout


@contextmanager
def guarded_system(
    broker: GuardedBroker, data: Path, site: str, settings: Mapping[str, str] | None = None
) -> Generator[GuardedSystem]:
    """Run provisioning and the four services while the block runs; `site` may be fetched from."""
    data.mkdir(parents=True, exist_ok=True)
    halftone(broker, "provision", "provision", "--subscriber", "subscriber")
    system = GuardedSystem(broker, data, site, settings or {})
    try:
        for name in SERVICES:
            system.start(name)
        system.wait_until_ready()
        yield system
    finally:
        system.kill()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False
