"""Templates and what they can say: instants, numbers of things, and the notice after a change."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import MappingProxyType

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from private_integrations.contract import instant_text, rfc3339

NOTICES: Mapping[str, str] = MappingProxyType(
    {
        "labs-off": "Private integrations are switched off for people of this account. Nothing else has changed.",
        "labs-on": "Private integrations are switched on for people of this account.",
        "password-changed": "Your password is changed. You are signed out everywhere else.",
        "person-removed": "They don't belong to this account any more.",
        "roles-changed": "Saved. It holds from now on.",
        "session-ended": "That browser is signed out.",
        "session-over": "You were signed out meanwhile; what you sent was not done. Sign in and repeat it.",
        "signed-out": "You are signed out.",
        "signed-out-everywhere": "You are signed out everywhere.",
    }
)
"""What a page says after a change, by the name that the redirect's address carries: never a text from an address."""

HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": (
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        # Not "no-referrer", with which browsers send no Origin either.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cache-Control": "no-store",
    }
)


def templates() -> Environment:
    """The templates, in which every value is escaped and a forgotten one is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(instant=instant_text, rfc3339=rfc3339, relative=relative)
    return environment


def html(environment: Environment, template: str, status: int, **values: object) -> HTMLResponse:
    """A page."""
    return HTMLResponse(environment.get_template(template).render(**values), status, headers=dict(HEADERS))


def relative(instant: datetime, now: datetime) -> str:
    """How far an instant is away, in one rounded unit: `in 3 days`, `2 hours ago`, `now`."""
    seconds = (instant - now).total_seconds()
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        count = int(abs(seconds) // length)
        if count:
            some = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"in {some}" if seconds > 0 else f"{some} ago"
    return "now"
