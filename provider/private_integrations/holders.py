"""Which resource of this run has which integration, so that no two ever own one."""

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
    """Note which resource has or will have each place; threads share it.

    A resource is known by the external id that it would have if it were new, which no other one of the run has.
    The engine checks resources in any order, so that the first of two is let through and the second is refused.
    """

    _changed: threading.Condition = field(default_factory=threading.Condition)
    _holders: dict[Place, str] = field(default_factory=dict)
    _adopters: dict[Place, str] = field(default_factory=dict)
    _renamed: dict[str, Renamed] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)
    _deleted: set[str] = field(default_factory=set)

    def hold(self, place: Place, resource: str, *, patience: float = 0) -> str | None:
        """Note that a resource has this place, unless another one has it or adopts what is there: that one is returned.

        With `patience`, wait so many seconds for a resource that has it and is not checked yet.
        """
        with self._changed:
            if patience and self._holders.get(place) != resource:
                self._changed.wait_for(lambda: self._other(place, resource) is not None, patience)
            other = self._other(place, resource)
            if other is None:
                self._holders[place] = resource
                self._changed.notify_all()
            return other

    def adopt(self, place: Place, resource: str, *, patience: float = 0) -> str | None:
        """Note that a resource takes over what is at this place, unless another one has or adopts it."""
        with self._changed:
            if patience:
                self._changed.wait_for(lambda: place in self._holders, patience)
            other = self._other(place, resource)
            if other is None:
                self._adopters[place] = resource
                self._changed.notify_all()
            return other

    def holds(self, place: Place, resource: str) -> bool:
        """Whether this resource was noted to have this place."""
        with self._changed:
            return self._holders.get(place) == resource

    def note_renamed(self, external_id: str, renamed: Renamed) -> None:
        """Note that the owner of this external id has another logical name than in the last run."""
        with self._changed:
            self._renamed[external_id] = renamed

    def renamed(self, external_id: str) -> Renamed | None:
        """How the owner of this external id was renamed since the last run; None if it wasn't."""
        with self._changed:
            return self._renamed.get(external_id)

    def note_made(self, integration_id: str) -> None:
        """Note that this run made an integration."""
        with self._changed:
            self._made.add(integration_id)

    def made(self, integration_id: str) -> bool:
        """Whether this run made an integration."""
        with self._changed:
            return integration_id in self._made

    def note_deleted(self, integration_id: str) -> None:
        """Note that this run deleted an integration, so that what was read of it before is not believed any more."""
        with self._changed:
            self._deleted.add(integration_id)

    def deleted(self, integration_id: str) -> bool:
        """Whether this run deleted an integration."""
        with self._changed:
            return integration_id in self._deleted

    def _other(self, place: Place, resource: str) -> str | None:
        found = (self._holders.get(place), self._adopters.get(place))
        return next((other for other in found if other not in (None, resource)), None)
