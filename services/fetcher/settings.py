"""The fetcher's settings."""

from shared.settings import Count, Deadline, Positive, Settings


class FetcherSettings(Settings, frozen=True, kw_only=True):
    """Besides what every service is told."""

    allow_hosts: str = ""  # HOST:PORT … that may be polled although they are not public
    feed_max_bytes: Positive = 15_000_000  # of a feed's body, inflated
    feed_seconds: Deadline = 60.0  # for one feed's HTTP exchange, redirects included
    parse_seconds: Deadline = 20.0  # for reading one feed
    host_rate: Count = 30  # requests a minute to one registrable domain, over all fetchers; 0: no limit
    pages: bool = True  # look at articles' pages for covers and at the site's for an icon, where the feed names none
    public_url: str = ""  # of the api, where hubs call back (WebSub); empty: no hub is asked to
