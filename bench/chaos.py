"""Kill everything again and again while feeds are mirrored, and count what is lost or there twice: `make chaos`.

    python bench/chaos.py [--kills 30] [--seed 1] [--feeds 90] [--site DIR]

Two replicas of each service and a broker of three nodes are killed with -9, seeded and in turn; the storage answers
5 % of requests with errors, half of them after it did what it was asked; connections to the broker are delayed and
cut. Exits 1 where an article or image is lost or visible twice.

DIR holds a static site as bench/pipeline.py takes it, which is mirrored besides: each of its images that a bare
download and rendering give must be mirrored.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' servers are no part of the distribution

from bench.chaos_system import Part, Services, make_streams, start_nodes
from bench.chaos_world import Feeds, Network, Storage, seeded
from bench.pipeline import SITE, bare, entries, served, wanted
from tests.api.postgres import new_database, running_postgres

DOWN_SECONDS = (0.2, 1.5)  # how long a killed process stays away
STORAGE_ERRORS = 0.05
CUT_SECONDS = 3.0  # between two cuts of a connection
RECOVERY_SECONDS = 90.0
SETTLE_SECONDS = 300.0  # for everything to be settled once the killing is over

Wanted = dict[str, set[str]]  # article link → URLs of its images


class Kill(msgspec.Struct, frozen=True):
    """One kill and how long it took until the process could work again, its restart included."""

    name: str
    seconds: float


async def ask(apis: list[str], method: str, path: str, **options: Any) -> Any:
    """Ask the apis in turn until one answers; they are killed, too."""
    deadline = time.monotonic() + 120
    for attempt in range(10**6):
        with suppress(httpx.TransportError):
            async with httpx.AsyncClient(base_url=apis[attempt % len(apis)], trust_env=False, timeout=15) as client:
                answer = await client.request(method, path, **options)
                if answer.is_success:
                    return answer.json()
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.2)
    raise TimeoutError(f"no api answers {method} {path}")


async def ingest(apis: list[str], urls: list[str], seconds: float) -> list[str]:
    """Ask for a poll of each feed, spread over the time that the killing takes; return the requests' ids."""
    ids: list[str] = []
    for url in urls:
        accepted = await ask(apis, "POST", "/api/fetches", json={"url": url, "wait": 0})
        ids.append(accepted.get("requestId") or accepted["record"]["requestId"])
        await asyncio.sleep(seconds / len(urls))
    return ids


async def kill_in_turn(parts: dict[str, Part], kills: int, chance: random.Random, done: list[Kill]) -> None:
    """Kill one after the other, each round in another order, each once the one before works again."""
    while len(done) < kills:
        order = sorted(parts)
        chance.shuffle(order)
        for name in order[: kills - len(done)]:
            part, start = parts[name], time.monotonic()
            part.kill()
            await asyncio.sleep(chance.uniform(*DOWN_SECONDS))
            part.start()
            await part.until_it_works(RECOVERY_SECONDS)
            done.append(Kill(name, time.monotonic() - start))
            print(f"  kill {len(done):>3}  {name:<14} works again after {done[-1].seconds:5.1f} s", flush=True)
            await asyncio.sleep(chance.uniform(0.2, 1.0))


async def cut(networks: list[Network], chance: random.Random) -> None:
    """Cut a connection now and then."""
    while True:
        await asyncio.sleep(chance.uniform(0.5, 1.5) * CUT_SECONDS)
        chance.choice(networks).cut()


def wanted_of(folder: Path) -> Wanted:
    """Return what must come of the static site in the folder."""
    with tempfile.TemporaryDirectory() as renditions:
        made = {url for url in wanted(folder) if bare(url, renditions)}
    # a record lists no article without images
    return {entry.link: {it.source for it in entry.images} & made for entry in entries(folder) if entry.images}


class Account:
    """What must be there, what is, and how often."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self.articles: Counter[str] = Counter()
        self.urls: dict[str, set[str]] = {}
        self.failed: list[dict[str, Any]] = []
        self._maps: dict[str, dict[str, str]] = {}

    def want(self, wanted: Wanted) -> None:
        """Want more."""
        self._wanted |= wanted

    def take(self, record: dict[str, Any]) -> None:
        """Count one record's articles and images."""
        for article in record["toInsertArticleList"]:
            self.articles[article["link"]] += 1
            self._maps[article["link"]] = article["articleImgCdnMap"]
            for source, url in article["articleImgCdnMap"].items():
                self.urls.setdefault(source, set()).add(url)
        self.failed += record["extra7ImgCdnFailResultVector"]

    def lost(self, storage: Storage) -> list[str]:
        """Name articles that no record has, and images without a CDN URL at which something is."""
        there = {f"http://127.0.0.1:{storage.port}{key}" for key in storage.objects}
        lost = [link for link in self._wanted if link not in self.articles]
        for link, images in self._wanted.items():
            found = self._maps.get(link, {})
            lost += [f"{image} of {link}" for image in sorted(images) if found.get(image) not in there]
        return lost

    def twice(self) -> list[str]:
        """Name articles that are in two records, and images with two CDN URLs."""
        return [
            *(link for link, times in self.articles.items() if times > 1),
            *(source for source, urls in self.urls.items() if len(urls) > 1),
        ]


