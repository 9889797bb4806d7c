"""What can go wrong with a message, as two types that decide its delivery."""


class HalftoneError(Exception):
    """A failure whose text a person can act on: it names the URL, the step and the reason."""


class Reject(HalftoneError):
    """Never try this message again: the same input would fail the same way."""


class Retry(HalftoneError):
    """Try this message again later: the world may have changed by then.

    Args:
        reason: What failed, for people.
        after: Seconds to wait before the next try; None leaves it to the actor's own backoff.
    """

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Unavailable(Retry):
    """What every such message needs is away: tried again for as long as it takes, which is not counted."""


class Misconfigured(HalftoneError):
    """The process cannot start as configured; the text says which setting to change and how."""
