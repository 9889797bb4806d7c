"""The rights in deploy/nats suffice: the sample feed goes through, nothing is denied."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.standalone import sample_site
from tests.deploy.guarded_broker import GuardedBroker, guarded_broker
from tests.deploy.guarded_system import SERVICES, guarded_system, halftone


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[GuardedBroker]:
    with guarded_broker(tmp_path / "broker") as running:
        yield running


@pytest.mark.live
async def test_the_sample_feed_goes_through_and_nothing_is_denied(broker: GuardedBroker, tmp_path: Path) -> None:
    with sample_site.serving() as site, guarded_system(broker, tmp_path / "data", site) as system:
        record = await system.fetch(f"http://{site}/feed.xml")
        assert (record["code"], record["extra5"], record["extra6"]) == (1, 6, 5)  # one is gone
        await asyncio.sleep(1)  # a refusal comes late
        for service in SERVICES:
            assert "halftone_bus_errors_total 0.0" in await system.metrics(service), service


@pytest.mark.live
def test_provisioning_says_what_it_made_and_then_that_nothing_is_left(broker: GuardedBroker) -> None:
    dry = halftone(broker, "provision", "provision", "--dry-run")
    made = halftone(broker, "provision", "provision")
    again = halftone(broker, "provision", "provision")
    more = halftone(broker, "provision", "provision", "--subscriber", "newsletter")
    assert dry == made
    assert made.splitlines()[0] == "+ stream FEEDS"
    assert "+ bucket images" in made
    assert again == "as it should be: nothing to do\n"
    assert more == "+ consumer newsletter of EVENTS\n"
