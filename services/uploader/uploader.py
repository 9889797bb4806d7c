"""Stores a rendition once: known already? else claim it, choose an account, try the next one where it fails."""

import asyncio

import msgspec
import structlog

from services.uploader.accounts import Account, Accounts
from services.uploader.accounts_table import accounts_table, show
from services.uploader.gate import Gate
from services.uploader.healths import Healths
from services.uploader.names import content_hash, object_name
from services.uploader.renditions import Claim, Rendition, Renditions
from services.uploader.stores.store import CREATED, EXISTED, Full, RateLimited, Stored, Unverified
from shared import metrics
from shared.bus import KeyValue
from shared.errors import HalftoneError, Reject, Retry

log = structlog.get_logger()

FIND_SECONDS = 5.0  # for asking an account whether it has an object all the same


class Placement(msgspec.Struct, frozen=True):
    """Where a rendition is now."""

    url: str
    account: str
    created: bool  # False: these bytes were stored before
    http_code: int  # 201 created, 200 existed
    failed_accounts: tuple[str, ...] = ()  # tried before, in order


class Unstored(Retry):
    """No account can take the rendition now; `failed_accounts` were tried."""

    def __init__(self, reason: str, *, after: float, failed_accounts: tuple[str, ...]) -> None:
        super().__init__(reason, after=after)
        self.failed_accounts = failed_accounts


class Unstorable(Reject):
    """No account will ever take the rendition; `failed_accounts` refused it."""

    def __init__(self, reason: str, *, failed_accounts: tuple[str, ...]) -> None:
        super().__init__(reason)
        self.failed_accounts = failed_accounts


class Failure(msgspec.Struct, frozen=True):
    """Why one account did not take the rendition."""

    account: str
    reason: str
    tried: bool  # False: it was not even asked
    final: bool  # it never will


class Uploader:
    """The accounts, what is known of them, and what is stored in them."""

    def __init__(self, accounts: Accounts, *, renditions: KeyValue, healths: KeyValue) -> None:
        self.accounts = accounts
        accounts.share(healths)
        self.healths = Healths(healths)
        self._gate = Gate(accounts, self.healths)
        self.renditions = Renditions(renditions)

    async def upload(self, data: bytes, content_type: str, day: str, asker: str = "") -> Placement:
        """Store the bytes, unless they are stored already, and return where they are.

        Args:
            data: The rendition.
            content_type: Its type, e.g. `image/webp`.
            day: The poll's day as `YYYY/MM/DD`, the object's folder.
            asker: Names this upload: asked again with the same name, it is told again that it made the object.

        Raises:
            Unstored: No account can take it now.
            Retry: Another replica came between.
            Unstorable, Reject: It can never be stored.
        """
        self.accounts.refresh()
        content = content_hash(data)
        name = object_name(content, content_type, day)
        claim = await self.renditions.claim(content, name, await self._gate.first(content, len(data)), asker)
        if isinstance(claim, Rendition):
            metrics.UPLOADS.labels(claim.account, "existed").inc()
            return Placement(claim.url, claim.account, *_told(claim, asker))
        async with claim.renewed():
            try:
                return await self._store(claim, content, data, content_type, asker)
            except Unverified:
                await claim.release(claim.rendition.account)  # it is there: who tries next waits for its URL
                raise

    async def unready(self) -> str:
        """Return why no account can take anything now, "" where one can; shows the accounts as metrics."""
        self.accounts.refresh()
        rows = await accounts_table(self.accounts, self.healths)
        show(rows)
        able = any(not row.obstacle for row in rows)
        reasons = "; ".join(f"{row.name}: {row.obstacle}" for row in rows)
        return "" if able else f"no storage account can take an object: {reasons}"

    async def close(self) -> None:
        """Write down what is known and let go of the stores."""
        await self.healths.close()
        await self.accounts.close()

    async def _store(self, claim: Claim, content: str, data: bytes, content_type: str, asker: str) -> Placement:
        failures: list[Failure] = []
        for account in self._gate.ranked(content, claim.rendition.account):
            outcome = await self._try(claim, account, data, content_type)
            if isinstance(outcome, Stored):
                if claim.inherited and not outcome.created:  # by a replica that died before it could say so
                    outcome = Stored(outcome.url, *_told(claim.rendition, asker))
                await self._gate.stored(account, len(data) if outcome.created else 0)
                return await self._placed(claim, account, outcome, _tried(failures))
            failures.append(outcome)
        await claim.release("")
        raise await self._given_up(failures)

    async def _try(self, claim: Claim, account: Account, data: bytes, content_type: str) -> Stored | Failure:
        name = claim.rendition.name
        obstacle = await self._gate.admit(account, len(data))
        if obstacle:
            url = await self._left_behind(claim, account)
            return Stored(url, created=False, http_code=EXISTED) if url else _untried(account, obstacle)
        await claim.move(account.name)
        try:
            return await account.store.put(name, data, content_type)
        except Reject as error:
            metrics.UPLOADS.labels(account.name, "failed").inc()
            return Failure(account.name, str(error), tried=True, final=True)
        except Unverified:
            raise
        except Retry as error:
            return await self._failed(account, name, error)

    async def _left_behind(self, claim: Claim, account: Account) -> str | None:
        """Return the object's URL where whoever had the claim before has stored it in this account.

        Only an account that takes nothing now is asked: any other finds it when it is told to store it again.
        """
        if not claim.inherited or account.name != claim.rendition.account:
            return None
        return await _found(account, claim.rendition.name)

    async def _failed(self, account: Account, name: str, error: Retry) -> Stored | Failure:
        metrics.UPLOADS.labels(account.name, "failed").inc()
        log.warning("storage account failed", account=account.name, object=name, reason=str(error))
        await self._gate.failed(account, error)
        # An answer that got lost is no proof that the object did: storing it elsewhere too would store it twice.
        url = None if isinstance(error, RateLimited | Full) else await _found(account, name)
        if url:
            return Stored(url, created=True, http_code=EXISTED)
        return Failure(account.name, str(error), tried=True, final=False)

    async def _placed(self, claim: Claim, account: Account, stored: Stored, failed: tuple[str, ...]) -> Placement:
        await claim.finish(stored.url)
        metrics.UPLOADS.labels(account.name, "created" if stored.created else "existed").inc()
        return Placement(stored.url, account.name, stored.created, stored.http_code, failed)

    async def _given_up(self, failures: list[Failure]) -> HalftoneError:
        reason = "; ".join(f"{failure.account}: {failure.reason}" for failure in failures)
        if all(failure.final for failure in failures):
            return Unstorable(f"no storage account will take it: {reason}", failed_accounts=_tried(failures))
        return Unstored(
            f"no storage account can take it now: {reason}",
            after=await self._gate.soonest(),
            failed_accounts=_tried(failures),
        )


def _told(rendition: Rendition, asker: str) -> tuple[bool, int]:
    """Return `created` and `http_code` for bytes that are there already."""
    return (True, CREATED) if rendition.made_for(asker) else (False, EXISTED)


def _untried(account: Account, obstacle: str) -> Failure:
    return Failure(account.name, obstacle, tried=False, final=False)


def _tried(failures: list[Failure]) -> tuple[str, ...]:
    return tuple(failure.account for failure in failures if failure.tried)


async def _found(account: Account, name: str) -> str | None:
    try:
        async with asyncio.timeout(FIND_SECONDS):
            return await account.store.find(name)
    except Unverified:
        raise
    except (HalftoneError, TimeoutError):
        return None
