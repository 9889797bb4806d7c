"""Objects as files of GitHub repositories, several to a commit; opt-in, docs/accounts.md has the warning."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus

import httpx
import msgspec
import structlog

from services.uploader.accounts_file import GitHubSettings, size_in_bytes
from services.uploader.names import hash_in, is_object_name
from services.uploader.stores.github_answers import Committed, Missing
from services.uploader.stores.github_api import GitHubApi, tls
from services.uploader.stores.github_budget import requests_left, wait, writes_left
from services.uploader.stores.github_repository import Repository
from services.uploader.stores.store import CREATED, EXISTED, Stored, StoredObject, Unverified
from services.uploader.stores.turns import Turn, Turns
from shared.errors import HalftoneError, Reject, Retry

log = structlog.get_logger()

MAX_FILE_BYTES = 20 * 1024 * 1024  # what jsDelivr serves
MAX_COMMIT_BYTES = 20 * 1024 * 1024  # base64 makes 27 MB of it; GraphQL refuses 40 MB
GATHER_SECONDS = 0.05  # those who come at the same time go into the same commit
FIRST_LOOK, LONGEST_LOOK = 1.0, 15.0  # seconds between two looks at the public URL


class Waiting(msgspec.Struct):
    """A file on its way into a commit."""

    data: bytes
    done: asyncio.Future[Stored]
    callers: int = 0


class GitHubStore:
    """Paths `YYYY/MM/DD/<2 hex>/<hash>.webp` in `<repository>1`, `<repository>2`, …, public by the URL's template.

    The two digits keep every directory far below the 3,000 entries that GitHub advises.
    """

    def __init__(self, settings: GitHubSettings, turns: Turns) -> None:
        self._settings = settings
        self._turns = turns
        self._api = GitHubApi(settings)
        self._public: httpx.AsyncClient | None = None  # to the CDN, without the token
        self._repositories: dict[int, Repository] = {}
        self._waiting: dict[str, Waiting] = {}
        self._committing: dict[str, Waiting] = {}
        self._writer: asyncio.Task[None] | None = None

    async def put(self, name: str, data: bytes, content_type: str) -> Stored:
        """See `Store`; returns after the branch has moved and, where configured, the public URL answers."""
        del content_type
        path = _path(name)
        if len(data) > MAX_FILE_BYTES:
            raise Reject(f"{len(data)} bytes are more than the {MAX_FILE_BYTES} that jsDelivr serves")
        waiting = self._waiting.get(path)
        if waiting is None:
            waiting = self._waiting[path] = Waiting(data, asyncio.get_running_loop().create_future())
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        stored = await self._wait(path, waiting)
        await self._verify(stored.url)
        return stored

    async def find(self, name: str) -> str | None:
        """See `Store`."""
        path = _path(name)
        async for repository in self._newest_first():
            if await repository.blob(path):
                url = await self._url_of_existing(repository, path)
                await self._verify(url)
                return url
        return None

    async def get(self, name: str) -> bytes | None:
        """See `Store`."""
        path = _path(name)
        async for repository in self._newest_first():
            content = await repository.content(path)
            if content is not None:
                return content
        return None

    async def delete(self, name: str) -> None:
        """See `Store`; the repository's history keeps the bytes."""
        path = _path(name)
        async with self._turns.take(self._settings.name) as turn:
            self._api.enter(turn)
            try:
                await self._api.commit_allowed()
                async for repository in self._newest_first():
                    await repository.delete(path)
            finally:
                self._api.leave()

    async def list(self) -> AsyncIterator[StoredObject]:
        """See `Store`; an object's time is its day."""
        async for repository in self._newest_first():
            async for entry in repository.files():
                name = _name(entry.path)
                if name:
                    yield StoredObject(name, entry.bytes, _day(name))

    async def check(self) -> None:
        """See `Store`: GitHub answers and takes the token; a repository that is not there yet will be made."""
        ledger = await self._turns.ledger(self._settings.name)
        await self._repository(ledger.repository or 1).size()

    async def rate_left(self) -> int | None:
        """See `Store`: by GitHub's limits on writes and by what it last said."""
        budget, now = (await self._turns.ledger(self._settings.name)).budget, time.time()
        if wait(budget, self._api.limits, now, write=True) > self._api.limits.seconds_between_writes:
            return 0
        return min(writes_left(budget, self._api.limits, now), requests_left(budget, self._api.limits, now))

    async def close(self) -> None:
        """See `Store`."""
        if self._writer is not None:
            await self._writer
        await self._api.close()
        if self._public is not None:
            await self._public.aclose()

    async def _wait(self, path: str, waiting: Waiting) -> Stored:
        """Wait for the commit; a file that nobody waits for any more is not committed."""
        waiting.callers += 1
        try:
            return await asyncio.shield(waiting.done)
        finally:
            waiting.callers -= 1
            if not waiting.callers and path not in self._committing:
                self._waiting.pop(path, None)

    # ── the one writer ────────────────────────────────────────────────────────────────────────────────────

    async def _write(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_SECONDS)
            self._committing = {}
            try:
                async with self._turns.take(self._settings.name) as turn:
                    await self._write_batch(turn)
            except HalftoneError as error:
                self._fail(error)
            except Exception:
                log.exception("github writer failed", account=self._settings.name)
                self._fail(Retry("GitHub: an answer that we do not understand"))

    async def _write_batch(self, turn: Turn) -> None:
        self._api.enter(turn)
        try:
            repository = await self._filling(turn)
            await self._api.commit_allowed()
            batch = self._committing = await self._next_batch(repository)
            if not batch:
                return
            committed = await repository.put({path: waiting.data for path, waiting in batch.items()})
            new = sum(len(batch[path].data) for path in committed.created)
            turn.ledger = msgspec.structs.replace(turn.ledger, repository_bytes=turn.ledger.repository_bytes + new)
            await self._succeed(repository, batch, committed)
        except Missing:
            turn.ledger = msgspec.structs.replace(turn.ledger, repository=0)
            raise
        finally:
            self._api.leave()

    async def _next_batch(self, repository: Repository) -> dict[str, Waiting]:
        most = await repository.files_per_commit() if len(self._waiting) > 1 else 1
        batch: dict[str, Waiting] = {}
        size = 0
        for path, waiting in self._waiting.items():
            size += len(waiting.data)
            if len(batch) == most or (batch and size > MAX_COMMIT_BYTES):
                break
            batch[path] = waiting
        return batch

    async def _succeed(self, repository: Repository, batch: Mapping[str, Waiting], done: Committed) -> None:
        for path in done.created:
            url = self._url(repository, done.commit, path)
            self._waiting.pop(path).done.set_result(Stored(url, created=True, http_code=CREATED))
        for path in batch.keys() - done.created:
            url = await self._url_of_existing(repository, path)
            self._waiting.pop(path).done.set_result(Stored(url, created=False, http_code=EXISTED))

    def _fail(self, error: HalftoneError) -> None:
        """Tell those whose files were being committed, or all where it did not come to that."""
        for path, waiting in list((self._committing or self._waiting).items()):
            self._waiting.pop(path, None)
            if not waiting.done.done():
                waiting.done.set_exception(error)
                waiting.done.exception()  # nobody may be waiting any more, which is no one's mistake

    async def _filling(self, turn: Turn) -> Repository:
        """Return the repository that takes the next files; a full one makes way for the next."""
        ledger = turn.ledger
        number, size = ledger.repository, ledger.repository_bytes
        limit = size_in_bytes(self._settings.repository_size)
        while not number or size >= limit:
            number += 1
            known = await self._repository(number).size()
            if known is None:
                await self._repository(number).create()
            size = known or 0
        turn.ledger = msgspec.structs.replace(turn.ledger, repository=number, repository_bytes=size)
        return self._repository(number)

    # ── names, repositories and URLs ──────────────────────────────────────────────────────────────────────

    def _repository(self, number: int) -> Repository:
        if number not in self._repositories:
            name = f"{self._settings.repository}{number}"
            self._repositories[number] = Repository(self._api, self._settings.owner, name, self._settings.branch)
        return self._repositories[number]

    async def _newest_first(self) -> AsyncIterator[Repository]:
        newest = (await self._turns.ledger(self._settings.name)).repository
        if not newest:
            while await self._repository(newest + 1).size() is not None:
                newest += 1
        for number in range(newest, 0, -1):
            yield self._repository(number)

    async def _url_of_existing(self, repository: Repository, path: str) -> str:
        ref = self._settings.branch
        if self._settings.ref == "commit":
            ref = await repository.commit_of(path)
        return self._url(repository, ref, path)

    def _url(self, repository: Repository, commit: str, path: str) -> str:
        ref = commit if self._settings.ref == "commit" else self._settings.branch
        template = self._settings.public_url
        owner = self._settings.owner
        return template.format(
            owner=owner, user=owner, repository=repository.name, repo=repository.name, ref=ref, path=path
        )

    async def _verify(self, url: str) -> None:
        """Wait until the CDN has the object: it can be minutes behind the commit."""
        deadline = time.monotonic() + self._settings.verify_seconds
        pause = FIRST_LOOK
        while self._settings.verify_seconds and not await self._answers(url):
            if time.monotonic() + pause > deadline:
                raise Unverified(f"stored, but {url} does not answer yet", after=LONGEST_LOOK)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_LOOK)

    async def _answers(self, url: str) -> bool:
        if self._public is None:
            self._public = httpx.AsyncClient(verify=tls(), trust_env=False, timeout=10, follow_redirects=True)
        try:
            return (await self._public.head(url)).status_code == HTTPStatus.OK
        except httpx.HTTPError:
            return False


def _path(name: str) -> str:
    shard = hash_in(name)[:2]
    day, _, file = name.rpartition("/")
    return f"{day}/{shard}/{file}"


def _name(path: str) -> str | None:
    """Return the object that a file of the repository is, None where it is none of ours."""
    parts = path.split("/")
    name = "/".join([*parts[:3], *parts[4:]])
    return name if is_object_name(name) and path == _path(name) else None


def _day(name: str) -> float:
    return datetime.strptime(name[:10], "%Y/%m/%d").replace(tzinfo=UTC).timestamp()
