"""Objects in a bucket of any S3 endpoint, through obstore."""

import re
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from datetime import timedelta

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store as Bucket

from services.uploader.accounts_file import S3Settings
from services.uploader.names import is_object_name
from services.uploader.stores.store import (
    CACHE_CONTROL,
    CREATED,
    EXISTED,
    Full,
    RateLimited,
    Stored,
    StoredObject,
)
from shared.errors import HalftoneError, Reject, Retry

TIMEOUT = timedelta(seconds=30)  # of one request
CONNECT_TIMEOUT = timedelta(seconds=5)
SLOW_DOWN_SECONDS = 5.0  # S3 says that it is too much, not for how long
_NOBODYS_DAY = "1970/01/01/"
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")


class S3Store:
    """Keys `<prefix>/YYYY/MM/DD/<hash>.webp`, public at `<public_url>/YYYY/MM/DD/<hash>.webp`."""

    def __init__(self, settings: S3Settings) -> None:
        self._bucket = _open(settings)
        self._bucket_name = settings.bucket
        self._prefix = f"{settings.prefix.strip('/')}/" if settings.prefix.strip("/") else ""
        self._public_url = settings.public_url.rstrip("/")
        self._conditional = True  # until the server says that it does not know If-None-Match

    async def put(self, name: str, data: bytes, content_type: str) -> Stored:
        """See `Store`; `If-None-Match: *` where the server has it, else a look before the write."""
        key = self._key(name)
        created = await self._create(key, data, content_type) if self._conditional else None
        if created is None:
            created = await self._add(key, data, content_type)
        return Stored(self._url(name), created, CREATED if created else EXISTED)

    async def find(self, name: str) -> str | None:
        """See `Store`."""
        return self._url(name) if await self._exists(self._key(name)) else None

    async def get(self, name: str) -> bytes | None:
        """See `Store`."""
        key = self._key(name)
        try:
            with self._translated("get"):
                return bytes(await (await obstore.get_async(self._bucket, key)).bytes_async())
        except FileNotFoundError:
            return None

    async def delete(self, name: str) -> None:
        """See `Store`."""
        key = self._key(name)
        try:
            with self._translated("delete"):
                await obstore.delete_async(self._bucket, key)
        except FileNotFoundError:
            return

    async def list(self) -> AsyncIterator[StoredObject]:
        """See `Store`."""
        with self._translated("list"):
            async for page in obstore.list(self._bucket, self._prefix or None):
                for found in page:
                    name = found["path"].removeprefix(self._prefix)
                    if is_object_name(name):
                        yield StoredObject(name, found["size"], found["last_modified"].timestamp())

    async def check(self) -> None:
        """See `Store`: the bucket answers and knows our key."""
        with self._translated("list"):
            await obstore.list_with_delimiter_async(self._bucket, self._prefix + _NOBODYS_DAY)

    async def rate_left(self) -> int | None:
        """See `Store`: no limit that we know."""
        return None

    async def close(self) -> None:
        """See `Store`."""

    def _key(self, name: str) -> str:
        if not is_object_name(name):
            raise Reject(f"{name!r} is no object's name")
        return self._prefix + name

    def _url(self, name: str) -> str:
        return f"{self._public_url}/{name}"

    async def _create(self, key: str, data: bytes, content_type: str) -> bool | None:
        """Tell whether the object is new; None: this server does not know conditional writes."""
        try:
            with self._translated("put"):
                await self._write(key, data, content_type, conditional=True)
        except AlreadyExistsError:
            # 409 says that somebody else is writing it, not that they finished.
            if not await self._exists(key):
                raise Retry(f"S3 bucket {self._bucket_name}: {key} is being written by somebody else") from None
            return False
        except _NotImplementedByServer:
            self._conditional = False
            return None
        return True

    async def _add(self, key: str, data: bytes, content_type: str) -> bool:
        if await self._exists(key):
            return False
        with self._translated("put"):
            await self._write(key, data, content_type, conditional=False)
        return True

    async def _write(self, key: str, data: bytes, content_type: str, *, conditional: bool) -> None:
        try:
            await obstore.put_async(
                self._bucket,
                key,
                data,
                attributes={"Content-Type": content_type, "Cache-Control": CACHE_CONTROL},
                mode="create" if conditional else "overwrite",
                use_multipart=False,
            )
        except FileNotFoundError:
            raise Retry(f"S3 bucket {self._bucket_name}: put: there is no such bucket") from None

    async def _exists(self, key: str) -> bool:
        try:
            with self._translated("head"):
                await obstore.head_async(self._bucket, key)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def _translated(self, verb: str) -> Generator[None]:
        try:
            yield
        except AlreadyExistsError:
            raise
        except BaseError as error:
            raise _failure(f"S3 bucket {self._bucket_name}: {verb}", error) from None


class _NotImplementedByServer(Retry):
    """The server does not know conditional writes."""


_MEANINGS: dict[str, tuple[type[Reject | Retry], str]] = {  # by S3's error code, else by HTTP's status
    "SlowDown": (RateLimited, "asked to slow down"),
    "429": (RateLimited, "asked to slow down"),
    "QuotaExceeded": (Full, "no room left"),
    "XMinioStorageFull": (Full, "no room left"),
    "507": (Full, "no room left"),
    "NoSuchBucket": (Retry, "there is no such bucket"),
    "EntityTooLarge": (Reject, "too large for this bucket"),
    "413": (Reject, "too large for this bucket"),
    "NotImplemented": (_NotImplementedByServer, "not implemented"),
    "501": (_NotImplementedByServer, "not implemented"),
    "401": (Retry, "credentials refused"),
    "403": (Retry, "credentials refused"),
}


def _failure(what: str, error: BaseError) -> HalftoneError:
    """Say what failed by status and code alone: the server's text may repeat the access key."""
    text = str(error)
    status = match[1] if (match := _STATUS.search(text)) else ""
    code = match[1] if (match := _CODE.search(text)) else ""
    kind, meaning = _MEANINGS.get(code) or _MEANINGS.get(status) or (Retry, "failed" if status else "no answer")
    reason = f"{what}: {meaning} {status} {code}".rstrip()
    return RateLimited(reason, after=SLOW_DOWN_SECONDS) if kind is RateLimited else kind(reason)


def _open(settings: S3Settings) -> Bucket:
    return Bucket(
        settings.bucket,
        endpoint=settings.endpoint or f"https://s3.{settings.region}.amazonaws.com",
        region=settings.region,
        access_key_id=settings.access_key_id.reveal(),
        secret_access_key=settings.secret_access_key.reveal(),
        client_options={
            "allow_http": True,  # MinIO and Ceph inside a private network
            "timeout": TIMEOUT,
            "connect_timeout": CONNECT_TIMEOUT,
        },
        # The uploader itself tries other accounts and comes back; one repeat hides a dropped connection.
        retry_config={"max_retries": 1, "retry_timeout": TIMEOUT},
    )
