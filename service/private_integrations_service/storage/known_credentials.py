"""Look up whether the service knows a session or browser, before any other work on a request."""

from .engine import StorageEngine

_SESSION = "SELECT 1 FROM sessions WHERE digest = ?"
_BROWSER = "SELECT 1 FROM known_browsers WHERE digest = ?"


class KnownCredentials:
    """Look digests up over a connection of its own; used by one event loop. Raises StorageError."""

    def __init__(self, engine: StorageEngine) -> None:
        self._connection = engine.decision_connection()

    async def has_session(self, digest: bytes) -> bool:
        """Tell whether there is a session with this digest, even one that has ended and is not yet removed."""
        return await self._has(_SESSION, digest)

    async def has_browser(self, digest: bytes) -> bool:
        """Tell whether a person has signed in before with the browser that holds this secret."""
        return await self._has(_BROWSER, digest)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def _has(self, statement: str, digest: bytes) -> bool:
        return await self._connection.row(statement, digest) is not None
