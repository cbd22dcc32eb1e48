"""Resources that can't be deleted stay in the state with their tokens; invisible ones don't count as deleted."""

import pytest
from pulumi import automation as auto

from integrations import contacts, declare
from private_integrations.contract import KeyRequest, digest_of, new_management_key

UNUSED = "http://127.0.0.1:9"


@pytest.fixture
def key_of(client, service):
    """Make a management key of this role and these accounts, by default the demo account; its value and its id."""

    def make(role="deployer", accounts=None, **more):
        key = new_management_key()
        reached = [service.account] if accounts is None else accounts
        request = KeyRequest(role=role, accounts=reached, digest=digest_of(key).hex(), **more)
        return key, client.make_key(f"{role}-{key[4:12]}", request).id

    return make


def held(stack):
    """List the ids, inputs and outputs that the state has of the integration and its token."""
    return [
        (resource["id"], resource["inputs"], resource["outputs"])
        for resource in (stack.resource("PrivateIntegration"), stack.resource("Token"))
    ]


def use(stack, **environment):
    """The stack's environment from now on."""
    stack.stack.workspace.env_vars.update(environment)


def refused(stack, command="destroy"):
    """Run a command that must fail, and give the last thing that it said."""
    with pytest.raises(auto.CommandError) as caught:
        getattr(stack, command)()
    text = str(caught.value)
    assert "Traceback" not in text
    return text


def test_a_destroy_that_fails_keeps_the_token_in_the_state(stack, service, client, key_of, accounts):
    """With the service down, or a key that may not delete here, the state keeps all and no token is issued anew."""
    stack.up(declare())
    before, token = held(stack), stack.output("token")
    revoked, revoked_id = key_of()
    client.revoke_key(revoked_id)
    viewer, elsewhere = key_of("viewer")[0], key_of(accounts=[accounts["agency"]])[0]
    for environment, reason in (
        ({"PRIVATE_INTEGRATIONS_URL": UNUSED}, f"{UNUSED} does not answer"),
        ({"PRIVATE_INTEGRATIONS_KEY": viewer}, "is a viewer's and can't delete int_"),
        ({"PRIVATE_INTEGRATIONS_KEY": revoked}, "has expired or was revoked"),
        ({"PRIVATE_INTEGRATIONS_KEY": elsewhere}, f"does not reach account {service.account}, where int_"),
    ):
        use(stack, **environment)
        assert reason in refused(stack)
        assert held(stack) == before
        use(stack, **stack.environment)
    assert stack.up(declare()).changes == {"Consumer consumer": "create"}
    assert stack.output("token") == token
    assert contacts(service, token) == 200
    assert stack.destroy().changes["Token crm"] == "delete"
    assert contacts(service, token) == 401


def test_removing_it_from_the_program_fails_in_the_same_way(stack, service, key_of):
    """An `up` that would delete, with a key that may not, keeps integration and token in the state."""
    stack.up(declare())
    before = held(stack)
    use(stack, PRIVATE_INTEGRATIONS_KEY=key_of("viewer")[0])
    stack.program = lambda: None
    assert "can't delete int_" in refused(stack, "up")
    assert held(stack) == before


def test_a_refresh_does_not_take_what_a_key_cannot_see_for_gone(stack, service, key_of, accounts):
    """A key of another account's changes nothing in the state: its refresh and preview say which account is missing."""
    stack.up(declare())
    before = held(stack)
    use(stack, PRIVATE_INTEGRATIONS_KEY=key_of(accounts=[accounts["agency"]])[0])
    for command in ("refresh", "preview"):
        assert f"does not reach account {service.account}, where " in refused(stack, command)
        assert held(stack) == before


def test_what_is_gone_is_deleted_by_a_key_that_may(stack, client, key_of):
    """A deployer's key can remove an integration that was deleted elsewhere from the state, with its token."""
    stack.up(declare())
    client.delete(stack.output("id"))
    use(stack, PRIVATE_INTEGRATIONS_KEY=key_of()[0])
    assert stack.destroy().changes["Token crm"] == "delete"


def test_the_key_is_asked_about_once_in_a_destroy(stack, service, proxy):
    """All tokens of a destroy ask together whether the key may delete."""
    import private_integrations as pi

    def several():
        for number in range(4):
            pi.PrivateIntegration(f"crm-{number}", scopes=["contacts.readonly"])

    stack.up(several)
    use(stack, PRIVATE_INTEGRATIONS_URL=proxy.url)
    stack.destroy()
    assert [request.partition("?")[0].split("/")[-1] for request in proxy.requests if "GET" in request] == ["whoami"]
