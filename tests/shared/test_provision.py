"""Provisioning: what `shared/topology.py` says, made real, once or again and again."""

import importlib

import pytest
from msgspec.structs import replace

from services.standalone import broker as embedded
from shared import topology
from shared.nats import NatsBus, provision
from shared.topology import BUCKETS, CONSUMERS, STREAMS
from tests.conftest import provisioned_bus

module = importlib.import_module("shared.nats.provision")  # the package's own name for it is the function


async def test_all_that_the_table_names_is_created_once(broker: embedded.Broker) -> None:
    async with provisioned_bus(broker) as bus:
        assert await provision(bus) == []
        streams = {info.config.name for info in await bus.js.streams_info()}
    assert streams == {stream.name for stream in STREAMS} | {f"KV_{bucket.name}" for bucket in BUCKETS}


async def test_a_changed_stream_is_reported_and_applied(nats_bus: NatsBus, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = replace(topology.EVENTS, max_age=3600.0)
    monkeypatch.setattr(module, "STREAMS", (changed,))
    [line] = await provision(nats_bus)
    assert line.startswith("~ stream EVENTS: max_age: ")
    assert (await nats_bus.js.stream_info("EVENTS")).config.max_age == 3600
    assert await provision(nats_bus) == []


async def test_a_changed_consumer_is_reported_and_applied(nats_bus: NatsBus, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = replace(topology.FETCHER, ack_wait=60.0, max_ack_pending=7)
    monkeypatch.setattr(module, "CONSUMERS", (changed,))
    [line] = await provision(nats_bus)
    assert line.startswith("~ consumer fetcher of FEEDS: ack_wait: ")
    assert line.endswith(", max_ack_pending: 1000 → 7")
    assert (await nats_bus.js.consumer_info("FEEDS", "fetcher")).config.max_ack_pending == 7
    assert await provision(nats_bus) == []


async def test_a_changed_bucket_is_reported_and_applied(nats_bus: NatsBus, monkeypatch: pytest.MonkeyPatch) -> None:
    await nats_bus.bucket(topology.HOSTS).put("h", b"v")
    changed = replace(topology.HOSTS, ttl=3600.0, holds="hosts")
    monkeypatch.setattr(module, "BUCKETS", (changed,))
    [line] = await provision(nats_bus)
    assert line.startswith("~ bucket hosts: description: ")
    assert (await nats_bus.js.stream_info("KV_hosts")).config.max_age == 3600
    entry = await nats_bus.bucket(topology.HOSTS).get("h")
    assert entry is not None
    assert entry.value == b"v"
    assert await provision(nats_bus) == []


async def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    nats_bus: NatsBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STREAMS", (replace(topology.EVENTS, max_age=3600.0),))
    assert await provision(nats_bus, dry=True) == await provision(nats_bus, dry=True) != []


async def test_a_deleted_consumer_is_made_anew(nats_bus: NatsBus) -> None:
    await nats_bus.js.delete_consumer("JOBS", "transcoder")
    assert await provision(nats_bus) == ["+ consumer transcoder of JOBS"]


def test_every_consumer_belongs_to_a_stream_that_has_its_subjects() -> None:
    patterns = {stream.name: stream.subjects for stream in STREAMS}
    assert all(consumer.filter in patterns[consumer.stream] for consumer in CONSUMERS)
