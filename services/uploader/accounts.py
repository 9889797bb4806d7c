"""The storage accounts: a configured file or the local default, each with its store; a changed file is picked up."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import structlog

from services.uploader.accounts_file import (
    AccountSettings,
    GitHubSettings,
    LocalSettings,
    S3Settings,
    read_accounts,
    size_in_bytes,
)
from services.uploader.stores.github import GitHubStore
from services.uploader.stores.local import LocalStore
from services.uploader.stores.s3 import S3Store
from services.uploader.stores.store import Store
from services.uploader.stores.turns import Turns
from shared.bus import KeyValue
from shared.errors import Misconfigured

log = structlog.get_logger()

DEFAULT_ACCOUNTS = tuple(LocalSettings(name=f"local-{number}") for number in (1, 2, 3, 4))


class Account(msgspec.Struct, frozen=True):
    """One storage account, ready for use."""

    settings: AccountSettings
    store: Store

    @property
    def name(self) -> str:
        """What messages, metrics and the record call it."""
        return self.settings.name

    @property
    def capacity(self) -> float:
        """Bytes that it may hold."""
        return size_in_bytes(self.settings.capacity)


OpenStore = Callable[[AccountSettings], Store]


class Accounts:
    """The accounts as configured now."""

    def __init__(self, path: Path | None, open_store: OpenStore, turns: Turns) -> None:
        self._path = path
        self._open_store = open_store
        self._turns = turns
        self._seen: object = None
        self._accounts: dict[str, Account] = {}
        self._retired: list[Store] = []
        self._load()

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def __getitem__(self, name: str) -> Account:
        return self._accounts[name]

    def get(self, name: str) -> Account | None:
        """Return the account, None where it is not (or no longer) configured."""
        return self._accounts.get(name)

    def share(self, bucket: KeyValue) -> None:
        """Take turns at writing with the other replicas, which share the bucket."""
        self._turns.share(bucket)

    def refresh(self) -> None:
        """Read the file again if it changed; a broken one is logged and the accounts stay as they were."""
        if self._path is None or _fingerprint(self._path) == self._seen:
            return
        try:
            self._load()
        except Misconfigured as error:
            log.warning("accounts file not taken over", reason=str(error))
        else:
            log.info("accounts file taken over", accounts=sorted(self._accounts))

    async def close(self) -> None:
        """Close all stores."""
        for store in [*self._retired, *(account.store for account in self)]:
            await store.close()

    def _load(self) -> None:
        self._seen = self._path and _fingerprint(self._path)
        configured = read_accounts(self._path) if self._path else DEFAULT_ACCOUNTS
        accounts = {settings.name: self._opened(settings) for settings in configured}
        kept = {id(account.store) for account in accounts.values()}
        # An upload may still be using a store that the file no longer names: it is closed at the end.
        self._retired += [account.store for account in self if id(account.store) not in kept]
        self._accounts = accounts

    def _opened(self, settings: AccountSettings) -> Account:
        current = self._accounts.get(settings.name)
        if current is not None and current.settings == settings:
            return current
        try:
            return Account(settings, self._open_store(settings))
        except Misconfigured as error:
            raise Misconfigured(f"account {settings.name}: {error}") from None


def load_accounts(path: Path | None, *, data: Path, public_url: str) -> Accounts:
    """Open the accounts that the file at `path` configures; without one, four local ones.

    Args:
        path: The TOML file, `docs/accounts.md` explains it.
        data: The data directory; local accounts keep their objects in `objects/<account>/` of it.
        public_url: Where `/img` is reachable; local accounts without a public URL of their own use it.

    Raises:
        Misconfigured: The file or a secret that it names is not usable.
    """
    turns = Turns()

    def open_store(settings: AccountSettings) -> Store:
        match settings:
            case LocalSettings():
                own = f"{public_url.rstrip('/')}/img/{settings.name}"
                root = data / "objects" / settings.name
                return LocalStore(root, public_url=settings.public_url or own)
            case S3Settings():
                return S3Store(settings)
            case GitHubSettings():
                return GitHubStore(settings, turns)

    return Accounts(path, open_store, turns)


def _fingerprint(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
