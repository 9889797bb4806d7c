"""With a tls.conf the broker speaks TLS alone, and services trust the authority that they were given."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import Misconfigured
from shared.nats import NatsBus
from tests.deploy.guarded_broker import GuardedBroker, guarded_broker


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that is its own authority; its key stands beside it."""
    arguments = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", tmp_path / "broker.key", "-out", tmp_path / "broker.crt"]
    subprocess.run(["openssl", "req", *arguments, *names, *files], check=True, capture_output=True)
    return tmp_path / "broker.crt"


@pytest.fixture
def broker(tmp_path: Path, certificate: Path) -> Iterator[GuardedBroker]:
    tls = f'tls {{ cert_file: "{certificate}", key_file: "{tmp_path}/broker.key", min_version: "1.3" }}'
    with guarded_broker(tmp_path / "broker", tls=tls) as running:
        yield running


@pytest.mark.live
async def test_a_service_with_the_authority_gets_in(broker: GuardedBroker, certificate: Path) -> None:
    bus = NatsBus("fetcher")
    await bus.connect(broker.url, user="fetcher", password=broker.password("fetcher"), tls_ca=str(certificate))
    assert bus.connected
    await bus.close()


@pytest.mark.live
async def test_a_service_without_it_says_what_is_wrong(broker: GuardedBroker) -> None:
    bus = NatsBus("fetcher")
    with pytest.raises(Misconfigured):
        await bus.connect(broker.url, user="fetcher", password=broker.password("fetcher"), patience=3)
    await bus.close()
