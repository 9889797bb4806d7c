"""Uploads a second of 100 KB renditions through `rpc.upload`, to local and to S3, against the bare client.

    python bench/upload.py [--renditions 400] [--concurrency 16] [--rounds 3]

Three ways to store the same number of renditions, so many at a time, in turn; the medians of the rounds are told.

- The bare client stores in this process, without a broker: for local in threads as durably as the store does (written
  beside, synced, renamed, its folder synced), for S3 through obstore.
- The bare peer is a process of its own that is asked over the real broker and does that and nothing more: no claim
  that keeps others from storing the same bytes, no choice of account, no health. What it takes longer than the bare
  client is what bringing 100 KB to another process costs.
- `rpc.upload` is one uploader process on the same broker, with one account: like the bare ones it syncs one folder.
  (Four accounts are four folders to sync, which costs the journal of ext4 about a third of the rate.)

S3 is a moto server in a process of its own; all share this machine's cores.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import nats.errors
import obstore
import uvloop
from obstore.store import S3Store

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' servers are no part of the distribution

from bench.uploader_storm import running_broker
from services.standalone import broker as embedded
from services.uploader.names import content_hash, object_name
from shared.errors import Retry
from shared.messages import Upload, Uploaded, decode, encode
from shared.nats import NatsBus, provision
from shared.settings import Settings, load
from shared.topology import RPC_UPLOAD
from tests.uploader.moto_s3 import BUCKET, running_s3

SIZE = 100_000
DAY = "2026/11/25"
PEER = "bench.peer"
Put = Callable[[bytes], Awaitable[object]]

_LOCAL_ACCOUNT = """
[[account]]
store = "local"
name = "local"
"""
_S3_ACCOUNT = """
[[account]]
store = "s3"
name = "s3"
endpoint = "{endpoint}"
bucket = "{bucket}"
public_url = "{endpoint}/{bucket}"
access_key_id = {{ env = "KEY_ID" }}
secret_access_key = {{ env = "SECRET" }}
"""


class Timed(msgspec.Struct):
    """One round."""

    seconds: float
    latencies: list[float]


async def timed(put: Put, renditions: list[bytes], concurrency: int) -> Timed:
    """Put all, so many at a time."""
    waiting = iter(renditions)
    latencies: list[float] = []

    async def worker() -> None:
        for data in waiting:
            began = time.perf_counter()
            await put(data)
            latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return Timed(time.perf_counter() - began, latencies)


def bare_local(root: Path) -> Put:
    """Write, sync and rename, then sync the folder."""

    def write(data: bytes) -> None:
        path = root / object_name(content_hash(data), "image/webp", DAY)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = root / uuid.uuid4().hex
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)

    return lambda data: asyncio.to_thread(write, data)


def bare_s3(endpoint: str) -> Put:
    """Put with obstore as the store does."""
    bucket = S3Store(
        BUCKET,
        endpoint=endpoint,
        access_key_id=os.environ["KEY_ID"],
        secret_access_key=os.environ["SECRET"],
        client_options={"allow_http": True},
    )

    def put(data: bytes) -> Awaitable[object]:
        name = object_name(content_hash(data), "image/webp", DAY)
        return obstore.put_async(bucket, name, data, mode="create", attributes={"Content-Type": "image/webp"})

    return put


def through(bus: NatsBus, subject: str) -> Put:
    """Ask whoever serves the subject."""

    async def put(data: bytes) -> None:
        request = Upload(image="bench", data=data, content_type="image/webp", day=DAY)
        answer = decode((await bus.client.request(subject, encode(request), timeout=30)).data)
        if not isinstance(answer, Uploaded):
            raise Retry(str(answer))

    return put


async def serve_bare(put: Put, slots: int) -> None:
    """Be the bare peer, until terminated."""
    bus = NatsBus("peer")
    settings = load(Settings)
    await bus.connect(settings.nats_url, user=settings.nats_user, password=settings.nats_password)

    async def answer(data: bytes) -> bytes:
        request = decode(data)
        assert isinstance(request, Upload)  # noqa: S101 - this benchmark asks nothing else
        await put(request.data)
        return encode(Uploaded(url="", account="", http_code=201, created=True))

    await bus.serve(PEER, PEER, answer, slots=slots)
    await asyncio.Event().wait()


async def until_up(put: Put) -> None:
    """Wait until an uploader answers."""
    while True:
        try:
            await put(os.urandom(64))
        except nats.errors.Error:
            await asyncio.sleep(0.1)
        else:
            return


@contextmanager
def serving(folder: Path, broker: embedded.Broker, endpoint: str) -> Generator[None]:
    """Run an uploader with one local account, or the S3 server's where there is an endpoint, and a bare peer."""
    environment = {
        **os.environ,
        "HALFTONE_NATS_URL": broker.url,
        "HALFTONE_NATS_USER": embedded.USER,
        "HALFTONE_NATS_PASSWORD": broker.password,
        "HALFTONE_DATA": str(folder),
        "HALFTONE_ACCOUNTS": str(folder / "accounts.toml"),
    }
    text = _S3_ACCOUNT.format(endpoint=endpoint, bucket=BUCKET) if endpoint else _LOCAL_ACCOUNT
    Path(environment["HALFTONE_ACCOUNTS"]).write_text(text)
    commands = [["-m", "services.uploader"], [__file__, "--peer", endpoint or str(folder / "peer")]]
    with (folder / "log").open("ab") as log:
        started = [
            subprocess.Popen([sys.executable, *command], env=environment, stdout=log, stderr=log)
            for command in commands
        ]
    try:
        yield
    finally:
        for process in started:
            process.terminate()
            process.wait()


