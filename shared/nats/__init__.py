"""The bus on NATS JetStream; the only package that knows the `nats` client."""

from shared.nats.bus import NatsBus
from shared.nats.provision import provision

__all__ = ["NatsBus", "provision"]