async def settle(apis: list[str], ids: list[str], account: Account) -> None:
    """Wait for every record."""
    async with asyncio.timeout(SETTLE_SECONDS):
        for request_id in ids:
            record = await ask(apis, "GET", f"/api/records/{request_id}")
            while "toInsertArticleList" not in record:
                await asyncio.sleep(0.5)
                record = await ask(apis, "GET", f"/api/records/{request_id}")
            account.take(record)


async def run(arguments: argparse.Namespace, folder: Path, stack: AsyncExitStack) -> bool:
    """Do it all; True where nothing is lost and nothing there twice."""
    chance = seeded(arguments.seed)
    site, storage = Feeds(), Storage(seeded(arguments.seed + 1), STORAGE_ERRORS)
    await stack.enter_async_context(site.serving())
    urls = [site.url(f"/{feed}/feed.xml") for feed in range(arguments.feeds)]
    account = Account({link: images for feed in range(arguments.feeds) for link, images in site.wanted(feed).items()})
    if arguments.site:
        stack.enter_context(served(arguments.site))
        urls.insert(0, f"http://{SITE}/feed.xml")
        account.want(await asyncio.to_thread(wanted_of, arguments.site))
    await stack.enter_async_context(storage.serving())
    database = await new_database(stack.enter_context(running_postgres()), "chaos")
    nodes, ports = start_nodes(folder)
    networks = [Network(seeded(arguments.seed + 2 + node), port) for node, port in enumerate(ports)]
    for part in nodes.values():
        stack.callback(part.kill)
    for network in networks:
        await stack.enter_async_context(network.serving())
    await make_streams(folder, ",".join(f"nats://127.0.0.1:{port}" for port in ports))
    services, apis = Services(
        folder=folder,
        nats=",".join(f"nats://127.0.0.1:{network.port}" for network in networks),
        database=database,
        storage=f"http://127.0.0.1:{storage.port}",
        sites=f"127.0.0.1:{site.port} {SITE}",
    ).start()
    for part in services.values():
        stack.callback(part.kill)
    for part in [*services.values(), *nodes.values()]:
        await part.until_it_works(RECOVERY_SECONDS)
    return await storm(arguments, chance, (urls, account, storage, networks), {**nodes, **services}, apis)


async def storm(
    arguments: argparse.Namespace,
    chance: random.Random,
    world: tuple[list[str], Account, Storage, list[Network]],
    parts: dict[str, Part],
    apis: list[str],
) -> bool:
    """Ingest while killing, then count."""
    urls, account, storage, networks = world
    kills: list[Kill] = []
    start = time.monotonic()
    cutting = asyncio.create_task(cut(networks, chance))
    ingesting = asyncio.create_task(ingest(apis, urls, arguments.kills * 3.0))
    await kill_in_turn(parts, arguments.kills, chance, kills)
    ids = await ingesting
    cutting.cancel()
    over = time.monotonic()
    await settle(apis, ids, account)
    return table(account, storage, networks, kills, (over - start, time.monotonic() - over))


def table(
    account: Account, storage: Storage, networks: list[Network], kills: list[Kill], seconds: tuple[float, float]
) -> bool:
    """Print what came of it."""
    lost, twice = account.lost(storage), account.twice()
    recovery = sorted(kill.seconds for kill in kills)
    print(f"\nkills                      {len(kills)}: {dict(Counter(kill.name.split('-')[0] for kill in kills))}")
    print(f"works again, with restart  median {recovery[len(recovery) // 2]:.1f} s, longest {recovery[-1]:.1f} s")
    print(f"connections cut            {sum(network.cuts for network in networks)}")
    print(f"storage                    {dict(storage.did)}")
    print(f"articles                   {len(account.articles)}")
    print(f"images mirrored            {len(account.urls)}, failed {len(account.failed)}")
    print(f"objects with a twin        {storage.copies()}")
    print(f"time                       {seconds[0]:.0f} s of killing, settled {seconds[1]:.0f} s later")
    print(f"lost                       {len(lost)} {lost[:3] or ''}")
    print(f"twice                      {len(twice)} {twice[:3] or ''}")
    for failure in account.failed[:5]:
        print(f"  failed: {failure['source']}: {failure['extra22GetBytesInfo']}")
    return not lost and not twice


async def main() -> int:
    """Run with the arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--feeds", type=int, default=90)
    parser.add_argument("--site", type=Path, metavar="DIR")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="halftone-chaos-"))
    print(f"logs in {folder}")
    async with AsyncExitStack() as stack:
        return 0 if await run(arguments, folder, stack) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
