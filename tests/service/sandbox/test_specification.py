"""Compare every operation of the sandbox with the vendor's names and types, in requests and answers.

The walk reads the specification by itself, asks each operation in both generations, and compares. Intended differences
are listed in `DIFFERENCES`, each with its reason; one that the walk doesn't meet any more fails the test.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import pytest

from private_integrations.contract import AccountClass
from private_integrations_service.access.people import User
from private_integrations_service.access.permissions import Membership
from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.sandbox import _HANDLERS
from private_integrations_service.storage.sqlite.engine import SQLiteEngine
from private_integrations_service.storage.users import add_user, save_membership
from private_integrations_service.tokens.format import new_id

VERSIONS = {"v2": "2021-07-28", "v3": "v3"}
WALKED = (
    *("/contacts/", "/businesses/", "/locations/", "/custom-fields/"),
    *("/opportunities/", "/users/", "/calendars/", "/campaigns/"),
)
STRANGE = "zzUnknown"
# Where a parameter of this name has other values than elsewhere.
EXAMPLES = {("GET /opportunities/search", "order"): "added_asc"}
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SHAPES = json.loads(
    resources.files("private_integrations_service").joinpath("sandbox/data/shapes.json").read_text("utf-8")
)["operations"]

ONE = r"(POST /contacts/(upsert)?|(GET|PUT) /contacts/\{contactId\})"
LISTED = r"GET /contacts/(business/\{businessId\})?"
FIELD = r"(GET|POST|PUT) /locations/\{locationId\}/customFields.*"
OBJECT_FIELD = r"(GET|POST|PUT) /custom-fields/(\{id\})?"

CREATED = ("deleted", "bounceEmail", "unsubscribeEmail", "birthMonth", "birthDay", "offers", "products")
# The platform takes these fields of a location's custom field, though the specification lacks them.
BEYOND = {"parentId": "x", "description": "x", "options": ["x"], "picklistOptionsImage": ["x"]}
MEASURED = ("followers", "additionalEmails", "additionalPhones")
AUTHOR = tuple(f"createdBy.{name}" for name in ("source", "channel", "sourceId", "sourceName", "timestamp"))


@dataclass(frozen=True)
class Difference:
    """Where the sandbox means to differ: of which operations (a pattern), in what, of which names, and why."""

    operations: str
    kind: str
    names: tuple[str, ...]
    reason: str


def named(prefix: str, *names: str) -> tuple[str, ...]:
    """Names below a prefix."""
    return tuple(f"{prefix}{name}" for name in names)


DIFFERENCES = (
    # Fields that an operation takes.
    Difference(
        r"POST /locations/\{locationId\}/customFields",
        "takes too",
        ("parentId", "fieldKey", "description", "options", "picklistOptionsImage"),
        "stated by the vendor's staff, and measured: the specification lacks them",
    ),
    Difference(
        r"(POST|PUT) /contacts/.*",
        "takes too",
        ("customFields.fieldValue",),
        "v3's name of a value is taken under every Version, since clients send either",
    ),
    Difference(
        r"(POST|PUT) /contacts/.*",
        "doesn't require",
        ("customFields.id",),
        "the key alone names a custom field as well",
    ),
    Difference(
        r"(POST|PUT) /(contacts|opportunities)/.*",
        "takes as",
        ("customFields.field_value", "customFields.fieldValue"),
        "a value may be a string, a number, an array or an object, as the kind of field says",
    ),
    Difference(
        r"(POST|PUT) /contacts/.*",
        "takes as",
        ("dateOfBirth",),
        "the specification's object is a date: its examples, and what every client sends",
    ),
    Difference(
        r"(POST|PUT) /opportunities/.*",
        "takes too",
        ("customFields.field_value", "customFields.fieldValue"),
        "the names of both generations are taken under every Version, as for contacts",
    ),
    Difference(
        r"POST /contacts/bulk/business",
        "doesn't require",
        ("businessId",),
        "null takes the contacts out of their business; leaving the name out is a fault all the same",
    ),
    Difference(
        r"GET /contacts/",
        "takes too",
        ("sortBy", "order"),
        "six public code bases send them to the platform",
    ),
    # Fields that an operation returns beyond the specification.
    Difference(
        r"(DELETE|PUT|POST) /(contacts|locations|custom-fields|opportunities)/.*",
        "answers too",
        ("succeded", "succeeded"),
        "the platform's misspelling and the word are both sent, so that clients of either generation find theirs",
    ),
    Difference(
        r"(POST|PUT) /businesses/.*",
        "answers too",
        ("business",),
        "the word beside the platform's misspelling",
    ),
    Difference(
        ONE,
        "answers too",
        named("contact.", *MEASURED, *AUTHOR, *CREATED),
        "measured; and a contact has one form in every single answer, which is the union of create's and read's",
    ),
    Difference(
        r"POST /contacts/",
        "answers too",
        named("contact.", "name", "timezone"),
        "the same union: only read's schema has them",
    ),
    Difference(
        ONE,
        "answers too",
        ("contact.gender", "contact.inboundDndSettings"),
        "what may be written can be read back",
    ),
    Difference(
        LISTED,
        "answers too",
        named(
            "contacts.",
            *("contactName", "name", "firstName", "lastName", "firstNameLowerCase", "lastNameLowerCase"),
            *("fullNameLowerCase", "emailLowerCase", "phone", "companyName", "gender", "dnd", "dndSettings"),
            *("inboundDndSettings", "type", "assignedTo", "address1", "city", "state", "postalCode", "website"),
            *("dateOfBirth", "dateUpdated", "additionalEmails", "additionalPhones", *AUTHOR),
        ),
        "measured: the platform lists whole contacts, of which the specification names a few fields",
    ),
    Difference(
        r"GET /contacts/",
        "answers too",
        (
            "traceId",
            *named(
                "meta.", "total", "nextPageUrl", "startAfterId", "startAfter", "currentPage", "nextPage", "prevPage"
            ),
        ),
        "measured: clients page by it",
    ),
    Difference(
        r"POST /contacts/\{contactId\}/tasks",
        "answers too",
        ("traceId",),
        "measured",
    ),
    Difference(
        FIELD,
        "answers too",
        tuple(
            f"{envelope}.{name}"
            for envelope in ("customField", "customFields")
            for name in ("parentId", "description", "acceptedFormat")
        ),
        "what may be written can be read back",
    ),
    Difference(
        r"POST /contacts/bulk/tags/update/\{type\}",
        "answers as",
        ("responses",),
        "measured: each response is an object",
    ),
    # Fields that an operation doesn't return, though the specification names them.
    Difference(
        ONE,
        "doesn't answer",
        named(
            "contact.",
            *("attachments", "ssn", "keyword", "lastActivity", "lastSessionActivityAt", "visitorId"),
            *("attributionSource", "lastAttributionSource"),
        ),
        "a sandbox has no visitors, and no API writes the others",
    ),
    Difference(
        r"GET /custom-fields/object-key/\{objectKey\}",
        "doesn't answer",
        named(
            "folders.",
            *("acceptedFormats", "allowCustomOption", "description", "maxFileLimit", "options", "placeholder"),
        ),
        "a folder is shown in the form of a field, and has a name alone",
    ),
    Difference(
        r"GET /opportunities/pipelines",
        "answers as",
        ("pipelines.stages",),
        "clients read stages with an id and a name, where the specification says arrays of arrays",
    ),
    Difference(
        r"GET /opportunities/search",
        "answers as",
        named("meta.", "nextPage", "nextPageUrl", "prevPage", "startAfter", "startAfterId"),
        "null where there is no such page, as in the list of contacts",
    ),
    Difference(
        r"GET /opportunities/.*",
        "doesn't answer",
        ("aggregations", "pipelines.colorRenderMode"),
        "a sandbox draws no boards and sums nothing up",
    ),
    Difference(
        r"(GET|POST|PUT) /opportunities/(\{id\})?",
        "doesn't answer",
        named(
            "opportunity.",
            *("effectiveProbability", "externalObjectId", "indexVersion", "lastActionDate", "source"),
            *("forecastDaysSlipped", "forecastLastSlippedAt", "forecastOriginalCloseDate", "forecastSlippageCount"),
        ),
        "no API writes them",
    ),
    Difference(
        r"(GET|POST|PUT) /opportunities/(\{id\})?",
        "doesn't answer",
        named("opportunity.", "lostReasonId", "forecastExpectedCloseDate", "forecastProbability"),
        "shown where they were written",
    ),
    Difference(
        r"GET /users/\{userId\}",
        "doesn't answer",
        ("lcPhone", "permissions", "platformLanguage", "roles.restrictSubAccount", "scopes"),
        "the people of the settings pages have none of these",
    ),
    Difference(
        r"GET /calendars/",
        "doesn't answer",
        named(
            "calendars.",
            *("alertEmail", "allowBookingAfter", "allowBookingAfterUnit", "allowBookingFor", "allowBookingForUnit"),
            *("allowCancellation", "allowReschedule", "appoinmentPerDay", "appoinmentPerSlot", "autoConfirm"),
            *("availabilities", "availabilityType", "calendarCoverImage", "consentLabel", "description"),
            *("enableRecurring", "eventColor", "eventTitle", "eventType", "formId", "formSubmitRedirectURL"),
            *("formSubmitThanksMessage", "formSubmitType", "googleInvitationEmails", "groupId", "guestType"),
            *("isLivePaymentMode", "locationConfigurations", "lookBusyConfig", "meetingLocation", "notes"),
            *("openHours", "pixelId", "preBuffer", "preBufferUnit", "recurring", "shouldAssignContactToTeamMember"),
            *("shouldSendAlertEmailsToAssignedMember", "shouldSkipAssigningContactForExisting", "slotBuffer"),
            *("slotBufferUnit", "stickyContact", "widgetSlug", "widgetType"),
        ),
        "a calendar of the sandbox has a name and the length of its slots, and takes no appointments",
    ),
    Difference(
        r"PUT /contacts/\{contactId\}|POST /contacts/(upsert)?",
        "doesn't answer",
        ("contact.businessId",),
        "no contact has a business when it is made; it is shown where there is one",
    ),
)


def operations() -> Iterator[tuple[str, str]]:
    """Each operation that the sandbox serves, with each generation whose specification has it."""
    for method, path in sorted(_HANDLERS):
        name = f"{method} {path}"
        if path.startswith(WALKED) and name in SHAPES:
            for generations in SHAPES[name]:
                yield from ((name, generation) for generation in generations.split(" and "))


def parts_of(operation: str, generation: str) -> dict[str, Any]:
    """Return the body, query and answer of the operation in the specification of this generation."""
    return next(parts for name, parts in SHAPES[operation].items() if generation in name.split(" and "))


def plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Named types without the mark of required ones."""
    return {name.removesuffix("*"): type_ for name, type_ in fields.items()}


