"""The api's settings."""

import socket
from pathlib import Path
from typing import Annotated

import msgspec

from shared.settings import Deadline, Port, Positive, Settings

_EVERY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - they are compared, not bound
Days = Annotated[float, msgspec.Meta(gt=0)]


class ApiSettings(Settings, frozen=True, kw_only=True):
    """What the api is told beyond what every service is."""

    data: Path = Path("data")  # the data directory: SQLite's file, and the objects of local storage accounts
    database_url: str = ""  # SQLAlchemy's, e.g. postgresql+asyncpg://user:password@host/name; empty: SQLite in `data`
    http_host: str = "127.0.0.1"
    http_port: Port = 8080
    allow_hosts: str = ""  # HOST:PORT … that may be subscribed to although they are not public; as the fetcher has it
    public_url: str = ""  # where readers reach the api; empty: this machine, or <http_host>, at <http_port>
    locale: str = "en"  # of the texts in records: English, or Chinese where it starts with "zh"
    time_zone: str = "UTC"  # of the dates in records, by IANA's name
    record_deadline: Deadline = 600.0  # seconds after its poll until a record is completed with what is there
    requests_per_minute: Positive = 6_000  # of each API token
    keep_records_days: Days = 90.0  # records, and what they were built from; articles stay
    keep_events_days: Days = 7.0  # what a client of /api/events may have missed

    @property
    def url(self) -> str:
        """Where readers reach the api, without a slash at the end."""
        return (self.public_url or reachable_at(self.http_host, self.http_port)).rstrip("/")


def reachable_at(host: str, port: int) -> str:
    """Return a URL at which what listens on `host` is reached: by this machine's name where that is every address."""
    if host in _EVERY_ADDRESS:
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
