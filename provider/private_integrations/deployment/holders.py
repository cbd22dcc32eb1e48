"""Record which resource of this run has which integration, so that no two ever own one."""

import threading
from dataclasses import dataclass, field

Place = tuple[str, str]
"""An account and an external id in it: at most one integration."""


@dataclass(frozen=True)
class Renamed:
    """A resource that had another logical name when the stack was last deployed."""

    before: str
    now: str
    identity: str


@dataclass
class Holders:
    """Note which resources have or want each place; threads share it.

    A resource is known by the external id that it would have if it were new, which no other one of the run has.
    The engine checks one resource at a time, in any order: the first of two is let through, the second is refused.
    """

    _changed: threading.Condition = field(default_factory=threading.Condition)
    _wanted: dict[Place, list[str]] = field(default_factory=dict)
    _renamed: dict[str, Renamed] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)
    _deleted: set[str] = field(default_factory=set)

    def take(self, place: Place, resource: str) -> str | None:
        """Note that a resource has this place or adopts the integration in it; return another holder, or None."""
        with self._changed:
            wanted = self._wanted.setdefault(place, [])
            if resource not in wanted:
                wanted.append(resource)
                self._changed.notify_all()
            return self._other(place, resource)

    def other(self, place: Place, resource: str, *, patience: float = 0) -> str | None:
        """Return another resource that has or wants this place; wait so many seconds for one that isn't checked yet."""
        with self._changed:
            self._changed.wait_for(lambda: self._other(place, resource) is not None, patience)
            return self._other(place, resource)

    def has_taken(self, place: Place, resource: str) -> bool:
        """Tell whether this resource was noted for this place."""
        with self._changed:
            return resource in self._wanted.get(place, [])

    def note_renamed(self, external_id: str, renamed: Renamed) -> None:
        """Note that the owner of this external id has another logical name than in the last run."""
        with self._changed:
            self._renamed[external_id] = renamed

    def renamed(self, external_id: str) -> Renamed | None:
        """Return how the owner of this external id was renamed since the last run; None if it wasn't."""
        with self._changed:
            return self._renamed.get(external_id)

    def note_made(self, integration_id: str) -> None:
        """Note that this run made an integration."""
        with self._changed:
            self._made.add(integration_id)

    def made(self, integration_id: str) -> bool:
        """Tell whether this run made an integration."""
        with self._changed:
            return integration_id in self._made

    def note_deleted(self, integration_id: str) -> None:
        """Note that this run deleted an integration, so that earlier reads of it are no longer used."""
        with self._changed:
            self._deleted.add(integration_id)

    def deleted(self, integration_id: str) -> bool:
        """Tell whether this run deleted an integration."""
        with self._changed:
            return integration_id in self._deleted

    def _other(self, place: Place, resource: str) -> str | None:
        return next((other for other in self._wanted.get(place, []) if other != resource), None)
