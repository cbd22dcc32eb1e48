"""Let a person choose scopes: by area, by endpoint, or by job."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from urllib.parse import urlsplit

from private_integrations.contract import AccountClass

from ..catalogue.endpoints import Catalogue, Endpoint

_READING = (".readonly", ".read")
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Offer:
    """Offer a scope that an integration of this account class may hold, with the endpoints that it opens there."""

    name: str
    opens: tuple[Endpoint, ...]

    @property
    def writes(self) -> bool:
        """Tell by its name whether it opens changes."""
        return can_write(self.name)

    @property
    def summary(self) -> str:
        """Summarize its endpoints in a few words: `GET /contacts/ and 9 more`."""
        if not self.opens:
            return "no documented endpoint"
        more = f" and {len(self.opens) - 1} more" if len(self.opens) > 1 else ""
        return f"{self.opens[0].method} {self.opens[0].path}{more}"


@dataclass(frozen=True)
class Area:
    """Group the scopes of a part of the platform."""

    title: str
    offers: tuple[Offer, ...]


@dataclass(frozen=True)
class Preset:
    """Name the least scopes for a common job; docs/scopes.md has the same sets, and the endpoints that stay closed."""

    key: str
    title: str
    account_kind: AccountClass
    scopes: tuple[str, ...]


PRESETS = (
    Preset(
        "read-contacts",
        "Contacts into a warehouse, reading only",
        AccountClass.SUB_ACCOUNT,
        ("contacts.readonly", "locations/customFields.readonly", "locations/tags.readonly"),
    ),
    Preset(
        "sync-contacts",
        "Contact sync, both ways",
        AccountClass.SUB_ACCOUNT,
        ("contacts.readonly", "contacts.write", "locations/customFields.readonly"),
    ),
    Preset("forms", "Form intake", AccountClass.SUB_ACCOUNT, ("forms.readonly", "contacts.write")),
    Preset(
        "bookings",
        "Bookings",
        AccountClass.SUB_ACCOUNT,
        ("calendars.readonly", "calendars/events.readonly", "calendars/events.write"),
    ),
    Preset(
        "conversations",
        "Conversations and messages",
        AccountClass.SUB_ACCOUNT,
        ("conversations.readonly", "conversations/message.readonly", "conversations/message.write"),
    ),
    Preset(
        "payments",
        "Invoices and payments, reporting",
        AccountClass.SUB_ACCOUNT,
        (
            "invoices.readonly",
            "payments/orders.readonly",
            "payments/transactions.readonly",
            "payments/subscriptions.readonly",
        ),
    ),
    Preset(
        "opportunities",
        "Opportunities pipeline",
        AccountClass.SUB_ACCOUNT,
        ("opportunities.readonly", "opportunities.write"),
    ),
    Preset(
        "locations",
        "Provisioning locations",
        AccountClass.AGENCY,
        ("locations.readonly", "locations.write", "snapshots.readonly", "users.write"),
    ),
    Preset(
        "saas",
        "SaaS plans and wallets",
        AccountClass.AGENCY,
        ("saas/company.read", "saas/location.read", "saas/location.write"),
    ),
)

AREAS: Mapping[str, str] = MappingProxyType(
    {
        "adPublishing": "Ad Manager",
        "affiliate-manager": "Affiliate Manager",
        "agent-studio": "Agent Studio",
        "associations": "Associations",
        "blogs": "Blogs",
        "brand-boards": "Brand Boards",
        "businesses": "Businesses",
        "calendars": "Calendars",
        "campaigns": "Campaigns",
        "charges": "Marketplace",
        "chat-widget": "Chat Widget",
        "companies": "Companies",
        "contacts": "Contacts",
        "conversation-ai": "Conversation AI",
        "conversations": "Conversations",
        "courses": "Courses",
        "custom-menu-link": "Custom Menus",
        "documents_contracts": "Documents & Contracts",
        "documents_contracts_template": "Documents & Contracts",
        "emails": "Emails",
        "files": "Files",
        "forms": "Forms",
        "funnels": "Funnels",
        "invoices": "Invoices",
        "knowledge-bases": "Knowledge Base",
        "lc-email": "Emails",
        "links": "Trigger Links",
        "locations": "Sub-Accounts (Locations)",
        "marketplace-external-auth-migration": "Marketplace",
        "marketplace-installer-details": "Marketplace",
        "medias": "Media Storage",
        "numberpools": "Phone System",
        "oauth": "OAuth",
        "objects": "Custom Objects",
        "opportunities": "Opportunities",
        "payments": "Payments",
        "phonenumbers": "Phone System",
        "products": "Products",
        "recurring-tasks": "Recurring Tasks",
        "saas": "SaaS",
        "snapshots": "Snapshots",
        "socialplanner": "Social Planner",
        "store": "Store",
        "surveys": "Surveys",
        "twilioaccount": "Phone System",
        "users": "Users",
        "voice-ai-agent-goals": "Voice AI",
        "voice-ai-agents": "Voice AI",
        "voice-ai-dashboard": "Voice AI",
        "wordpress": "WordPress",
        "workflows": "Workflows",
    }
)
"""Translate the beginning of a scope's name into people's name for the part of the platform (docs/platform.md §9)."""


@dataclass(frozen=True)
class Picker:
    """Hold the page of scopes: the offers that a search leaves, the chosen ones, and the sets for jobs.

    `hidden` are chosen offers that the search leaves out; `lost` are chosen names that aren't offered at all.
    """

    search: str
    areas: tuple[Area, ...]
    chosen: tuple[Offer, ...]
    hidden: tuple[Offer, ...]
    lost: tuple[str, ...]
    presets: tuple[Preset, ...]

    @property
    def names(self) -> frozenset[str]:
        """Return the names of the chosen scopes."""
        return frozenset(offer.name for offer in self.chosen)

    @property
    def writes(self) -> bool:
        """Tell whether the choice can write."""
        return any(offer.writes for offer in self.chosen)

    @property
    def opened(self) -> int:
        """Count the endpoints that the choice opens."""
        return sum(len(offer.opens) for offer in self.chosen)


def picker(catalogue: Catalogue, account_kind: AccountClass, given: Mapping[str, Sequence[str]]) -> Picker:
    """Build the scopes page for a form: `scope` chosen, a `preset` to add, one to `drop`, a `search`."""
    areas = offered(catalogue, account_kind)
    jobs = tuple(preset for preset in PRESETS if preset.account_kind == account_kind)
    added = {scope for preset in jobs if preset.key in given.get("preset", ()) for scope in preset.scopes}
    wanted = (set(given.get("scope", ())) | added) - set(given.get("drop", ()))
    search = "".join(given.get("search", ())[-1:]).strip()
    shown = searched(catalogue, areas, search) if search else areas
    everything = {offer.name: offer for area in areas for offer in area.offers}
    visible = {offer.name for area in shown for offer in area.offers}
    chosen = tuple(everything[name] for name in sorted(wanted & everything.keys()))
    return Picker(
        search=search,
        areas=shown,
        chosen=chosen,
        hidden=tuple(offer for offer in chosen if offer.name not in visible),
        lost=tuple(sorted(wanted - everything.keys())),
        presets=jobs,
    )


def can_write(scope: str) -> bool:
    """Tell whether a scope opens changes: every one whose name has no ending for reading."""
    return not scope.endswith(_READING)


def area_of(scope: str) -> str:
    """Return the platform's word for the part that a scope belongs to."""
    first = scope.partition("/")[0].partition(".")[0]
    return AREAS.get(first, first)


