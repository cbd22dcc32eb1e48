"""Say that a value can't be used, with or without quoting it."""


class Unusable(ValueError):
    """Say what is wrong with a text; `unquoted` says it without the text, for places where that could be a secret."""

    def __init__(self, subject: str, text: str, reason: str, *, general: str | None = None) -> None:
        """Describe the fault.

        Args:
            subject: what the text was meant to be, such as `every`; empty where the caller adds it.
            text: the text itself.
            reason: what is wrong with it.
            general: the reason in other words, if `reason` repeats a part of the text.

        """
        super().__init__(f'{subject} "{text}" {reason}'.lstrip())
        self._parts = (text, reason, general)
        self.unquoted = f"{subject} {general or reason}".lstrip()

    def about(self, subject: str) -> "Unusable":
        """Return the same fault of a named input."""
        text, reason, general = self._parts
        return Unusable(subject, text, reason, general=general)
