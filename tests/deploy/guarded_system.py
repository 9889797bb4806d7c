"""The four services as processes, each as its own user of a broker that runs with deploy/nats' configuration."""

import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import msgspec

from services.standalone.broker import free_port
from tests.deploy.guarded_broker import GuardedBroker

SERVICES = ("uploader", "transcoder", "fetcher", "api")


class GuardedSystem(msgspec.Struct, frozen=True):
    """Where its parts are."""

    url: str  # of the api
    ops: dict[str, str]
    processes: dict[str, "subprocess.Popen[bytes]"]

    async def fetch(self, url: str) -> dict[str, object]:
        """Return the record of a poll of `url`."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=90) as client:
            answer = await client.post("/api/fetches", json={"url": url, "wait": 60})
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
def guarded_system(broker: GuardedBroker, data: Path, site: str) -> Generator[GuardedSystem]:
    """Run provisioning and the four services while the block runs; `site` may be fetched from."""
    data.mkdir(parents=True, exist_ok=True)
    halftone(broker, "provision", "provision", "--subscriber", "subscriber")
    port, ops = free_port(), {name: free_port() for name in SERVICES}
    with ExitStack() as stack:
        processes: dict[str, subprocess.Popen[bytes]] = {}
        for name in SERVICES:
            environment = {
                **as_user(broker, name),
                "HALFTONE_INSTANCE": f"{name}-1",
                "HALFTONE_OPS_PORT": str(ops[name]),
                "HALFTONE_DATA": str(data),
                "HALFTONE_ALLOW_HOSTS": site,
                "HALFTONE_HTTP_PORT": str(port),
                "HALFTONE_PUBLIC_URL": f"http://127.0.0.1:{port}",
            }
            log = stack.enter_context((data / f"{name}.log").open("wb"))
            processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"services.{name}"], env=environment, stdout=log, stderr=log
            )
            stack.callback(_end, processes[name])
        urls = {name: f"http://127.0.0.1:{number}" for name, number in ops.items()}
        _wait_until_ready(urls)
        yield GuardedSystem(f"http://127.0.0.1:{port}", urls, processes)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _wait_until_ready(urls: dict[str, str]) -> None:
    deadline = time.monotonic() + 60
    for url in urls.values():
        while not _is_ready(url):
            assert time.monotonic() < deadline, f"{url} does not become ready"
            time.sleep(0.1)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).is_success
    except httpx.TransportError:
        return False
