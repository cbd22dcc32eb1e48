"""What others changed since the last run: found by comparing three sides, and said in words."""

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from pulumi.output import Unknown

from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import PROBLEM_PREFIX, AuditEntry, Integration, RotationPolicy
from private_integrations.deployment.batched_reads import Deployment
from private_integrations.deployment.drift import changed_since, in_words, unlike
from private_integrations.errors import NotFound
from private_integrations_service.tokens.policy_defaults import POLICY_DEFAULTS, reported

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
STATE = {"name": "CRM", "scopes": ["contacts.readonly"], "rotation": {"every": "90d"}}
QUARTERLY = RotationPolicy(every_seconds=90 * 86_400, overlap_seconds=7 * 86_400, early_window_seconds=3600)


def live(**changes):
    """What the service has: what the last run left there, but for these changes."""
    as_left = {"name": "CRM", "description": "", "scopes": ["contacts.readonly"], "rotation": QUARTERLY}
    rest = {"id": "int_1", "account": "a", "external_id": "o/p/s/crm", "owner_nonce": "c", "version": 2}
    return reported(Integration(**rest, last_generation=1, created_at=NOON, updated_at=NOON, **as_left | changes))


def edit(*changed, actor="person/ada@example.com/usr_1", at="2026-11-21T09:30:00.000Z", agent="Firefox"):
    """A row of the audit log."""
    detail = {"changed": list(changed)}
    row = {"account": "a", "sequence": 1, "previous": "", "hash": "", "address": "", "integration_id": "int_1"}
    return AuditEntry(**row, at=at, actor=actor, agent=agent, action="edit", detail=detail)


@pytest.mark.parametrize(
    ("there", "declared", "fields"),
    [
        ({}, {}, []),
        ({"name": "By hand"}, {}, ["name"]),
        ({"name": "By hand"}, {"name": "By hand"}, []),
        ({"name": "By hand"}, {"name": "Mine"}, ["name"]),
        ({}, {"name": "Mine"}, []),
        ({"description": "Why"}, {}, ["description"]),
        ({"description": "Why"}, {"description": "Why"}, []),
        ({"scopes": ["contacts.write"]}, {}, ["scopes"]),
        ({"scopes": ["contacts.write"]}, {"scopes": Unknown()}, ["scopes"]),
        ({"scopes": ["contacts.write"]}, {"ignored_changes": ["scopes"]}, []),
        ({"rotation": None}, {}, ["rotation"]),
        ({"rotation": None}, {"rotation": None}, []),
        ({"rotation": None}, {"rotation": {"every": Unknown()}}, ["rotation"]),
        ({}, {"rotation": {"every": "90d", "overlap": "7d"}}, []),
    ],
)
def test_what_differs_from_both_was_changed_elsewhere(there, declared, fields):
    """What the service has otherwise than the last run left it and the program declares it; and nothing else."""
    assert changed_since(STATE, STATE | declared, live(**there), lambda: POLICY_DEFAULTS) == fields


def test_only_what_the_service_lacks_is_to_be_done():
    """An update is needed where the service differs from the declaration, whatever the state says."""
    assert unlike(live(name="By hand"), STATE | {"name": "By hand"}, lambda: POLICY_DEFAULTS) == []
    assert unlike(live(), STATE | {"name": "Mine", "scopes": ["contacts.write"]}, lambda: POLICY_DEFAULTS) == [
        "name",
        "scopes",
    ]
    assert unlike(live(), STATE | {"rotation": {"every": "90d", "overlap": "7d"}}, lambda: POLICY_DEFAULTS) == []


def test_a_rule_that_is_none_any_more_is_no_persons_change():
    """A state from when a zone had another name can be read, and says nothing about its rotation."""
    old = STATE | {"rotation": {"schedule": "0 3 * * MON", "timezone": "Mars/Olympus"}}
    assert changed_since(old, STATE | {"rotation": {"every": "30d"}}, live(), lambda: POLICY_DEFAULTS) == []


@pytest.mark.parametrize(
    ("there", "edits", "words"),
    [
        (
            {"scopes": ["contacts.write", "locations.readonly"]},
            [edit("name"), edit("scopes"), edit("scopes", actor="key/old/key_1")],
            "scopes: person/ada@example.com added contacts.write, locations.readonly and removed contacts.readonly "
            "at 2026-11-21T09:30Z",
        ),
        (
            {"name": "By hand"},
            [edit("name", actor="key/ci/key_1", agent="private-integrations-deployment/1 (shop)")],
            'name: key/ci (a deployment) changed it to "By hand" at 2026-11-21T09:30Z',
        ),
        (
            {"description": "word\n" * 30},
            [],
            'description: somebody changed it to "' + "word " * 11 + 'word…", at the latest at 2026-11-21T12:00Z',
        ),
        (
            {"rotation": None, "name": "X"},
            [edit("name", "rotation", actor="service", at="unreadable")],
            'name: somebody changed it to "X", at the latest at 2026-11-21T12:00Z; '
            "rotation: somebody removed it, at the latest at 2026-11-21T12:00Z",
        ),
        (
            {"rotation": RotationPolicy(every_seconds=86_400, overlap_seconds=0, enabled=False)},
            [edit("rotation", actor="first use")],
            "rotation: first use changed it to every 1d, overlap 0s, paused at 2026-11-21T09:30Z",
        ),
    ],
)
def test_it_is_said_in_words(there, edits, words):
    """Who changed what and when, by the newest row that tells of it; without one, by when at the latest."""
    now = live(**there)
    assert in_words(changed_since(STATE, STATE, now, lambda: POLICY_DEFAULTS), STATE, now, edits) == words


@pytest.fixture
def answering():
    """A service that answers everything with one problem."""
    servers = []

    def serve(problem):
        class Answering(BaseHTTPRequestHandler):
            def do_GET(self):
                body = {
                    "type": PROBLEM_PREFIX + problem,
                    "title": "Not Found",
                    "status": 404,
                    "detail": "there is none",
                }
                content = json.dumps(body).encode()
                self.send_response(404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return Deployment(Client(ServiceConnection(f"http://127.0.0.1:{server.server_port}", "pmk-")))

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_service_of_an_older_release_keeps_no_such_log(answering):
    """It has no such route, which is no error; another refusal is one."""
    assert answering("route-unknown").edits_of("int_1") == []
    with pytest.raises(NotFound, match="there is none"):
        answering("integration-unknown").edits_of("int_1")
