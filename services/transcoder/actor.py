"""The transcoder: an image is wanted ─▶ known already? ─▶ get its bytes ─▶ render ─▶ have it stored ─▶ tell."""

import os
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from services.transcoder.download import Limits as DownloadLimits
from services.transcoder.download import download, is_gone
from services.transcoder.hints import Hints
from services.transcoder.rendition import Limits, RenderOptions, Rendition
from services.transcoder.settings import TranscoderSettings
from services.transcoder.storage import Storage, stored
from shared import metrics
from shared.actor import Actor, Envelope
from shared.bus import Bus
from shared.errors import Reject, Retry, Unavailable
from shared.guard import parse_origins
from shared.messages import (
    AnyMessage,
    Attempt,
    ImageFailed,
    ImageJob,
    ImageMirrored,
    Message,
    Upload,
    Uploaded,
    decode,
)
from shared.sandbox import Confinement, Sandbox, confinement_level
from shared.topology import IMAGES, TRANSCODER
from shared.web import Web
from shared.working import Working

log = structlog.get_logger()
RENDER = "services.transcoder.rendering:render"  # what the sandbox runs
TASKS_PER_WORKER = 4  # while some images are rendered, others are downloaded and uploaded


class Progress(msgspec.Struct):
    """How far the work on one image has come: what a failure tells besides its reason."""

    total: metrics.Stopwatch = msgspec.field(default_factory=metrics.Stopwatch)
    settled_ms: int = 0
    attempts: list[Attempt] = []
    source_bytes: int = 0
    download_ms: int = 0
    convert_ms: int = 0
    failed_accounts: tuple[str, ...] = ()

    @property
    def step(self) -> str:
        """The step that it has come to."""
        return "upload" if self.convert_ms else "render" if self.source_bytes else "download"

    def end(self) -> None:
        """The image is settled: whatever is told of it from now on tells the same times."""
        self.total.stop()
        self.settled_ms = _now_ms()


class Unmirrored(Reject):
    """The image cannot be mirrored."""

    def __init__(self, reason: str, progress: Progress) -> None:
        super().__init__(reason)
        self.progress = progress


class NotYetMirrored(Retry):
    """The image could not be mirrored this time."""

    def __init__(self, error: Retry, progress: Progress) -> None:
        super().__init__(str(error), after=error.after)
        self.progress = progress


