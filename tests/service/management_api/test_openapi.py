"""The OpenAPI document is what the service does: schemathesis finds no 5xx and no answer that isn't documented."""

from contextlib import ExitStack

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from engines import ENGINES, engine_under_test
from private_integrations.contract import new_sealing_key
from services import new_service

DOCUMENT = "/private-integrations/v1/openapi.json"
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


def test_no_request_makes_the_service_fail(postgres, tmp_path):
    """Whatever fits the document, or nearly fits it, is answered as the document says, and never with a 5xx."""
    sealing = {"PRIVATE_INTEGRATIONS_SEALING_KEYS": new_sealing_key()}
    with ExitStack() as running:
        # Services of their own: accounts with such names would be in other tests' way.
        services = [
            running.enter_context(new_service(engine_under_test(name, postgres), tmp_path / name, **sealing))
            for name in ENGINES
        ]
        ask_everything(services)


def ask_everything(services):
    """Every operation of the document, with values that fit and values that don't."""
    document = schemathesis.openapi.from_url(services[0].url + DOCUMENT)
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) == 51
    for operation in operations:
        for mode in schemathesis.GenerationMode:
            ask_at_random(operation.as_strategy(generation_mode=mode), services)


def ask_at_random(cases, services):
    """Send ten cases of a strategy to each service: making a case takes longer than asking."""

    @given(case=cases)
    @settings(max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def ask(case):
        for service in services:
            headers = {"Authorization": f"Bearer {service.key}"}
            case.call_and_validate(base_url=service.url, headers=headers, checks=CHECKS)

    ask()