def offered(catalogue: Catalogue, account_kind: AccountClass) -> tuple[Area, ...]:
    """Return the scopes that an integration of such an account may hold, by area."""
    opened: dict[str | None, list[Endpoint]] = {}
    for endpoint in catalogue.endpoints:
        if account_kind in endpoint.account_kinds:
            opened.setdefault(endpoint.scope, []).append(endpoint)
    areas: dict[str, list[Offer]] = {}
    for scope in sorted(catalogue.scopes):
        if catalogue.refuse_scope(scope, account_kind) is None:
            endpoints = sorted(opened.get(scope, ()), key=_telling)
            areas.setdefault(area_of(scope), []).append(Offer(scope, tuple(endpoints)))
    return tuple(Area(title, tuple(areas[title])) for title in sorted(areas))


def searched(catalogue: Catalogue, areas: Iterable[Area], words: str) -> tuple[Area, ...]:
    """Find scopes by area, name or path that contain all words, or by the path of a request."""
    meant = _scopes_of_request(catalogue, words)
    kept = []
    for area in areas:
        offers = [o for o in area.offers if o.name in meant or (not meant and _has(words, area.title, o))]
        if offers:
            kept.append(replace(area, offers=tuple(offers)))
    return tuple(kept)


def _telling(endpoint: Endpoint) -> tuple[bool, int, str, str]:
    """Order endpoints so that the most telling ones are first: reads before writes, short paths before long ones."""
    return endpoint.method != "GET", endpoint.path.count("/"), endpoint.path, endpoint.method


def _scopes_of_request(catalogue: Catalogue, words: str) -> set[str]:
    """Find the scopes that a request needs, given as a path or URL with ids in it, with or without its method."""
    first, _, rest = words.strip().partition(" ")
    methods, target = ((first.upper(),), rest) if first.upper() in _METHODS else (_METHODS, words)
    try:
        path = urlsplit(target.strip()).path
    except ValueError:
        return set()
    if "/" not in path[:1] or " " in path:
        return set()
    matches = [match for method in methods if (match := catalogue.match(method, path)) is not None]
    # `/contacts/upsert` is the endpoint of this name, not a contact of this id, which another method would find.
    fewest = min((len(match.params) for match in matches), default=0)
    found = {match.endpoint.scope for match in matches if len(match.params) == fewest}
    return {scope for scope in found if scope is not None}


def _has(words: str, area: str, offer: Offer) -> bool:
    texts = [f"{area} {offer.name} {endpoint.method} {endpoint.path}" for endpoint in offer.opens]
    wanted = words.lower().split()
    return any(all(word in text.lower() for word in wanted) for text in texts or [f"{area} {offer.name}"])
