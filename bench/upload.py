"""Uploads a second of 100 KB renditions through `rpc.upload`, to local and to S3, against the bare client.

    python bench/upload.py [--renditions 400] [--concurrency 16] [--rounds 3]

One uploader process on a real broker. The bare client is, for local, a file that is written, synced and renamed in
threads; for S3, obstore. S3 is a moto server of its own process. Rounds are interleaved, the medians are told.
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
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import obstore
from obstore.store import S3Store

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests' servers are no part of the distribution

from bench.uploader_storm import running_broker
from services.standalone import broker as embedded
from services.uploader.names import content_hash, object_name
from shared.bus import NoReply
from shared.errors import Retry
from shared.messages import Upload, Uploaded, decode
from shared.nats import NatsBus, provision
from tests.uploader.moto_s3 import BUCKET, S3Server, running_s3

SIZE = 100_000
DAY = "2026/11/25"
Put = Callable[[bytes], Awaitable[object]]

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
    """Write, sync and rename."""

    def write(data: bytes) -> None:
        path = root / object_name(content_hash(data), "image/webp", DAY)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = root / uuid.uuid4().hex
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    return lambda data: asyncio.to_thread(write, data)


def bare_s3(server: S3Server) -> Put:
    """Put with obstore as the store does."""
    bucket = S3Store(
        BUCKET,
        endpoint=server.endpoint,
        access_key_id=server.access_key_id,
        secret_access_key=server.secret_access_key,
        client_options={"allow_http": True},
    )

    def put(data: bytes) -> Awaitable[object]:
        name = object_name(content_hash(data), "image/webp", DAY)
        return obstore.put_async(bucket, name, data, mode="create", attributes={"Content-Type": "image/webp"})

    return put


def through(bus: NatsBus) -> Put:
    """Ask the uploader."""

    async def put(data: bytes) -> None:
        request = Upload(image="bench", data=data, content_type="image/webp", day=DAY)
        answer = decode(await bus.request(request, timeout=30))
        if not isinstance(answer, Uploaded):
            raise Retry(str(answer))

    return put


async def until_up(put: Put) -> None:
    """Wait until an uploader answers."""
    while True:
        try:
            await put(os.urandom(64))
        except NoReply:
            await asyncio.sleep(0.1)
        else:
            return


def start_uploader(folder: Path, broker: embedded.Broker, server: S3Server | None) -> "subprocess.Popen[bytes]":
    """Start one for local accounts, or for the S3 server."""
    environment = {
        **os.environ,
        "HALFTONE_NATS_URL": broker.url,
        "HALFTONE_NATS_USER": embedded.USER,
        "HALFTONE_NATS_PASSWORD": broker.password,
        "HALFTONE_DATA": str(folder),
    }
    if server is not None:
        accounts = folder / "accounts.toml"
        accounts.write_text(_S3_ACCOUNT.format(endpoint=server.endpoint, bucket=BUCKET))
        environment |= {"HALFTONE_ACCOUNTS": str(accounts)}
        environment |= {"KEY_ID": server.access_key_id, "SECRET": server.secret_access_key}
    with (folder / "uploader.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", "services.uploader"], env=environment, stdout=log, stderr=log)


async def compare(name: str, bare: Put, options: argparse.Namespace, server: S3Server | None, folder: Path) -> float:
    """Time both in turn; print and return the ratio."""
    with running_broker(folder) as broker:
        bus = NatsBus("bench")
        await bus.connect(broker.url, user=embedded.USER, password=broker.password)
        await provision(bus)
        uploader = start_uploader(folder, broker, server)
        try:
            put = through(bus)
            await until_up(put)
            rounds = [[await measure(each, options) for each in (bare, put)] for _ in range(options.rounds)]
        finally:
            uploader.terminate()
            uploader.wait()
            await bus.close()
    return tell(name, [each[0] for each in rounds], [each[1] for each in rounds], options)


async def measure(put: Put, options: argparse.Namespace) -> Timed:
    """Put renditions that nobody has seen."""
    renditions = [os.urandom(SIZE) for _ in range(options.renditions)]
    return await timed(put, renditions, options.concurrency)


def tell(name: str, bare: list[Timed], ours: list[Timed], options: argparse.Namespace) -> float:
    """Print the medians; return ours over the bare client's."""
    rates = [options.renditions / statistics.median(each.seconds for each in rounds) for rounds in (bare, ours)]
    p99 = [
        statistics.quantiles([latency for each in rounds for latency in each.latencies], n=100)[98] * 1000
        for rounds in (bare, ours)
    ]
    ratio = rates[1] / rates[0]
    told = [f"{rate:5.0f}/s, p99 {late:4.0f} ms" for rate, late in zip(rates, p99, strict=True)]
    print(f"{name:5}  bare client {told[0]};  rpc.upload {told[1]};  {ratio:.2f}x")
    return ratio


def main() -> None:
    """Compare both stores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renditions", type=int, default=400)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with ExitStack() as stack:
        local, s3 = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
        bare = bare_local(local / "bare")
        asyncio.run(compare("local", bare, options, None, local))
        server = stack.enter_context(running_s3())
        asyncio.run(compare("s3", bare_s3(server), options, server, s3))


if __name__ == "__main__":
    main()
