"""Makes the streams, consumers and buckets of `shared/topology.py` real; may be run again and again."""

from nats.js import api
from nats.js.errors import NotFoundError

from shared.nats.bus import NatsBus
from shared.topology import BUCKETS, CONSUMERS, STREAMS, Bucket, Consumer, Stream


async def provision(bus: NatsBus, *, replicas: int = 1) -> list[str]:
    """Create what is missing, change what differs; return a line for each thing done.

    Args:
        bus: A connection whose user may manage JetStream.
        replicas: Copies of each stream in a cluster: 1, 3 or 5.
    """
    done = [line for stream in STREAMS if (line := await _stream(bus, _config(stream, replicas)))]
    done += [line for bucket in BUCKETS if (line := await _bucket(bus, bucket, replicas))]
    return done + [line for consumer in CONSUMERS if (line := await _consumer(bus, consumer))]


async def _stream(bus: NatsBus, wanted: api.StreamConfig) -> str | None:
    try:
        info = await bus.js.stream_info(wanted.name or "")
    except NotFoundError:
        await bus.js.add_stream(wanted)
        return f"created stream {wanted.name}"
    changes = differences(wanted.as_dict(), info.config.as_dict())
    if not changes:
        return None
    await bus.js.update_stream(wanted)
    return f"changed stream {wanted.name}: {', '.join(changes)}"


async def _bucket(bus: NatsBus, bucket: Bucket, replicas: int) -> str | None:
    try:
        await bus.js.stream_info(f"KV_{bucket.name}")
    except NotFoundError:
        config = api.KeyValueConfig(
            bucket=bucket.name,
            description=bucket.holds,
            ttl=bucket.ttl or None,
            replicas=replicas,
            direct=True,
        )
        await bus.js.create_key_value(config)
        return f"created bucket {bucket.name}"
    return None


async def _consumer(bus: NatsBus, consumer: Consumer) -> str | None:
    wanted = api.ConsumerConfig(
        durable_name=consumer.name,
        filter_subject=consumer.filter,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=consumer.ack_wait,
        max_deliver=-1,
        max_ack_pending=consumer.max_ack_pending,
    )
    try:
        info = await bus.js.consumer_info(consumer.stream, consumer.name)
    except NotFoundError:
        await bus.js.add_consumer(consumer.stream, wanted)
        return f"created consumer {consumer.name} of {consumer.stream}"
    changes = differences(wanted.as_dict(), info.config.as_dict())
    if not changes:
        return None
    await bus.js.add_consumer(consumer.stream, wanted)
    return f"changed consumer {consumer.name}: {', '.join(changes)}"


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
    )


def differences(wanted: dict[str, object], found: dict[str, object]) -> list[str]:
    """Name each setting of `wanted` that `found` has otherwise, as `name: found → wanted`."""
    return [
        f"{name}: {found.get(name)} → {value}"
        for name, value in wanted.items()
        if value is not None and found.get(name) != value
    ]
