"""The OpenAPI document is what the service does: schemathesis finds no 5xx and no answer that isn't documented."""

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from private_integrations.contract import new_sealing_key
from services import new_service

DOCUMENT = "/private-integrations/v1/openapi.json"
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


def test_no_request_makes_the_service_fail(under_test, tmp_path):
    """Whatever fits the document, or nearly fits it, is answered as the document says, and never with a 5xx."""
    # A service of its own: accounts with such names would be in other tests' way.
    sealing = {"PRIVATE_INTEGRATIONS_SEALING_KEYS": new_sealing_key()}
    with new_service(under_test, tmp_path / "data", **sealing) as service:
        # What a value does before it is stored is the same on each engine.
        ask_everything(service, examples=10 if under_test.name == "sqlite" else 3)


def ask_everything(service, examples):
    """Every operation of the document, with values that fit and values that don't."""
    document = schemathesis.openapi.from_url(service.url + DOCUMENT)
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) == 51
    for operation in operations:
        for mode in schemathesis.GenerationMode:
            ask_at_random(operation.as_strategy(generation_mode=mode), service.key, examples)


def ask_at_random(cases, key, examples):
    """Send some cases of a strategy."""

    @given(case=cases)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def ask(case):
        case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)

    ask()
