"""Seal everything that is stored sealed with the first sealing key, after the keys were changed."""

from private_integrations.contract import Resealed

from ..access.actors import Actor
from ..sealing import Sealer
from ..storage.engine import Write
from . import signing, upstreams, webhook_secrets
from .operation import writes


@writes
def reseal(write: Write, sealer: Sealer, *, actor: Actor) -> Resealed:
    """Seal every upstream credential, every webhook's secret and the signing key with the first sealing key."""
    done = (
        upstreams.reseal.step(write, sealer, actor=actor),
        webhook_secrets.reseal.step(write, sealer, actor=actor),
        signing.reseal.step(write, sealer, actor=actor),
    )
    return Resealed(
        sealed_with=sealer.first_key,
        resealed=sum(part.resealed for part in done),
        unchanged=sum(part.unchanged for part in done),
        unreadable=[name for part in done for name in part.unreadable],
    )
