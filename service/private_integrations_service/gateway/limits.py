"""What the gateway waits for, and how much it takes."""

from dataclasses import dataclass
from datetime import timedelta

from ..http.request_body import Pace
from ..settings import Settings

_MEMORY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """Times in seconds, sizes in bytes; `silence` is nginx's usual one."""

    connect: float = 5
    """Until a new connection to the upstream stands, TLS included."""
    silence: float = 60
    """Until the upstream's first byte, between two bytes of it, and between two of the consumer's."""
    total: float = 600
    """For a whole request: its body, waiting for a connection, and the answer."""
    window: float = 20
    """How long a consumer is waited for until it is looked at how much it gave or took meanwhile."""
    upload_rate: int = 500
    """Bytes a second that a consumer must send of a body, over a window."""
    download_rate: int = 3000
    """Bytes a second that a consumer must take of an answer, over a window."""
    queue: float = 5
    """How long a request waits for one of the connections."""
    idle: float = 4
    """How long an unused connection is kept: Node's servers close theirs after five seconds."""
    tick: float = 0.2
    """How often times are looked at; a consumer that goes away is noticed within one tick."""
    connections: int = 100
    """Connections to the upstream at once, per worker."""
    checked_body: int = 1024 * 1024
    """A body that is read whole, because it may name a location."""
    streamed_body: int = 512 * 1024 * 1024
    """Any other body."""
    buffered_body: int = 512 * 1024
    """A body that needn't be read whole and says that it is no longer than this, is: no connection waits for it."""
    memory: int = _MEMORY
    """All bodies together that are read whole, per worker."""
    head: int = 64 * 1024
    """All heads of one answer together, 1xx and trailers included."""

    @property
    def pace(self) -> Pace:
        """Return how fast a body must come that is read whole."""
        return Pace(self.total, min(self.window, self.silence), self.upload_rate)

    @classmethod
    def of(cls, settings: Settings) -> "GatewayLimits":
        """The limits that the operator set."""
        return cls(
            silence=settings.upstream_timeout / timedelta(seconds=1),
            total=settings.request_timeout / timedelta(seconds=1),
            connections=settings.upstream_connections,
            checked_body=settings.checked_body_limit,
            streamed_body=settings.streamed_body_limit,
            # A token gets a quarter: two of the longest.
            memory=max(_MEMORY, 8 * settings.checked_body_limit),
        )
