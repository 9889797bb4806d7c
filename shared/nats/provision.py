"""Makes the streams, consumers and buckets of `shared/topology.py` real; may be run again and again."""

from collections.abc import Sequence

from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from shared.nats.bus import NatsBus
from shared.topology import BUCKETS, CONSUMERS, STREAMS, Bucket, Consumer, Stream, subscriber

PATIENCE = 10.0  # seconds for one call: a cluster places a stream's copies meanwhile


async def provision(
    bus: NatsBus, *, replicas: int = 1, subscribers: Sequence[str] = (), dry: bool = False
) -> list[str]:
    """Create what is missing, change what differs; return a line for each thing done.

    Args:
        bus: A connection whose user may manage JetStream.
        replicas: Copies of each stream and bucket in a cluster: 1, 3 or 5.
        subscribers: Outside readers of the events, each with a durable consumer of its own.
        dry: Only say what would be done.
    """
    js = bus.client.jetstream(timeout=PATIENCE)
    configs = [*(_config(stream, replicas) for stream in STREAMS), *(_bucket(bucket, replicas) for bucket in BUCKETS)]
    consumers = (*CONSUMERS, *map(subscriber, subscribers))
    lines = [await bus.patiently(lambda it=it: _stream(js, it, dry=dry), f"make {it.name}") for it in configs]
    lines += [await bus.patiently(lambda it=it: _consumer(js, it, dry=dry), f"make {it.name}") for it in consumers]
    return [line for line in lines if line]


async def _stream(js: JetStreamContext, wanted: api.StreamConfig, *, dry: bool) -> str:
    name = wanted.name or ""
    what = f"bucket {name.removeprefix('KV_')}" if name.startswith("KV_") else f"stream {name}"
    try:
        info = await js.stream_info(name)
    except NotFoundError:
        if not dry:
            await js.add_stream(wanted)
        return f"+ {what}"
    changes = differences(wanted.as_dict(), info.config.as_dict())
    if changes and not dry:
        await js.update_stream(wanted)
    return f"~ {what}: {', '.join(changes)}" if changes else ""


async def _consumer(js: JetStreamContext, consumer: Consumer, *, dry: bool) -> str:
    wanted = api.ConsumerConfig(
        durable_name=consumer.name,
        filter_subject=consumer.filter,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=consumer.ack_wait,
        max_deliver=-1,
        max_ack_pending=consumer.max_ack_pending,
    )
    what = f"consumer {consumer.name} of {consumer.stream}"
    try:
        info = await js.consumer_info(consumer.stream, consumer.name)
    except NotFoundError:
        if not dry:
            await js.add_consumer(consumer.stream, wanted)
        return f"+ {what}"
    changes = differences(wanted.as_dict(), info.config.as_dict())
    if changes and not dry:
        await js.add_consumer(consumer.stream, wanted)
    return f"~ {what}: {', '.join(changes)}" if changes else ""


def _config(stream: Stream, replicas: int) -> api.StreamConfig:
    return api.StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=api.RetentionPolicy.WORK_QUEUE if stream.work_queue else api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.NEW if stream.refuse_second else api.DiscardPolicy.OLD,
        discard_new_per_subject=stream.refuse_second,
        max_msgs_per_subject=1 if stream.one_per_subject else -1,
        max_age=stream.max_age,
        duplicate_window=stream.duplicate_window,
        storage=api.StorageType.FILE,
        num_replicas=replicas,
        allow_msg_schedules=stream.schedules or None,
        allow_msg_ttl=stream.schedules or None,
        allow_rollup_hdrs=stream.schedules,  # the broker turns it on with them
    )


def _bucket(bucket: Bucket, replicas: int) -> api.StreamConfig:
    """Return the stream that is the bucket (ADR-8, "Stream configuration")."""
    return api.StreamConfig(
        name=f"KV_{bucket.name}",
        description=bucket.holds,
        subjects=[f"$KV.{bucket.name}.>"],
        retention=api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.NEW,
        max_msgs_per_subject=1,
        max_age=bucket.ttl,
        duplicate_window=120,
        storage=api.StorageType.FILE,
        num_replicas=replicas,
        allow_direct=True,
        allow_msg_ttl=True,
        allow_rollup_hdrs=True,
        deny_delete=True,
    )


def differences(wanted: dict[str, object], found: dict[str, object]) -> list[str]:
    """Name each setting of `wanted` that `found` has otherwise, as `name: found → wanted`."""
    return [
        f"{name}: {found.get(name)} → {value}"
        for name, value in wanted.items()
        if value is not None and found.get(name) != value
    ]