async def compare(name: str, bare: Put, options: argparse.Namespace, endpoint: str, folder: Path) -> None:
    """Time all three in turn; print the rates and ratios."""
    with running_broker(folder) as broker:
        bus = NatsBus("bench")
        await bus.connect(broker.url, user=embedded.USER, password=broker.password)
        await provision(bus)
        try:
            with serving(folder, broker, endpoint):
                ways = {"bare client": bare, "bare peer": through(bus, PEER), "rpc.upload": through(bus, RPC_UPLOAD)}
                for put in ways.values():
                    await until_up(put)
                rounds = [[await measure(put, options) for put in ways.values()] for _ in range(options.rounds)]
        finally:
            await bus.close()
    tell(name, dict(zip(ways, zip(*rounds, strict=True), strict=True)), options.renditions)


async def measure(put: Put, options: argparse.Namespace) -> Timed:
    """Put renditions that nobody has seen."""
    renditions = [os.urandom(SIZE) for _ in range(options.renditions)]
    return await timed(put, renditions, options.concurrency)


def tell(name: str, rounds: Mapping[str, Sequence[Timed]], renditions: int) -> None:
    """Print the medians, and ours over the others'."""
    rates = {way: renditions / statistics.median(each.seconds for each in timed) for way, timed in rounds.items()}
    for way, timed in rounds.items():
        latencies = [latency for each in timed for latency in each.latencies]
        late = statistics.quantiles(latencies, n=100)[98] * 1000
        ratio = rates["rpc.upload"] / rates[way]
        print(f"{name:5}  {way:11}  {rates[way]:5.0f}/s  p99 {late:4.0f} ms  rpc.upload has {ratio:.2f}x of it")


def main() -> None:
    """Compare both stores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renditions", type=int, default=400)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", help=argparse.SUPPRESS)  # be the bare peer of this endpoint or folder
    options = parser.parse_args()
    if options.peer:
        put = bare_s3(options.peer) if options.peer.startswith("http") else bare_local(Path(options.peer))
        uvloop.run(serve_bare(put, options.concurrency))
    with ExitStack() as stack:
        local, s3 = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
        uvloop.run(compare("local", bare_local(local / "bare"), options, "", local))
        server = stack.enter_context(running_s3())
        os.environ |= {"KEY_ID": server.access_key_id, "SECRET": server.secret_access_key}
        uvloop.run(compare("s3", bare_s3(server.endpoint), options, server.endpoint, s3))


if __name__ == "__main__":
    main()
