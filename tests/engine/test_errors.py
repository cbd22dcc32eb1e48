"""Every failure a user can cause is one clear line, without a traceback and without a secret."""

import pytest
from pulumi import automation as auto

from integrations import declare
from private_integrations.contract import KeyRequest, digest_of, new_management_key

UNUSED = "http://127.0.0.1:9"


@pytest.fixture
def failure(stack):
    """Run a command that must fail, and give what was printed."""

    def run(command="preview", **environment):
        stack.stack.workspace.env_vars.update(environment)
        with pytest.raises(auto.CommandError) as caught:
            getattr(stack, command)()
        text = str(caught.value)
        assert "Traceback" not in text
        assert 'File "' not in text
        assert "pmk-" not in text
        return text

    return run


def test_wrong_scope_names(stack, failure):
    """A scope that doesn't exist is refused with the likeliest names; a slip for one is shown."""
    stack.program = declare(scopes=["contacts.write", "contact.readonly"])
    assert 'scopes[1]: there is no scope "contact.readonly"; did you mean contacts.readonly' in failure()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"scopes": []}, 'give at least one scope, as in scopes=["contacts.readonly"]'),
        ({"name": " "}, "name must not be blank"),
        ({"account": "not an account"}, "account string should match pattern"),
    ],
)
def test_wrong_values(stack, failure, inputs, message):
    """Values that can't be right are refused in the preview."""
    stack.program = declare(**inputs)
    assert message in failure()


def test_contradicting_rotation(stack, failure):
    """An overlap as long as the period is refused with the arithmetic."""
    import private_integrations as pi

    stack.program = declare(rotation=pi.Rotation(every="90d", overlap="90d"))
    expected = "overlap 90d must be shorter than every 90d, or old tokens would pile up; leave it out for 7d"
    assert expected in failure()


def test_missing_configuration(stack, failure):
    """Without a URL, a key or an account the error says what to set."""
    stack.program = declare()
    assert "PRIVATE_INTEGRATIONS_URL is not set; set it, or run: pulumi config set private-integrations:url" in failure(
        PRIVATE_INTEGRATIONS_URL=""
    )


def test_missing_account(stack, failure):
    """Without an account the error names the three places to give one."""
    stack.program = declare()
    assert "no account is given; give account=, set PRIVATE_INTEGRATIONS_ACCOUNT, or run: pulumi config set" in failure(
        PRIVATE_INTEGRATIONS_ACCOUNT=""
    )


def test_service_down(stack, failure):
    """A service that can't be reached is named by its URL, in the preview of a first deployment too."""
    stack.program = declare()
    text = failure("preview", PRIVATE_INTEGRATIONS_URL=UNUSED)
    assert f"private-integrations: {UNUSED} does not answer (no connection); is the service running?" in text


def test_wrong_key(stack, failure):
    """A key the service doesn't know is refused in the preview, and not shown."""
    stack.program = declare()
    text = failure("preview", PRIVATE_INTEGRATIONS_KEY="pmk-" + "0" * 64)
    assert "private-integrations: this management key is not known here" in text


def test_a_key_without_rights(stack, failure, viewer_key):
    """A viewer's key may not create: a preview, for which it is enough, warns of that, and an `up` says so."""
    stack.program = declare()
    stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_KEY"] = viewer_key
    warning = "warning: management key reader is a viewer's and may only read: an up with it will be refused"
    assert [line.strip() for line in stack.preview().text.splitlines()].count(warning) == 1
    text = failure("up", PRIVATE_INTEGRATIONS_KEY=viewer_key)
    assert "private-integrations: management key reader is a viewer's and may only read" in text


def test_stack_configuration_is_used(stack, service):
    """URL, key and account may come from the stack's configuration; URL and key come from one place."""
    for name in list(stack.stack.workspace.env_vars):
        if name.startswith("PRIVATE_INTEGRATIONS_"):
            stack.stack.workspace.env_vars.pop(name)
    stack.stack.set_config("private-integrations:url", auto.ConfigValue(service.url))
    stack.stack.set_config("private-integrations:adminKey", auto.ConfigValue(service.key, secret=True))
    stack.stack.set_config("private-integrations:account", auto.ConfigValue(service.account))
    stack.up(declare())
    assert stack.output("token").startswith("pit-")
    stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_URL"] = UNUSED
    with pytest.raises(auto.CommandError, match=rf"PRIVATE_INTEGRATIONS_URL \({UNUSED}\) and private-integrations:adm"):
        stack.preview()
    stack.stack.workspace.env_vars |= {"PRIVATE_INTEGRATIONS_URL": service.url, "PRIVATE_INTEGRATIONS_KEY": service.key}


def test_a_key_that_was_replaced_in_the_configuration(stack, service, client):
    """`refresh` uses the configuration of the last `up`: the error says so, and the way that it names works."""
    keys = [new_management_key() for _ in range(2)]
    made = [
        client.make_key(f"{stack.project}-{n}", KeyRequest(role="admin", digest=digest_of(key).hex()))
        for n, key in enumerate(keys)
    ]
    for name in ("URL", "KEY"):
        stack.stack.workspace.env_vars.pop(f"PRIVATE_INTEGRATIONS_{name}")
    stack.stack.set_config("private-integrations:url", auto.ConfigValue(service.url))
    stack.stack.set_config("private-integrations:adminKey", auto.ConfigValue(keys[0], secret=True))
    stack.up(declare())
    stack.stack.set_config("private-integrations:adminKey", auto.ConfigValue(keys[1], secret=True))
    client.revoke_key(made[0].id)
    with pytest.raises(auto.CommandError, match=r"it is from the stack's configuration .* run them with --run-program"):
        stack.refresh()
    assert stack.refresh(run_program=True).changes == {}


def test_an_outage_loses_nothing(stack, failure):
    """With the service away commands fail with one line, the state keeps what it had, and destroy can be repeated."""
    stack.up(declare())

    def kept():
        resources = stack.resource("PrivateIntegration"), stack.resource("Token")
        return [(resource["id"], resource["inputs"], resource["outputs"]) for resource in resources]

    before = kept()
    for command in ("preview", "refresh"):
        assert f"{UNUSED} does not answer (no connection)" in failure(command, PRIVATE_INTEGRATIONS_URL=UNUSED)
    assert kept() == before
    assert f"{UNUSED} does not answer (no connection)" in failure("destroy", PRIVATE_INTEGRATIONS_URL=UNUSED)
    stack.stack.workspace.env_vars.update(stack.environment)
    assert stack.destroy().changes["PrivateIntegration crm"] == "delete"
