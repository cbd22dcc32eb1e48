"""The OpenAPI document is what the service does: schemathesis finds no 5xx and no answer that isn't documented."""

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

DOCUMENT = "/private-integrations/v1/openapi.json"
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]


def test_no_request_makes_the_service_fail(service):
    """Whatever fits the document, or nearly fits it, is answered as the document says, and never with a 5xx."""
    document = schemathesis.openapi.from_url(service.url + DOCUMENT)
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) == 17
    for operation in operations:
        for mode in schemathesis.GenerationMode:
            ask_at_random(operation.as_strategy(generation_mode=mode), service.key)


def ask_at_random(cases, key):
    """Send thirty cases of a strategy."""

    @given(case=cases)
    @settings(max_examples=30, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def ask(case):
        case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, checks=CHECKS)

    ask()
