"""Deploy on a state that an earlier version wrote; the preview plans no change that wasn't declared."""

import json
import re
import uuid
from contextlib import closing
from pathlib import Path

import pulumi
import pysqlite3.dbapi2 as sqlite
import pytest
from pulumi import automation as auto

import private_integrations as pi
from integrations import contacts
from private_integrations.contract import IntegrationEdit, IntegrationRequest, RotationPolicy, digest_of

STATE = Path(__file__).parent / "states" / "0.1.0.json"
ACCOUNT = "zqgoZYLTCOwbDrNIgNdJ"

WITHOUT_A_PARENT = IntegrationRequest(
    account=ACCOUNT,
    name="CRM sync",
    description="Nightly",
    scopes=["contacts.readonly", "contacts.write"],
    owner_nonce="6f60797762272e6e6491cb2661142172",
)
BELOW_A_COMPONENT = IntegrationRequest(
    account=ACCOUNT,
    name="Mail",
    scopes=["contacts.readonly"],
    owner_nonce="5a0ebd9243c81ee999940ad58aedcb40",
    rotation=RotationPolicy(every_seconds=90 * 86_400, overlap_seconds=7 * 86_400, early_window_seconds=3600),
)
# The logical name, the id in the state, the request that made it, and its generations.
MADE = (
    ("crm", "int_NeUO8BSDWkb3dISJxq5x", WITHOUT_A_PARENT, 2),
    ("mail", "int_lHkNfBhaQ2vIaAN6z1MT", BELOW_A_COMPONENT, 1),
)


def program(crm="crm", trigger="once", **options):
    """Build the program from which the state was deployed."""

    def declare():
        integration = pi.PrivateIntegration(
            crm,
            name="CRM sync",
            description="Nightly",
            scopes=["contacts.readonly", "contacts.write"],
            rotation=pi.Rotation(trigger=trigger),
            opts=pulumi.ResourceOptions(**options),
        )
        shop = pulumi.ComponentResource("test:index:Shop", "shop")
        mail = pi.PrivateIntegration(
            "mail",
            name="Mail",
            scopes=["contacts.readonly"],
            rotation=pi.Rotation(every="90d", overlap="7d"),
            opts=pulumi.ResourceOptions(parent=shop),
        )
        pulumi.export("token", integration.token)
        pulumi.export("ids", [integration.external_id, mail.external_id])

    return declare


@pytest.fixture
def older(stack, service, client):
    """The stack with the older state, and in the service what belongs to it: the same owners, the same tokens."""
    text = STATE.read_text().replace(ACCOUNT, service.account)
    for where in ("dev::{}::", "::{}-dev", "organization/{}/"):
        text = text.replace(where.format("shop"), where.format(stack.project))
    made = {}
    for name, id_, request, generations in MADE:
        owner_nonce = uuid.uuid4().hex
        here = request.model_copy(update={"account": service.account, "owner_nonce": owner_nonce})
        integration = client.declare(f"organization/{stack.project}/dev/{name}", here)
        for generation in range(1, generations + 1):
            client.issue(
                integration.id,
                generation,
                issuer=integration.external_id,
                holding=generation - 1,
                overlap_seconds=7 * 86_400,
                reason="",
            )
        text = text.replace(id_, integration.id).replace(request.owner_nonce, owner_nonce)
        made[name] = integration.id
    stack.stack.import_stack(auto.Deployment(**json.loads(text)))
    for name, token in stack.resources("Token").items():
        outputs, last = token["outputs"], token["outputs"]["generation"]
        values = {last: outputs["token"], last - 1: outputs.get("previous_token")}
        known = {generation: secret["plaintext"].strip('"') for generation, secret in values.items() if secret}
        for owner in give(service, made[name], known):
            # A change has the service forget the token, which it may remember as this integration's.
            client.edit(owner, IntegrationEdit(description=f"without {uuid.uuid4().hex}"))
    stack.program = program()
    return stack


_FORMER_OWNER = """
    SELECT integrations.id FROM tokens JOIN integrations ON integrations.id = tokens.integration_id
    WHERE tokens.digest = ? AND integrations.deleted_at IS NULL
"""


