"""The S3 store, on a real server that checks signatures, and on one that answers what real ones answer on bad days."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from functools import partial

import obstore
import pytest
from obstore.store import S3Store as Bucket

from services.uploader.accounts_file import S3Settings
from services.uploader.secret import Secret
from services.uploader.stores.s3 import S3Store
from services.uploader.stores.store import Full, RateLimited
from shared.errors import Reject, Retry
from tests.uploader.contract import DATA, NAME, StoreContract
from tests.uploader.moto_s3 import BUCKET, S3Server, running_s3

WRONG = "wrong-secret-0123456789"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with running_s3() as running:
        yield running


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch, server: S3Server) -> None:
    monkeypatch.setenv("KEY_ID", server.access_key_id)
    monkeypatch.setenv("SECRET", server.secret_access_key)
    monkeypatch.setenv("WRONG", WRONG)


def opened(endpoint: str, *, secret: Secret | None = None, bucket: str = BUCKET, prefix: str = "") -> S3Store:
    return S3Store(
        S3Settings(
            name="s3",
            public_url="https://images.example.org/x/",
            endpoint=endpoint,
            bucket=bucket,
            prefix=prefix or uuid.uuid4().hex,
            access_key_id=Secret(env="KEY_ID"),
            secret_access_key=secret or Secret(env="SECRET"),
        )
    )


@pytest.fixture
def store(server: S3Server) -> S3Store:
    return opened(server.endpoint)


class TestS3Store(StoreContract):
    pass


async def test_objects_carry_their_type_and_may_be_cached_for_ever(server: S3Server) -> None:
    await opened(server.endpoint, prefix="typed").put(NAME, DATA, "image/webp")
    bucket = Bucket(
        BUCKET,
        endpoint=server.endpoint,
        access_key_id=server.access_key_id,
        secret_access_key=server.secret_access_key,
        client_options={"allow_http": True},
    )
    found = await obstore.get_async(bucket, f"typed/{NAME}")
    assert found.attributes == {
        "Content-Type": "image/webp",
        "Cache-Control": "public, max-age=31536000, immutable",
    }


async def test_the_url_is_the_public_one_with_the_name(store: S3Store) -> None:
    stored = await store.put(NAME, DATA, "image/webp")
    assert stored.url == f"https://images.example.org/x/{NAME}"


async def test_a_wrong_secret_is_refused_and_not_repeated(server: S3Server) -> None:
    store = opened(server.endpoint, secret=Secret(env="WRONG"))
    for verb in (partial(store.put, NAME, DATA, "image/webp"), store.check, partial(store.get, NAME)):
        with pytest.raises(Retry, match="credentials refused 403") as caught:
            await verb()
        assert WRONG not in str(caught.value)
        assert server.access_key_id not in str(caught.value)


async def test_a_bucket_that_does_not_exist_is_named(server: S3Server) -> None:
    store = opened(server.endpoint, bucket="nowhere")
    for verb in (partial(store.put, NAME, DATA, "image/webp"), store.check):
        with pytest.raises(Retry, match=r"nowhere: \w+: there is no such bucket"):
            await verb()


async def test_nobody_there_is_for_later() -> None:
    with pytest.raises(Retry, match="no answer"):
        await opened("http://127.0.0.1:1").put(NAME, DATA, "image/webp")


class BadDay:
    """An endpoint that knows no object and answers every PUT (or only conditional ones) with one error."""

    def __init__(self, status: str, code: str, *, only_conditional: bool = False) -> None:
        self._status = status
        self._body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self._only_conditional = only_conditional
        self.requests: list[bytes] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head)
        if head.startswith(b"HEAD"):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        elif self._only_conditional and b"if-none-match" not in head.lower():
            writer.write(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n')
        else:
            length = len(self._body)
            writer.write(f"HTTP/1.1 {self._status}\r\nContent-Length: {length}\r\n\r\n".encode() + self._body)
        await writer.drain()
        writer.close()


async def serving(day: BadDay) -> tuple[asyncio.Server, str]:
    server = await asyncio.start_server(day.answer, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
async def bad_day(request: pytest.FixtureRequest) -> AsyncIterator[S3Store]:
    server, endpoint = await serving(BadDay(*request.param))
    async with server:
        yield opened(endpoint)


@pytest.mark.parametrize(
    ("bad_day", "expected"),
    [
        (("503 Slow Down", "SlowDown"), RateLimited),
        (("429 Too Many Requests", "TooManyRequests"), RateLimited),
        (("507 Insufficient Storage", "XMinioStorageFull"), Full),
        (("403 Forbidden", "QuotaExceeded"), Full),
        (("400 Bad Request", "EntityTooLarge"), Reject),
        (("500 Internal Server Error", "InternalError"), Retry),
        (("409 Conflict", "ConditionalRequestConflict"), Retry),
    ],
    indirect=["bad_day"],
)
async def test_each_refusal_has_its_kind(bad_day: S3Store, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught:
        await bad_day.put(NAME, DATA, "image/webp")
    assert type(caught.value) is expected


async def test_a_server_without_conditional_writes_is_asked_for_them_once() -> None:
    day = BadDay("501 Not Implemented", "NotImplemented", only_conditional=True)
    server, endpoint = await serving(day)
    async with server:
        store = opened(endpoint)
        first = await store.put(NAME, DATA, "image/webp")
        asked = len(day.requests)
        second = await store.put(NAME, DATA, "image/webp")
    assert (first.created, second.created) == (True, True)
    assert [head.split()[0] for head in day.requests[asked:]] == [b"HEAD", b"PUT"]
