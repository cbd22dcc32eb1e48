"""The gateway's limits: times, sizes and rates."""

from dataclasses import dataclass
from datetime import timedelta

from ..http.request_body import Pace
from ..settings import Settings

_MEMORY = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """The limits, in seconds and bytes; `silence` is nginx's default."""

    connect: float = 5
    """To connect to the upstream, TLS included."""
    silence: float = 60
    """To wait for the upstream's next byte, or for the consumer's."""
    total: float = 600
    """For a whole request: its body, the wait for a connection, and the answer."""
    window: float = 20
    """The time of waiting for a consumer over which its rate is measured."""
    upload_rate: int = 500
    """Bytes a second that a consumer must send of a body, over a window."""
    download_rate: int = 3000
    """Bytes a second that a consumer must take of an answer, over a window."""
    queue: float = 5
    """To wait for a connection of the pool."""
    idle: float = 4
    """To keep an idle connection; Node's servers close theirs after five seconds."""
    tick: float = 0.2
    """Between two checks of the deadlines; the gateway notices within one that a consumer has gone."""
    connections: int = 100
    """Connections to the upstream at once, per worker."""
    checked_body: int = 1024 * 1024
    """For a body that is read whole, because it may name an account."""
    streamed_body: int = 512 * 1024 * 1024
    """For any other body."""
    buffered_body: int = 512 * 1024
    """Up to this length any body is read before it is sent, so that no connection waits for a slow one."""
    memory: int = _MEMORY
    """For all bodies together that are read whole, per worker."""
    head: int = 64 * 1024
    """For all heads of one answer together, 1xx and trailers included."""

    @property
    def pace(self) -> Pace:
        """Return the pace of a body that is read whole."""
        return Pace(self.total, min(self.window, self.silence), self.upload_rate)

    @classmethod
    def of(cls, settings: Settings) -> "GatewayLimits":
        """Return the limits that the operator set."""
        return cls(
            silence=settings.upstream_timeout / timedelta(seconds=1),
            total=settings.request_timeout / timedelta(seconds=1),
            connections=settings.upstream_connections,
            checked_body=settings.checked_body_limit,
            streamed_body=settings.streamed_body_limit,
            # A token gets a quarter: room for two of the longest bodies.
            memory=max(_MEMORY, 8 * settings.checked_body_limit),
        )