class Transcoder:
    """Mirrors one image per message."""

    consumer = TRANSCODER
    max_tries = 5

    def __init__(self, bus: Bus, web: Web, renderer: Sandbox[Rendition], settings: TranscoderSettings) -> None:
        self._bus = bus
        self._web = web
        self._renderer = renderer
        self._settings = settings
        self._images = bus.bucket(IMAGES)
        self._hints = Hints(bus)
        self._storage = Storage(bus)
        self._limits = DownloadLimits(
            settings.source_max_bytes, settings.download_seconds, tuple(settings.proxies.split())
        )
        self._options = RenderOptions(
            quality=settings.quality,
            max_width=settings.max_width,
            budget=settings.budget,
            limits=Limits(
                source_bytes=settings.source_max_bytes,
                frame_pixels=settings.frame_pixels,
                canvas_pixels=settings.canvas_pixels,
                total_pixels=settings.total_pixels,
                frames=settings.frames,
            ),
        )

    async def handle(self, message: AnyMessage, envelope: Envelope) -> AsyncIterator[Sequence[Message]]:
        """Mirror the image; see `Handler.handle`."""
        assert isinstance(message, ImageJob)  # noqa: S101 - its subject holds nothing else
        known = await self._known(message, envelope)
        if known is None:
            with metrics.stage("image"):
                known = await self._mirror(message, envelope)
        yield [known]

    def settle_failed(self, message: AnyMessage, envelope: Envelope, error: Reject | Retry) -> Sequence[Message]:
        """Say that the image failed; see `Handler.settle_failed`."""
        if not isinstance(message, ImageJob):
            return []
        progress = error.progress if isinstance(error, Unmirrored | NotYetMirrored) else Progress()
        metrics.IMAGES.labels("failed").inc()
        metrics.IMAGE_FAILURES.labels(progress.step).inc()
        return [self._failure(message, envelope, error, progress)]

    async def _known(self, job: ImageJob, envelope: Envelope) -> ImageMirrored | ImageFailed | None:
        """Return how the image was settled before, if that still holds."""
        entry = await self._images.get(job.image)
        before = decode(entry.value) if entry else None
        if isinstance(before, ImageMirrored):
            metrics.IMAGES.labels("known").inc()
            redelivered = before.job == envelope.sequence  # settled by this very job, which was not acked
            return msgspec.structs.replace(before, job=envelope.sequence, known=not redelivered)
        if isinstance(before, ImageFailed) and not job.again:
            gone_for = (_now_ms() - before.settled_ms) / 1000
            if gone_for < self._settings.gone_seconds:
                return msgspec.structs.replace(before, job=envelope.sequence)
        return None

    async def _mirror(self, job: ImageJob, envelope: Envelope) -> ImageMirrored:
        """Return the image mirrored; what comes of it, and that a URL is gone, is remembered."""
        self._storage.check()
        progress = Progress()
        try:
            mirrored = await self._attempt(job, envelope, progress)
        except Unavailable:
            raise
        except Retry as error:
            raise NotYetMirrored(error, progress) from error
        except Reject as error:
            progress.end()
            if is_gone(progress.attempts):
                await self._remember(self._failure(job, envelope, error, progress))
            raise Unmirrored(str(error), progress) from error
        await self._remember(mirrored)
        metrics.IMAGES.labels("mirrored").inc()
        return mirrored

    async def _attempt(self, job: ImageJob, envelope: Envelope, progress: Progress) -> ImageMirrored:
        data = await self._download(job, progress, patient=envelope.tries == 1)
        with metrics.stage("render") as rendering:
            rendition = await self._render(data, progress)
        progress.convert_ms = rendering.ms
        metrics.rendered(rendition.decode_ms, rendering.ms)
        metrics.RENDITION_BYTES.inc(rendition.rendition_bytes)
        with metrics.stage("upload") as uploading:
            placed = await self._upload(job, envelope, rendition, progress)
        return ImageMirrored(
            image=job.image,
            source=job.source,
            url=placed.url,
            width=rendition.width,
            height=rendition.height,
            frames=rendition.frames,
            source_bytes=rendition.source_bytes,
            rendition_bytes=rendition.rendition_bytes,
            content_type=rendition.content_type,
            quality=rendition.quality,
            lossless=rendition.lossless,
            download_ms=progress.download_ms,
            convert_ms=progress.convert_ms,
            upload_ms=uploading.ms,
            total_ms=progress.total.ms,
            settled_ms=_now_ms(),
            attempts=tuple(progress.attempts),
            notes=rendition.notes,
            transcoder=self._settings.instance,
            referer=job.referer,
            account=placed.account,
            http_code=placed.http_code,
            created=placed.created,
            failed_accounts=progress.failed_accounts,
            job=envelope.sequence,
        )

    async def _download(self, job: ImageJob, progress: Progress, *, patient: bool) -> bytes:
        with metrics.stage("download") as downloading:
            try:
                data = await download(self._web, self._hints, job, progress.attempts, self._limits, patient=patient)
            finally:
                progress.download_ms = downloading.ms
        progress.source_bytes = len(data)
        metrics.SOURCE_BYTES.inc(len(data))
        return data

    async def _render(self, data: bytes, progress: Progress) -> Rendition:
        try:
            return await self._renderer.run(data, self._options)
        except Reject as error:
            where = progress.attempts[-1]
            progress.attempts[-1] = msgspec.structs.replace(where, reason=str(error))
            raise

    async def _upload(self, job: ImageJob, envelope: Envelope, rendition: Rendition, progress: Progress) -> Uploaded:
        request = Upload(
            image=job.image,
            data=rendition.data,
            content_type=rendition.content_type,
            day=datetime.fromtimestamp(envelope.published, UTC).strftime("%Y/%m/%d"),
            job=envelope.sequence,
        )
        reply = await self._storage.store(request)
        progress.failed_accounts = reply.failed_accounts
        return stored(reply)

    async def _remember(self, settled: ImageMirrored | ImageFailed) -> None:
        await self._images.put(settled.image, msgspec.json.encode(settled))

    def _failure(self, job: ImageJob, envelope: Envelope, error: Reject | Retry, progress: Progress) -> ImageFailed:
        tries = f" (given up after {envelope.tries} tries)" if isinstance(error, Retry) else ""
        return ImageFailed(
            image=job.image,
            source=job.source,
            reason=f"{error}{tries}",
            attempts=tuple(progress.attempts),
            source_bytes=progress.source_bytes,
            download_ms=progress.download_ms,
            convert_ms=progress.convert_ms,
            total_ms=progress.total.ms,
            settled_ms=progress.settled_ms or _now_ms(),
            transcoder=self._settings.instance,
            referer=job.referer,
            failed_accounts=progress.failed_accounts,
            job=envelope.sequence,
        )


def slots(settings: TranscoderSettings) -> int:
    """Return how many images are rendered at the same time."""
    return settings.workers or len(os.sched_getaffinity(0))


def sandbox(settings: TranscoderSettings) -> Sandbox[Rendition]:
    """Return what images are rendered in."""
    limits = Confinement(memory=settings.render_memory, cpu_seconds=round(settings.render_seconds * slots(settings)))
    return Sandbox(RENDER, Rendition, slots=slots(settings), seconds=settings.render_seconds, limits=limits)


async def start(bus: Bus, settings: TranscoderSettings) -> Working:
    """Start transcoding."""
    web = Web(parse_origins(settings.allow_hosts), proxies=settings.proxies.split())
    renderer = sandbox(settings)
    await renderer.warm()
    log.info("images are rendered in a sandbox", layers=confinement_level(), workers=slots(settings))
    tasks = settings.concurrency or TASKS_PER_WORKER * slots(settings)
    return Working(Actor(bus, Transcoder(bus, web, renderer, settings), tasks=tasks), web, [renderer])


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
