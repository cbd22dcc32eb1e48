"""A preview never promises what the `up` refuses, and refuses nothing that the `up` would do."""

import pulumi
import pytest
from pulumi import automation as auto

import private_integrations as pi
from forked import running_service
from integrations import contacts, declare
from private_integrations.contract import (
    IntegrationEdit,
    IntegrationRequest,
    KeyRequest,
    digest_of,
    new_management_key,
)

READ = ["contacts.readonly"]


@pytest.fixture
def both_refuse(stack):
    """Preview and `up` the program, which must fail with one line and the same sentence; give that of the preview."""

    def refuse(program, sentence):
        stack.program = program
        for command in (stack.preview, stack.up):
            with pytest.raises(auto.CommandError, match=sentence) as caught:
                command()
            assert "Traceback" not in str(caught.value)

    return refuse


def test_a_first_deployment_into_the_wrong_account(stack, both_refuse, accounts, service):
    """An unknown account, and scopes of the other class, are refused before anything is made."""
    both_refuse(declare(account="unknown"), r"there is no account of this id that management key \w+ reaches: \w+ \(.*")
    both_refuse(
        declare(account=accounts["agency"]), r"scope contacts\.readonly is for sub-accounts only, not for agencies"
    )


def test_a_key_that_does_not_reach_the_account(stack, both_refuse, client, accounts, service):
    """For a deployer of another account there is none; a key that was made a viewer's only previews."""
    key = new_management_key()
    request = KeyRequest(role="deployer", accounts=[accounts["agency"]], digest=digest_of(key).hex())
    client.make_key(stack.project, request)
    stack.up(declare())
    stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_KEY"] = key
    both_refuse(declare(scopes=["contacts.write"]), f"management key {stack.project} does not reach account")
    stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_KEY"] = service.key


def test_a_taken_external_id(stack, both_refuse, client, service):
    """An id that another integration has is refused with what to find out first; remains of an `up` are replaced."""
    held = IntegrationRequest(account=service.account, name="Held", scopes=READ, owner_nonce="another")
    external_id = f"organization/{stack.project}/dev/crm"
    holder = client.declare(external_id, held)
    stack.program = declare()
    assert stack.preview().changes["PrivateIntegration crm"] == "create"
    client.issue(holder.id, 1, issuer=external_id, holding=None, overlap_seconds=0, reason="")
    both_refuse(declare(), f'{external_id} is {holder.id} since .* to take it over, declare adopt="{holder.id}"')
    stack.up(declare(adopt=holder.id))
    assert stack.output("id") == holder.id


def test_adopting_what_is_not_there(stack, both_refuse, client, accounts):
    """An integration that isn't there, or is another account's, is refused and not named."""
    both_refuse(declare(adopt="int_00000000000000000000"), "the integration to adopt is not in the service")
    there = IntegrationRequest(
        account=accounts["agency"], name="x", scopes=["companies.readonly"], owner_nonce=stack.project
    )
    other = client.declare(f"cli/{stack.project}", there)
    both_refuse(declare(adopt=other.id), "the integration to adopt is in another account than the one declared")


def test_a_rotation_more_often_than_the_service_allows(stack, both_refuse, tmp_path):
    """The service's own minimum is a reason in the preview, of a new integration and of an edited one."""
    with running_service(tmp_path / "strict") as strict:
        stack.stack.workspace.env_vars.update(strict.environment)
        minutely = pi.Rotation(schedule="5-59/5 * * * *", overlap="1m")
        both_refuse(declare(rotation=minutely), r'schedule "5-59/5 .*" in UTC fires after 5m, which is below the servi')
        stack.up(declare())
        often = pi.Rotation(every="59m", overlap="1m")
        both_refuse(declare(rotation=often), "every 59m is below the service's minimum of 1h")
        stack.destroy()


def test_more_live_tokens_than_may_be(stack, both_refuse, client, service):
    """The preview counts the superseded tokens as the service does; a shorter overlap, or none, makes room."""

    def rotated(trigger, overlap="1d"):
        return declare(rotation=pi.Rotation(trigger=trigger, overlap=overlap))

    for trigger in "abcd":
        stack.up(rotated(trigger))
        assert contacts(service, stack.output("token")) == 200
    both_refuse(rotated("e"), "are all alive and at most 3 superseded ones may be; expire one or wait")
    stack.program = rotated("e", "0s")
    assert stack.preview().changes["Token crm"] == "update"
    client.expire(stack.output("id"), [1])
    stack.up(rotated("e"))
    assert stack.output("generation") == 5


def test_a_rotation_that_another_issuer_has_begun(stack, both_refuse, client):
    """The preview refuses a rotation that the `up` would refuse because of another issuer's open rotation."""
    stack.up(declare())
    integration_id = stack.output("id")
    client.issue(integration_id, 2, issuer="cli/anna", holding=1, overlap_seconds=60, reason="", replace_pending=True)
    both_refuse(
        declare(rotation=pi.Rotation(trigger="now")),
        f"{integration_id}: generation 2 was started by cli/anna at .* and is not in use yet",
    )


def test_a_look_up_of_what_is_not_there(stack, client, service, accounts):
    """An unknown id, a deleted one, and one that the key does not reach have one answer, also in the preview."""
    made = [
        client.declare(
            f"cli/{stack.project}-{account}",
            IntegrationRequest(
                account=account, name="x", scopes=["locations.readonly"], owner_nonce=f"{stack.project}-{n}"
            ),
        )
        for n, account in enumerate([service.account, accounts["agency"]])
    ]
    client.delete(made[0].id)
    key = new_management_key()
    request = KeyRequest(role="viewer", accounts=[service.account], digest=digest_of(key).hex())
    client.make_key(stack.project, request)
    stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_KEY"] = key
    for id_ in ("int_00000000000000000000", made[0].id, made[1].id):
        stack.program = lambda id_=id_: pulumi.export("name", pi.PrivateIntegration.get("other", id_).name)
        with pytest.raises(auto.CommandError, match=f"private-integrations: there is no integration {id_}") as caught:
            stack.preview()
        assert "Traceback" not in str(caught.value)


def test_an_edit_of_scopes_is_said_in_words(stack, client):
    """The positional diff of a list reads like a removal; a line says what is added and removed, and nothing twice."""
    stack.up(declare(scopes=["contacts.write", "locations.readonly"]))
    stack.program = declare(scopes=["contacts.readonly", "contacts.write"])
    line = "crm: scopes: + contacts.readonly, - locations.readonly"
    for command in (stack.preview, stack.up):
        assert [found.strip() for found in command().text.splitlines()].count(line) == 1
    assert "scopes:" not in stack.preview(expect_no_changes=True).text
    client.edit(stack.output("id"), IntegrationEdit(scopes=["contacts.write"]))
    assert "scopes:" not in stack.refresh().text


def test_a_rotation_as_a_dict(stack):
    """The parts of a rotation may be given as a dict, and are the same rotation."""
    stack.up(declare(rotation={"every": "90d", "overlap": "2d"}))
    stack.program = declare(rotation=pi.Rotation(every="90d", overlap="2d"))
    stack.preview(expect_no_changes=True)
    stack.program = declare(rotation=pi.Rotation(every="90d", overlap="2d"), description="")
    preview = stack.preview(diff=True, expect_no_changes=True)
    assert "unknown" not in preview.text