def give(service, integration_id, tokens):
    """Let these generations of an integration have these tokens; return the integrations that had them before."""
    owners = set()
    with closing(sqlite.connect(str(service.data_dir / "private-integrations.db"), isolation_level=None)) as database:
        database.execute("PRAGMA busy_timeout=5000")
        for generation, token in tokens.items():
            # Another test may have given it to an integration before.
            owners |= {owner for (owner,) in database.execute(_FORMER_OWNER, (digest_of(token),))}
            database.execute("UPDATE tokens SET digest = randomblob(32) WHERE digest = ?", (digest_of(token),))
            changed = database.execute(
                "UPDATE tokens SET digest = ? WHERE integration_id = ? AND generation = ?",
                (digest_of(token), integration_id, generation),
            )
            assert changed.rowcount == 1
    return owners


def test_it_previews_as_unchanged_and_keeps_everything(older, service):
    """Without any rename preview, `up` and refresh find nothing to do, and the tokens in the state work."""
    older.preview(expect_no_changes=True)
    older.up(expect_no_changes=True)
    older.refresh(expect_no_changes=True)
    older.preview(expect_no_changes=True)
    path = f"organization/{older.project}/dev"
    assert older.output("ids") == [f"{path}/crm", f"{path}/mail"]
    assert contacts(service, older.output("token")) == 200
    assert re.fullmatch("[0-9a-f]{12}", older.resources("Token")["mail"]["outputs"]["fingerprint"])


def test_a_rotation_shows_its_own_inputs_only(older, service):
    """The first rotation after the update of this package shows no input that the update brought."""
    older.program = program(trigger="again")
    preview = older.preview()
    assert preview.changes == {"Token crm": "update"}
    [shown] = re.findall(r"Token crm update \[diff: (.*?)\]", preview.text)
    assert set(re.split("[~,]", shown)) == {"", "generation", "rotation"}
    before = older.resources("Token")["crm"]["outputs"]["token"]["plaintext"].strip('"')
    older.up()
    assert older.resources("Token")["crm"]["outputs"]["generation"] == 3
    assert contacts(service, before) == contacts(service, older.output("token")) == 200


def test_it_is_renamed_and_replaced(older, service, client):
    """An alias and a new name of the stack carry it on; replaced after that, nothing of it is stuck."""
    older.up(program("sync", aliases=[pulumi.Alias(name="crm")]), expect_no_changes=True)
    older.rename("prod")
    older.program = program("sync")
    older.preview(expect_no_changes=True)
    before = older.output("token")
    targets = [entry["urn"] for entry in older.resources("PrivateIntegration").values()]
    previewed = older.preview(replace=targets).changes
    assert set(previewed) == {f"{kind} {name}" for kind in ("PrivateIntegration", "Token") for name in ("sync", "mail")}
    older.up(replace=targets)
    older.preview(expect_no_changes=True)
    path = f"organization/{older.project}/prod"
    assert older.output("ids") == [f"{path}/sync", f"{path}/test:index:Shop::mail"]
    assert (contacts(service, before), contacts(service, older.output("token"))) == (401, 200)


def test_the_second_half_of_a_rename_is_named_for_it_too(older):
    """Only the integration was renamed in the state: refused, with the command that renames its Token."""
    integration, token = (older.resources(kind)["crm"]["urn"] for kind in ("PrivateIntegration", "Token"))
    older.rename_in_state(integration, "sync")
    older.program = program("sync")
    with pytest.raises(auto.CommandError) as refused:
        older.preview()
    assert f"run: pulumi state rename '{token}' sync " in " ".join(str(refused.value).split())
    older.rename_in_state(token, "sync")
    older.preview(expect_no_changes=True)


def test_it_is_destroyed(older, service):
    """Its Tokens have no account in the state: the service is asked for it, and all that is left is deleted."""
    token = older.resources("Token")["crm"]["outputs"]["token"]["plaintext"].strip('"')
    assert contacts(service, token) == 200
    assert set(older.destroy().changes.values()) == {"delete"}
    assert contacts(service, token) == 401