def required(fields: dict[str, Any]) -> list[str]:
    """The names of required fields."""
    return [name.removesuffix("*") for name in fields if name.endswith("*")]


def alternative(type_: Any) -> Any:
    """The first of several types."""
    return type_["one of"][0] if isinstance(type_, dict) and "one of" in type_ else type_


@dataclass
class Walk:
    """Asks the operations, and notes what differs."""

    api: Any
    location: str
    database: SQLiteEngine
    found: set[tuple[str, str, str]] = field(default_factory=set)
    _number: int = 0
    _made: dict[str, str] = field(default_factory=dict)

    def unique(self) -> int:
        """A number that no other value has."""
        self._number += 1
        return self._number

    def make(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make something that an operation needs; answers it."""
        answer = self.api.ask(method, path, body)
        assert answer.status in (200, 201), answer
        return next((value for value in answer.body.values() if isinstance(value, dict)), answer.body)

    def contact(self) -> str:
        """A contact with every field, in a business and with a follower."""
        body = self.body("POST /contacts/", "v2", self.names("POST /contacts/", "v2"))
        made = self.make("POST", "/contacts/", body)["id"]
        moved = {"locationId": self.location, "ids": [made], "businessId": self.parameter("{businessId}")}
        self.make("POST", "/contacts/bulk/business", moved)
        return made

    def parameter(self, name: str, before: str = "") -> str:
        """The value of a path parameter, one for the whole walk; what an `{id}` is of says the path before it."""
        kind = before + name if name == "{id}" else name
        if kind not in self._made:
            self._made[kind] = self.fresh(kind)
        return self._made[kind]

    def fresh(self, kind: str) -> str:
        """Make what a path parameter names."""
        number = self.unique()
        at = f"/locations/{self.location}"
        pet = {"locationId": self.location, "objectKey": "custom_objects.pet"}
        if kind == "{contactId}":
            return self.contact()
        if kind.endswith("/notes/{id}"):
            body = {"body": "x", "title": "x", "color": "x", "userId": "x"}
            return self.make("POST", f"/contacts/{self._made['{contactId}']}/notes", body)["id"]
        if kind == "{taskId}":
            body = {"title": "x", "dueDate": "2026-12-01", "completed": False, "body": "x", "assignedTo": "x"}
            return self.make("POST", f"/contacts/{self._made['{contactId}']}/tasks", body)["id"]
        if kind == "{businessId}":
            name = "POST /businesses/"
            return self.make("POST", "/businesses/", self.body(name, "v2", self.names(name, "v2")))["id"]
        if kind == "{tagId}":
            return self.make("POST", f"{at}/tags", {"name": f"tag {number}"})["id"]
        if kind.endswith("/customFields/{id}"):
            name = "POST /locations/{locationId}/customFields"
            return self.make("POST", f"{at}/customFields", {**self.body(name, "v2", self.names(name, "v2")), **BEYOND})[
                "id"
            ]
        if kind.endswith("/customValues/{id}"):
            return self.make("POST", f"{at}/customValues", {"name": f"value {number}", "value": "x"})["id"]
        if kind.endswith("/folder/{id}"):
            return self.make("POST", "/custom-fields/folder", {**pet, "name": f"folder {number}"})["id"]
        if kind == "/opportunities/{id}":
            name = "POST /opportunities/"
            return self.make("POST", "/opportunities/", self.body(name, "v2", self.names(name, "v2")))["id"]
        if kind == "{pipelineId}":
            return self.pipeline()["id"]
        if kind == "{userId}":
            user = User(new_id("usr_"), f"user{number}@example.com", "Ada Lovelace", NOON)
            with self.database.write() as write:
                add_user(write.connection, user)
                save_membership(write.connection, user.id, Membership(self.location, "user"))
            return user.id.removeprefix("usr_")
        if kind.endswith("/custom-fields/{id}"):
            name = "POST /custom-fields/"
            return self.make("POST", "/custom-fields/", self.body(name, "v2", self.names(name, "v2")))["id"]
        known = {"{locationId}": self.location, "{type}": "remove", "{objectKey}": "custom_objects.pet"}
        return known.get(kind, "any")

    def pipeline(self) -> dict[str, Any]:
        """The location's pipeline."""
        return self.api.ask("GET", f"/opportunities/pipelines?locationId={self.location}").body["pipelines"][0]

    def path(self, operation: str) -> str:
        """The operation's path with its parameters; what it deletes is not used again."""
        method, template = operation.split(" ")
        path, kind = template, ""
        for name in re.findall(r"{\w+}", template):
            before = template.partition(name)[0]
            kind = before + name if name == "{id}" else name
            path = path.replace(name, self.parameter(name, before))
        if method == "DELETE" and template.endswith("}"):
            del self._made[kind]
        return path

    def value(self, name: str, type_: Any) -> Any:
        """A value of the type that the name's own rules allow."""
        number = self.unique()
        known: dict[str, Any] = {
            "locationId": self.location,
            "email": f"a{number}@example.com",
            "phone": f"+1202{number:07}",
            "dateOfBirth": "1990-09-25",
            "dueDate": "2026-12-01T10:00:00Z",
            "eventStartTime": "2026-12-01T10:00:00Z",
            "objectKey": "custom_objects.pet",
            "fieldKey": f"custom_objects.pet.field_{number}",
            "dataType": "TEXT",
            "order": "asc",
            "limit": 5,
            "skip": 0,
            "startAfter": 1_795_176_000_000,
            "startAfterId": "x",
            "companyId": "agencyOneAAAAAAAAAAA",
            "location_id": self.location,
            "date": "11-20-2026",
            "endDate": "11-20-2026",
            "page": 1,
            "q": "x",
            "sort": "dateAdded",
            "sortDirection": "asc",
            "showDrafted": "true",
            "enabled2waySync": "false",
            "getTasks": "true",
            "getNotes": "true",
            "getCalendarEvents": "true",
            "number": "%2B12025550143",
        }
        if name == "parentId":
            return self.parameter("{id}", "/custom-fields/folder/")
        if name in ("businessId", "pipelineId", "contactId"):
            return self.parameter(f"{{{name}}}")
        if name == "pipelineStageId":
            return self.pipeline()["stages"][1]["id"]
        if name in ("ids", "contacts"):
            return [self.parameter("{contactId}")]
        if name == "startAfter" and isinstance(type_, list):
            return [1_795_176_000_000, "x"]
        if name in known and not isinstance(type_, list | dict):
            return known[name]
        type_ = alternative(type_)
        if isinstance(type_, list):
            return [self.value("", type_[0])]
        if isinstance(type_, dict):
            return {key: self.value("", each) for key, each in plain(type_).items()}
        word, _, values = type_.partition(" ")
        if values:
            return values.split("|")[0]
        return {"string": f"Text {number}", "number": number, "boolean": True, "object": {"x": 1}, "any": 1}[word]

    def names(self, operation: str, generation: str) -> list[str]:
        """The documented fields of the body."""
        return list(plain(parts_of(operation, generation).get("body") or {}))

    def body(self, operation: str, generation: str, names: list[str]) -> dict[str, Any]:
        """A body with these documented fields."""
        fields = plain(parts_of(operation, generation)["body"])
        return {name: self.value(name, fields[name]) for name in names}

    def ask(self, operation: str, generation: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        """Ask an operation, with the query that it requires unless another is given."""
        fields = parts_of(operation, generation).get("query", {})
        if query is None:
            query = {name: self.value(name, plain(fields)[name]) for name in required(fields)}
        pairs = [
            f"{name}={item}"
            for name, value in query.items()
            for item in (value if isinstance(value, list) else [value])
        ]
        target = self.path(operation) + ("?" + "&".join(pairs) if pairs else "")
        return self.api.ask(operation.split(" ")[0], target, body, version=VERSIONS[generation])

    def note(self, operation: str, kind: str, name: str) -> None:
        """Note a difference."""
        self.found.add((operation, kind, name))

    # The fields that an operation takes.

    def take(self, operation: str, generation: str, fields: dict[str, Any], status: int) -> None:
        """Send each documented field, right and wrong, undocumented ones, and the body without each required one."""
        must, types = required(fields), plain(fields)

        def sent(changed: dict[str, Any], *without: str) -> Any:
            body = self.body(operation, generation, [name for name in must if name not in without])
            return self.ask(operation, generation, {**body, **changed})

        for name, type_ in types.items():
            value = self.value(name, type_)
            good = sent({name: value})
            assert good.status == status, (operation, generation, name, good)
            if type_ == "object" and not isinstance(value, dict):
                self.note(operation, "takes as", name)
            for place, key, strange in with_others(name, type_, self.others(operation, name), self):
                answer = sent({name: strange})
                if answer.status == status:
                    self.note(operation, "takes too", f"{name}.{key}")
                else:
                    assert answer.body["message"] == [f"{place}.property {key} should not exist"]
            for place, bad, text in wrong(name, type_):
                answer = sent({name: bad})
                if answer.status == status:
                    self.note(operation, "takes as", place)
                else:
                    assert answer.status == 422, (operation, generation, name, bad, answer)
                    assert any(re.match(text, message) for message in answer.body["message"]), (bad, answer)
            for place, strange in with_strange(name, type_, self):
                answer = sent({name: strange})
                assert (answer.status, answer.body["message"]) == (
                    422,
                    [f"{place}.property {STRANGE} should not exist"],
                )
            for place, lacking in without_required(name, type_, self):
                if sent({name: lacking}).status == status:
                    self.note(operation, "doesn't require", place)
        siblings = {other for each in SHAPES for other in self.siblings(operation, each)}
        for name in sorted({*siblings, STRANGE} - types.keys()):
            answer = sent({name: self.value(name, "string")})
            if answer.status == status:
                self.note(operation, "takes too", name)
            elif f"property {name} should not exist" not in answer.body["message"]:
                # It is taken, and this is no good value of it.
                self.note(operation, "takes too", name)
        for name in must:
            answer = sent({}, name)
            assert answer.status == 422, (operation, generation, name, answer)
            if sent({name: None}, name).status == status:
                self.note(operation, "doesn't require", name)

    def others(self, operation: str, name: str) -> Iterator[Any]:
        """The types that a field of the body has in each generation."""
        for parts in SHAPES[operation].values():
            yield plain(parts["body"]).get(name, "any")

    def siblings(self, operation: str, other: str) -> set[str]:
        """The fields that another operation of the same resource takes, and those that only answers have."""
        resource = re.sub(
            r"/(\{\w+\}|upsert|folder)?$", "", re.sub(r"/(\{\w+\}|completed)$", "", operation.split(" ")[1])
        )
        if not other.split(" ")[1].startswith(resource):
            return set()
        beyond = {name for each in DIFFERENCES if each.kind == "takes too" for name in each.names if "." not in name}
        bodies = (parts.get("body") for parts in SHAPES[other].values())
        return {
            "id",
            "dateAdded",
            *beyond,
            *(name for body in bodies if isinstance(body, dict) for name in plain(body)),
        }

    def search(self, operation: str, generation: str, fields: dict[str, Any], status: int) -> None:
        """Send each documented parameter, and undocumented ones, and the query without each required one."""
        must, types = required(fields), plain(fields)
        least = {name: self.value(name, types[name]) for name in must}
        for name, type_ in types.items():
            more = {"startAfter": 1_795_176_000_000} if name == "startAfterId" else {}
            value = EXAMPLES.get((operation, name)) or self.value(name, type_)
            answer = self.ask(operation, generation, query={**least, **more, name: value})
            assert answer.status == status, (operation, generation, name, answer)
            if isinstance(type_, str) and type_ != "string":
                assert self.ask(operation, generation, query={**least, name: "x"}).status == 422, (operation, name)
        for name in ("sortBy", "order", "page", "startAfter", STRANGE):
            if name not in types:
                answer = self.ask(
                    operation, generation, query={**least, name: "date_added" if name == "sortBy" else "asc"}
                )
                if answer.status == status:
                    self.note(operation, "takes too", name)
                else:
                    text = f"property {name} should not exist"
                    assert (answer.status, text in answer.body["message"]) == (422, True), answer
        for name in must:
            rest = {other: value for other, value in least.items() if other != name}
            answer = self.ask(operation, generation, query=rest)
            assert answer.status == 422, (operation, generation, name, answer)

    # The fields that it returns.

    def compare(self, operation: str, documented: Any, value: Any, name: str = "") -> None:
        """Compare an answer with its documented type."""
        documented = alternative(documented)
        if isinstance(documented, dict) and isinstance(value, dict):
            types, prefix = plain(documented), f"{name}." if name else ""
            for key in value.keys() - types.keys():
                for inner in dotted(value[key], f"{prefix}{key}"):
                    self.note(operation, "answers too", inner)
            for key in types.keys() - value.keys():
                assert key not in required(documented), (operation, prefix, key)
                self.note(operation, "doesn't answer", f"{prefix}{key}")
            for key in types.keys() & value.keys():
                self.compare(operation, types[key], value[key], f"{prefix}{key}")
        elif isinstance(documented, list) and isinstance(value, list):
            for item in value:
                self.compare(operation, documented[0], item, name)
        elif not is_of(documented, value):
            self.note(operation, "answers as", name)


def dotted(value: Any, name: str) -> list[str]:
    """The names in an object that only one place has; whole contacts and settings count as one."""
    whole = name.endswith(("business", "contact", "dndSettings", "inboundDndSettings"))
    if isinstance(value, dict) and not whole:
        return [f"{name}.{key}" for key in value]
    return [name]


def is_of(documented: Any, value: Any) -> bool:
    """Tell whether a value has a plain type; the specification says "object" if it leaves the type open."""
    if not isinstance(documented, str):
        return False
    word, _, values = documented.partition(" ")
    if values:
        return value in values.split("|")
    kinds = {"string": str, "number": int | float, "boolean": bool}
    if word == "number" and isinstance(value, bool):
        return False
    return word not in kinds or isinstance(value, kinds[word])


def wrong(name: str, type_: Any) -> Iterator[tuple[str, Any, str]]:
    """Values of wrong types for a field, at each depth: the field's place, the value, and how the fault begins."""
    type_ = alternative(type_)
    here = re.escape(name)
    if isinstance(type_, list):
        yield name, "x", f"{here} must be an array"
        inner = alternative(type_[0])
        if isinstance(inner, dict):
            yield name, ["x"], f"each value in nested property {here} must be either object or array"
            for key, each in plain(inner).items():
                for place, bad, _ in wrong(key, each):
                    base = dict.fromkeys(required(inner) or (["id"] if name == "customFields" else []), "x")
                    yield f"{name}.{place}", [{**base, key: bad}], rf"{here}\.0\.{re.escape(key)}"
        else:
            yield name, [5], f"each value in {here} must be a string"
    elif isinstance(type_, dict):
        yield name, "x", f"{here} must be an object"
        yield name, [], f"{here} must be an object"
        for key, each in plain(type_).items():
            for place, bad, _ in wrong(key, each):
                yield f"{name}.{place}", {key: bad}, rf"{here}\.{re.escape(key)}"
    elif " " in type_:
        yield name, "zz", f"{here} must be one of the following values: "
        yield name, 5, f"{here} must be one of the following values: |{here} must be a string"
    else:
        bad = {"string": [5, [], {}], "number": ["x", True], "boolean": ["yes", 1], "object": ["x", 5], "any": []}[
            type_
        ]
        yield from ((name, each, f"{here} must be ") for each in bad)


def with_strange(name: str, type_: Any, walk: Walk) -> Iterator[tuple[str, Any]]:
    """Good objects with a field that nothing documents, at each depth: the object's place, and the value."""
    type_ = alternative(type_)
    if isinstance(type_, list) and isinstance(alternative(type_[0]), dict):
        good = walk.value("", type_)[0]
        good = {"id": "f", "field_value": "x"} if name == "customFields" else good
        yield f"{name}.0", [{**good, STRANGE: 1}]
    elif isinstance(type_, dict):
        yield name, {**walk.value("", type_), STRANGE: 1}
        for key, each in plain(type_).items():
            for place, inner in with_strange(key, each, walk):
                yield f"{name}.{place}", {key: inner}


def with_others(name: str, type_: Any, others: Iterator[Any], walk: Walk) -> Iterator[tuple[str, str, Any]]:
    """Good objects with a field of another generation's: the object's place, the field, and the value."""
    many = isinstance(type_, list)
    own, theirs = (
        [alternative(alternative(each)[0]) if isinstance(each, list) else each for each in found]
        for found in ([type_], others)
    )
    if isinstance(own[0], dict):
        for key, each in ((key, each) for other in theirs for key, each in plain(other).items()):
            if key not in plain(own[0]):
                strange = {"id": "f"} if many else walk.value("", type_)
                strange[key] = walk.value("", each)
                yield (f"{name}.0" if many else name), key, [strange] if many else strange


def without_required(name: str, type_: Any, walk: Walk) -> Iterator[tuple[str, Any]]:
    """Yield objects that lack a required field, each with the place of that field."""
    type_ = alternative(type_)
    inner = alternative(type_[0]) if isinstance(type_, list) else type_
    if isinstance(inner, dict):
        for key in required(inner):
            lacking = {other: value for other, value in walk.value("", inner).items() if other != key}
            yield f"{name}.{key}", [lacking] if isinstance(type_, list) else lacking
        if not isinstance(type_, list):
            for key, each in plain(inner).items():
                for place, value in without_required(key, each, walk):
                    yield f"{name}.{place}", {key: value}


@pytest.fixture
def walk(api, desk, accounts, database, catalogue: Catalogue) -> Walk:
    """A walk with a token that may do all that a location's token can do here."""
    scopes = {endpoint.scope for endpoint in catalogue.endpoints if endpoint.path.startswith(WALKED)}
    held = sorted(
        scope for scope in scopes if scope and catalogue.refuse_scope(scope, AccountClass.SUB_ACCOUNT) is None
    )
    api.token = desk.token_with(*held)
    return Walk(api, accounts.location, database)


def test_operations_take_require_and_answer_what_the_specification_says(walk):
    """Each operation, in each generation: every difference is one that is meant, and every one that is meant is met."""
    for operation, generation in operations():
        parts = parts_of(operation, generation)
        status, documented = next(
            ((int(name.split()[1]), type_) for name, type_ in parts.items() if name.startswith("answer")), (200, None)
        )
        fields = parts.get("body")
        if isinstance(fields, dict):
            walk.take(operation, generation, fields, status)
        if "query" in parts:
            walk.search(operation, generation, parts["query"], status)
        if documented is not None:
            typed = isinstance(fields, dict)
            whole = walk.body(operation, generation, walk.names(operation, generation)) if typed else None
            answer = walk.ask(operation, generation, whole)
            assert answer.status == status, (operation, generation, answer)
            walk.compare(operation, documented, answer.body)
    meant = dict.fromkeys(DIFFERENCES, False)
    strange = []
    for operation, kind, name in sorted(walk.found):
        listed = [
            each
            for each in DIFFERENCES
            if each.kind == kind and name in each.names and re.fullmatch(each.operations, operation)
        ]
        strange += [] if listed else [(operation, kind, name)]
        meant |= dict.fromkeys(listed, True)
    assert strange == [], "\n".join(map(str, strange))
    assert [each for each, met in meant.items() if not met] == []
    served = {f"{method} {path}" for method, path in _HANDLERS if path.startswith(WALKED)}
    assert {operation for operation, _ in operations()} == served
