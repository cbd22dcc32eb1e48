"""The OpenAPI document is what the service does: schemathesis finds no 5xx and no answer that isn't documented."""

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

DOCUMENT = "/private-integrations/v1/openapi.json"


@pytest.fixture(scope="session")
def document(service):
    """The document as the running service gives it."""
    return schemathesis.openapi.from_url(service.url + DOCUMENT)


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_makes_the_service_fail(case, service):
    """Whatever fits the document, or nearly fits it, is answered as the document says, and never with a 5xx."""
    case.call_and_validate(
        headers={"Authorization": f"Bearer {service.key}"},
        checks=[not_a_server_error, content_type_conformance, response_schema_conformance],
    )
