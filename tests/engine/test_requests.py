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


def rotated() -> None:
    """The same, edited and to be rotated."""
    for number in range(COUNT):
        rotation = pi.Rotation(trigger="now")
        pi.PrivateIntegration(f"crm-{number}", scopes=["contacts.write"], rotation=rotation)


def asked(proxy) -> list[str]:
    """The requests since the last look: method and first part of the path."""
    seen = [request.partition("?")[0].replace("/private-integrations/v1", "") for request in proxy.requests]
    proxy.requests.clear()
    return sorted(" ".join([seen_.split(" ")[0], seen_.split("/")[1]]) for seen_ in seen)


def test_two_requests_for_all_of_a_stack(stack, proxy):
    """An `up` of new integrations asks for each twice; all else is read at once, however many there are."""
    stack.program = many
    new = ["GET integrations", "GET rules", "GET whoami"]
    stack.preview()
    assert asked(proxy) == new
    stack.up()
    assert asked(proxy) == [*new, *["PUT integrations"] * 2 * COUNT]
    stack.preview(expect_no_changes=True)
    assert asked(proxy) == ["GET integrations", "GET tokens"]
    stack.up()
    assert asked(proxy) == ["GET integrations", "GET tokens"]
    stack.refresh()
    assert asked(proxy) == ["GET integrations", "GET tokens"]
    stack.program = rotated
    stack.preview()
    assert asked(proxy) == ["GET integrations", "GET rules", "GET tokens", "GET whoami"]
    stack.destroy()
    assert asked(proxy) == [*["DELETE integrations"] * COUNT, "GET whoami"]
