"""What the routes work with."""

from typing import TypeAlias

import msgspec
from litestar.di import NamedDependency

from services.api.asking import Asking
from services.api.database import Database
from services.api.doorkeeper import Doorkeeper
from services.api.feeds import Feeds
from services.api.following import Following
from services.api.mirrors import Mirrors
from services.api.page.numbers import Counter
from services.api.retrying import Retrying
from services.api.settings import ApiSettings
from services.api.tidings import Tidings
from services.api.waiters import Waiters
from shared.bus import Bus


class Api(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of the api, put together in `app`."""

    settings: ApiSettings
    database: Database
    bus: Bus
    feeds: Feeds
    asking: Asking
    waiters: Waiters
    retrying: Retrying
    tidings: Tidings
    following: Following
    doorkeeper: Doorkeeper
    counter: Counter
    mirrors: Mirrors


ApiParts: TypeAlias = NamedDependency[Api]  # as the routes are given it
