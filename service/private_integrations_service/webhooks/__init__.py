"""Webhooks out: what waits in the outbox is signed and sent, again and again, and only to where it may go."""

from .posting import Poster
from .sender import Sender, Signer
from .signatures import StandardSigner

__all__ = ["Poster", "Sender", "Signer", "StandardSigner"]
