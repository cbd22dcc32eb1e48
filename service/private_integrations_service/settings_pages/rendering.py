"""Render templates: instants, numbers, and the notice after a change."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from private_integrations.contract import instant_text, rfc3339
from private_integrations.contract.characters import shown
from private_integrations.rotation.status import managed_by

from .assets import asset
from .navigation import SECTIONS, SHOWN_ACCOUNTS, section_path

NOTICES: Mapping[str, str] = MappingProxyType(
    {
        "cancelled": "The rotation is cancelled: the new token is dead, and the one before is in use again.",
        "data-webhook-made": "Its events are sent from now on.",
        "deleted": "The integration is deleted, and its tokens are dead.",
        "edited": "Saved.",
        "expired": "The old token is dead.",
        "labs-off": "Private integrations are switched off for people of this account. Nothing else has changed.",
        "labs-on": "Private integrations are switched on for people of this account.",
        "other-sessions-ended": "Every other browser is signed out, and the sign-in links that you made have ended.",
        "password-changed": "Your password is changed. You are signed out everywhere else.",
        "person-removed": "They don't belong to this account any more.",
        "roles-changed": "Saved. It holds from now on.",
        "roles-changed-link-ended": "Saved. The sign-in link that was made for them has ended: make a new one.",
        "roles-changed-password-ended": (
            "Saved. Their password has ended, because it was chosen with a link of an admin who doesn't administer "
            "this account: make a new sign-in link for them."
        ),
        "rotation-over": "There is no rotation under way any more.",
        "schedule-edited": "Saved. No token was issued.",
        "scopes-edited": "Saved: the new scopes hold for every token that works.",
        "session-ended": "That browser is signed out.",
        "session-over": "You were signed out meanwhile; what you sent was not done. Sign in and repeat it.",
        "signed-out": "You are signed out.",
        "signed-out-everywhere": "You are signed out everywhere.",
        "inactivity-saved": "Saved. No token ends before its end was announced.",
        "webhook-deleted": "The webhook is deleted.",
        "webhook-disabled": "The webhook is disabled: nothing is sent to it.",
        "webhook-enabled": "The webhook is enabled again. What it missed is sent when you say so.",
        "webhook-pinged": "A test event is on its way. Reload the page to see what came of it.",
        "webhook-replayed": "Sent again. Reload the page to see what came of it.",
        "webhook-saved": "Saved.",
    }
)
"""Hold the notices after a change; the redirect's address carries only the name of one, never a text."""

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


# Browsers obey none of them, and text that was entered in a form stays unchanged.
_CONTROLS = "".join(map(chr, (*range(0x20), *range(0x7F, 0xA0))))


def _shown(value: object) -> object:
    """Return a value as a page shows it, so that a name with hidden characters doesn't look like another one."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return shown(value, allowed=_CONTROLS)
    return value


@cache
def templates() -> Environment:
    """Return the templates, which escape every value and fail on a missing one; compiled once in a process."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        instant=instant_text,
        rfc3339=rfc3339,
        relative=relative,
        calendar=calendar,
        sentence=sentence,
        with_times=with_times,
        maker=managed_by,
        maker_of_link=maker_of_link,
    )
    environment.globals.update(
        asset=asset, section_path=section_path, SECTIONS=SECTIONS, SHOWN_ACCOUNTS=SHOWN_ACCOUNTS, account=None
    )
    return environment


def html(environment: Environment, template: str, status: int, **values: object) -> HTMLResponse:
    """Render a page."""
    return HTMLResponse(environment.get_template(template).render(**values), status, headers=dict(HEADERS))


def maker_of_link(actor: str) -> str:
    """Name the maker of a sign-in link, from the actor: a person's address, or the name of a management key."""
    kind, _, rest = actor.partition("/")
    name = rest.rpartition("/")[0]
    return {"person": name, "key": f"management key {name}"}.get(kind, actor)


def relative(instant: datetime, now: datetime) -> str:
    """Return the distance of an instant in one rounded unit: `in 3 days`, `2 hours ago`, `now`."""
    seconds = (instant - now).total_seconds()
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if abs(seconds) >= length:
            count = round(abs(seconds) / length)
            some = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"in {some}" if seconds > 0 else f"{some} ago"
    return "now"


def calendar(instant: datetime) -> str:
    """Return an instant for browsers without scripts: `20 Nov 2026, 13:05 UTC`."""
    utc = instant.astimezone(UTC)
    return f"{utc.day} {_MONTHS[utc.month - 1]} {utc.year}, {utc:%H:%M} UTC"


# Not strftime's names, which are in the server's language.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def sentence(detail: str) -> str:
    """Return the detail of a refusal as a sentence: with a capital letter and a full stop."""
    return detail and detail[0].upper() + detail[1:] + ("" if detail.endswith((".", "?", "!")) else ".")


def with_times(text: str) -> Markup:
    """Return a sentence that the command line shares, escaped, with its instants in the reader's time zone."""
    parts = _INSTANT.split(text)
    return Markup().join(_time(part) if number % 2 else part for number, part in enumerate(parts))


# As `instant_text` writes them.
_INSTANT = re.compile(r"\b([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?Z)(?![0-9A-Za-z])")


def _time(said: str) -> Markup | str:
    try:
        instant = datetime.fromisoformat(said)
    except ValueError:
        return said
    return Markup('<time class="at" datetime="{}" title="{}">{}</time>').format(said, said, calendar(instant))
