"""A rolling restart under load loses nothing; what was copied while stopped goes on elsewhere."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.feeds import fill
from tests.deploy.guarded_broker import guarded_broker
from tests.deploy.guarded_system import SERVICES, GuardedSystem, guarded_system
from tests.servers import Site, running_site

FEEDS = 8
MOST_SECONDS = 10.0  # from SIGTERM to the exit


async def _asked(system: GuardedSystem, site: Site, feed: int) -> str:
    """Have a feed polled, as often as it takes until an api is there; return the request's id."""
    while True:
        try:
            accepted = await system.fetch(site.url(f"/{feed}/feed.xml"), wait=0)
        except httpx.TransportError:
            await asyncio.sleep(0.1)
        else:
            return str(accepted.get("requestId") or accepted["record"]["requestId"])


async def _record(system: GuardedSystem, request_id: str) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=system.url, trust_env=False, timeout=90) as client:
        return (await client.get(f"/api/records/{request_id}", params={"wait": 60})).json()


def _figures(record: dict[str, Any]) -> tuple[int, int, int, int]:
    """Return code, articles, images wanted, images mirrored."""
    return record["code"], len(record["toInsertArticleList"]), record["extra5"], record["extra6"]


@pytest.mark.live
async def test_a_rolling_restart_under_load_loses_nothing(tmp_path: Path) -> None:
    with guarded_broker(tmp_path / "broker") as broker:
        async with running_site() as site:
            fill(site, FEEDS)
            with guarded_system(broker, tmp_path / "data", f"127.0.0.1:{site.port}") as system:
                asking = asyncio.gather(*(_asked(system, site, feed) for feed in range(FEEDS)))
                ends = [await asyncio.to_thread(_restart, system, name) for name in SERVICES]
                records = [await _record(system, request_id) for request_id in await asking]
    assert [code for code, _ in ends] == [0] * len(SERVICES)
    assert max(seconds for _, seconds in ends) <= MOST_SECONDS
    assert [_figures(record) for record in records] == [(1, 1, 3, 2)] * FEEDS  # one of three is gone


def _restart(system: GuardedSystem, name: str) -> tuple[int, float]:
    end = system.stop(name)
    system.start(name)
    system.wait_until_ready(name)
    return end


@pytest.mark.live
async def test_a_copy_made_while_stopped_goes_on_elsewhere(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    async with running_site() as site:
        fill(site, 1)
        url, allowed = site.url("/0/feed.xml"), f"127.0.0.1:{site.port}"
        with guarded_broker(here / "broker") as broker, guarded_system(broker, here / "data", allowed) as system:
            first = await system.fetch(url)
            for name in SERVICES:
                system.stop(name)
        shutil.copytree(here, elsewhere)
        with (
            guarded_broker(elsewhere / "broker") as broker,
            guarded_system(broker, elsewhere / "data", allowed) as moved,
        ):
            kept = await _record(moved, first["record"]["requestId"])
            again = await moved.fetch(url)
    assert _figures(kept) == _figures(first) == (1, 1, 3, 2)
    assert (again["code"], again["toInsertArticleList"]) == (1, [])
