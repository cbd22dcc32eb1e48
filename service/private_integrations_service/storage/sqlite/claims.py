"""Claims on webhooks where there is one machine, whose one sending process needs none."""


class SoleClaims:
    """The claims of the only machine."""

    def take(self, _: str) -> bool:
        """Return that this machine serves every webhook."""
        return True

    def release(self, _: str) -> None:
        """Do nothing."""
