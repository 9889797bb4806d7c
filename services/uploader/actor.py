"""The uploader: a rendition comes ─▶ stored already? ─▶ choose an account ─▶ store ─▶ reply with its URL."""

import asyncio
from contextlib import suppress

import msgspec
import structlog

from services.uploader.accounts import load_accounts
from services.uploader.settings import UploaderSettings
from services.uploader.uploader import Unstorable, Unstored, Uploader
from shared import metrics
from shared.bus import Bus, BusUnavailable, Serving
from shared.errors import Reject, Retry
from shared.messages import Upload, Uploaded, UploadRefused, decode, encode
from shared.topology import ACCOUNTS, RENDITIONS, RPC_UPLOAD, UPLOADERS

log = structlog.get_logger()
DEFAULT_CONCURRENCY = 256  # an upload to GitHub holds its slot until its commit, which may be a minute away
HEALTH_SECONDS = 5.0  # between two looks at whether any account can take an object


class Running:
    """The uploader at work: a member of the group that answers `rpc.upload`."""

    def __init__(self, uploader: Uploader) -> None:
        self._uploader = uploader
        self._serving: Serving | None = None
        self._unready = ""
        self._watching = asyncio.create_task(self._watch())

    async def serve(self, bus: Bus, slots: int) -> None:
        """Begin to answer, `slots` requests at a time."""
        self._serving = await bus.serve(RPC_UPLOAD, UPLOADERS, self.answer, slots=slots)

    async def answer(self, data: bytes) -> bytes:
        """Store what the request carries and say where, or why not."""
        try:
            request = decode(data)
        except msgspec.DecodeError as error:
            return encode(UploadRefused(reason=f"not an upload: {error}", final=True))
        if not isinstance(request, Upload):
            return encode(UploadRefused(reason=f"not an upload but {type(request).__name__}", final=True))
        with metrics.stage("store"):
            return encode(await self._store(request))

    async def _store(self, request: Upload) -> Uploaded | UploadRefused:
        try:
            asker = f"{request.image}:{request.job}" if request.job else ""
            placed = await self._uploader.upload(request.data, request.content_type, request.day, asker)
        except (Unstored, Unstorable) as error:
            return _refused(error, error.failed_accounts)
        except (Reject, Retry) as error:
            return _refused(error, ())
        except BusUnavailable as error:
            return UploadRefused(reason=str(error), final=False)
        except Exception as error:  # a defect: told, since whoever asked waits for an answer
            log.exception("upload failed", image=request.image)
            return UploadRefused(reason=f"the uploader failed: {type(error).__name__}", final=False)
        return Uploaded(
            url=placed.url,
            account=placed.account,
            http_code=placed.http_code,
            created=placed.created,
            failed_accounts=placed.failed_accounts,
        )

    def not_ready(self) -> str:
        """See `service.Running`."""
        return self._unready

    async def drain(self) -> None:
        """See `service.Running`."""
        if self._serving is not None:
            await self._serving.stop()

    async def abort(self) -> None:
        """See `service.Running`."""
        self._watching.cancel()
        await self._uploader.close()

    async def _watch(self) -> None:
        while True:
            with suppress(BusUnavailable):  # said by the service itself
                self._unready = await self._uploader.unready()
            await asyncio.sleep(HEALTH_SECONDS)


async def start(bus: Bus, settings: UploaderSettings) -> Running:
    """Start uploading."""
    accounts = load_accounts(settings.accounts, data=settings.data, public_url=settings.public_url)
    uploader = Uploader(accounts, renditions=bus.bucket(RENDITIONS), healths=bus.bucket(ACCOUNTS))
    running = Running(uploader)
    await running.serve(bus, settings.concurrency or DEFAULT_CONCURRENCY)
    return running


def _refused(error: Reject | Retry, failed_accounts: tuple[str, ...]) -> UploadRefused:
    return UploadRefused(
        reason=str(error),
        final=isinstance(error, Reject),
        unavailable=isinstance(error, Unstored),
        retry_after=error.after if isinstance(error, Retry) else None,
        failed_accounts=failed_accounts,
    )
