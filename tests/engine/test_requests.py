"""How often the service is asked: what belongs to one stack is read together."""

import pulumi
import pytest

import private_integrations as pi

COUNT = 12


@pytest.fixture
def environment(service, proxy):
    """The provider talks to the service through the proxy, which notes its requests."""
    return {**service.environment, "PRIVATE_INTEGRATIONS_URL": proxy.url}


def many() -> None:
    """A dozen integrations."""
    for number in range(COUNT):
        crm = pi.PrivateIntegration(f"crm-{number}", scopes=["contacts.readonly"])
        pulumi.export(f"token-{number}", crm.token)


def asked(proxy) -> list[str]:
    """The requests since the last look: method and first part of the path."""
    seen = [request.partition("?")[0].replace("/private-integrations/v1", "") for request in proxy.requests]
    proxy.requests.clear()
    return sorted(" ".join([seen_.split(" ")[0], seen_.split("/")[1]]) for seen_ in seen)


def test_two_requests_for_all_of_a_stack(stack, proxy):
    """An `up` of new ones looks for them at once, and asks for each twice; later commands read all at once."""
    stack.up(many)
    assert asked(proxy) == ["GET integrations", *["PUT integrations"] * 2 * COUNT]
    stack.preview(expect_no_changes=True)
    assert asked(proxy) == ["GET integrations", "GET tokens"]
    stack.up()
    assert asked(proxy) == ["GET integrations", "GET tokens"]
    stack.refresh()
    assert asked(proxy) == ["GET integrations", "GET tokens"]
    stack.destroy()
    assert asked(proxy) == [*["DELETE integrations"] * COUNT, "GET whoami"]
