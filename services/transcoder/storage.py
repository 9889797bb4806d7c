"""Have renditions stored by the uploaders, and know for a while when nobody can store anything."""

import asyncio
import time

from shared.bus import Bus, NoReply
from shared.errors import Reject, Retry, Unavailable
from shared.messages import Upload, Uploaded, UploadRefused, decode

ANSWER_SECONDS = 20.0  # for an uploader to answer: one that dies with the request in hand never does
PATIENCE = 60.0  # seconds in which uploaders may come back
_PAUSE = 0.2
_AWAY = 10.0  # seconds for which storage is taken to be away where nobody says for how long
_LONGEST_AWAY = 60.0


class Storage:
    """The uploaders, as a transcoder sees them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._away_until = 0.0
        self._reason = ""

    def check(self) -> None:
        """Do nothing where storage is there as far as is known.

        Raises:
            Unavailable: It is away: an image got now would be got for nothing.
        """
        left = self._away_until - time.monotonic()
        if left > 0:
            raise Unavailable(self._reason, after=left)

    async def store(self, request: Upload) -> Uploaded | UploadRefused:
        """Return an uploader's answer.

        Raises:
            Unavailable: No uploader answers, or none has an account that can take anything now.
            Retry: The answer is none.
        """
        reply = decode(await self._ask(request))
        if isinstance(reply, UploadRefused) and reply.unavailable:
            raise self._away(reply.reason, reply.retry_after)
        if isinstance(reply, Uploaded | UploadRefused):
            return reply
        raise Retry(f"the uploader answered with {type(reply).__name__}")

    async def _ask(self, request: Upload) -> bytes:
        deadline = time.monotonic() + PATIENCE
        while True:
            asked = time.monotonic()
            try:
                return await self._bus.request(request, timeout=ANSWER_SECONDS)
            except NoReply as error:
                reason = f"no uploader answers: {error}"
                if time.monotonic() < deadline:
                    await asyncio.sleep(_PAUSE)
                elif time.monotonic() - asked < ANSWER_SECONDS:  # nobody is there to ask
                    raise self._away(reason, None) from error
                else:  # they are busy with it, which says nothing of other images
                    raise Unavailable(reason, after=_AWAY) from error

    def _away(self, reason: str, seconds: float | None) -> Unavailable:
        away = min(seconds or _AWAY, _LONGEST_AWAY)
        self._away_until = time.monotonic() + away
        self._reason = reason
        return Unavailable(reason, after=away)


def stored(reply: Uploaded | UploadRefused) -> Uploaded:
    """Return the answer of an uploader that stored the rendition.

    Raises:
        Reject: It never will.
        Retry: It did not this time.
    """
    if isinstance(reply, Uploaded):
        return reply
    raise Reject(reply.reason) if reply.final else Retry(reply.reason, after=reply.retry_after)
