"""docs/rotation.md is true: its programs run, and its previews are the engine's own."""

import re
import textwrap
from datetime import timedelta

import pulumi
import pytest
from pulumi import automation as auto

import private_integrations as pi
from consumer import Consumer
from integrations import contacts
from private_integrations.deployment.declaration import normalize_token
from private_integrations_service.tokens.policy_defaults import POLICY_DEFAULTS
from throwaway import REPOSITORY, age

GUIDE = REPOSITORY / "docs" / "rotation.md"
BLOCK = re.compile(r"<!-- (?P<kind>\w+): (?P<name>.+?) -->\n```\w*\n(?P<text>.*?)(?=```)", re.DOTALL)

SITUATIONS = ("due", "early", "incident", "interrupted", "elsewhere", "revoked", "cancelled")
WITH_CONSUMER = ("due", "incident", "cancelled")  # in the other ones it would only repeat itself
RECIPES = ("every 90 days", "first monday", "incident", "pause", "freeze")

EVERY_90_DAYS = pi.Rotation(every="90d", overlap="7d")


def blocks(kind):
    """The guide's marked blocks of a kind, by name."""
    return {block["name"]: block["text"] for block in BLOCK.finditer(GUIDE.read_text()) if block["kind"] == kind}


def recipe(name):
    """A program of the guide."""
    code = compile(blocks("recipe")[name], f"{GUIDE.name}, {name}", "exec")
    return lambda: exec(code, {"__name__": "__main__"})


def held_token(stack):
    """The value of the one token that the state holds."""
    return stack.resource("Token")["outputs"]["token"]["plaintext"].strip('"')


def test_every_program_of_the_guide_is_run():
    """No program stands in the guide that the test of the recipes doesn't know."""
    assert tuple(blocks("recipe")) == RECIPES
    assert GUIDE.read_text().count("```python") == len(RECIPES)


@pytest.mark.parametrize(
    "declared",
    [
        {"every": "90d", "overlap": "90d"},
        {"schedule": "0 3 * * *", "timezone": "Europe/Berlin", "overlap": "7d"},
        {"schedule": "0 0 30 2 *"},
        {"schedule": "0 3 * * *", "timezone": "Europe/Nowhere"},
    ],
)
def test_the_refusals(declared):
    """The guide quotes what a preview says of an impossible rotation."""
    _, [refusal] = normalize_token(
        {"external_id": "organization/shop/dev/crm", "rotation": declared}, lambda: POLICY_DEFAULTS
    )
    assert f"\n{refusal}\n" in GUIDE.read_text()


def test_the_recipes(stack, service, client, viewer_key):
    """Each recipe of the guide, one after the other on one stack, does what is said of it."""
    stack.up(recipe("every 90 days"))
    leaked, integration_id = held_token(stack), stack.resource("PrivateIntegration")["id"]
    assert contacts(service, leaked) == 200

    age(service, integration_id, timedelta(days=91))
    with pytest.raises(auto.CommandError, match="no changes were expected"):
        stack.preview(expect_no_changes=True)
    stack.program = recipe("pause")
    assert stack.preview().changes == {"PrivateIntegration crm-sync": "update"}
    stack.program = recipe("freeze")
    stack.preview(expect_no_changes=True)

    stack.up(recipe("incident"))
    old = held_token(stack)
    assert (contacts(service, leaked), contacts(service, old)) == (401, 200)

    assert stack.up(recipe("first monday")).changes == {"PrivateIntegration crm-sync": "update"}
    age(service, integration_id, timedelta(days=36))
    assert stack.up().changes == {"Token crm-sync": "update"}
    new = held_token(stack)
    assert (contacts(service, old), contacts(service, new)) == (200, 200)

    client.cancel(integration_id, 3)
    assert (contacts(service, old), contacts(service, new)) == (200, 401)
    assert stack.up().changes == {"Token crm-sync": "update"}
    assert held_token(stack) == old
    stack.up(expect_no_changes=True)

    age(service, integration_id, timedelta(days=8))
    stack.up()
    newest = held_token(stack)
    assert ", held until 20" in stack.resource("Token")["inputs"]["rotation_reason"]
    assert (contacts(service, old), contacts(service, newest)) == (200, 200)
    client.expire(integration_id, [2])
    assert (contacts(service, old), contacts(service, newest)) == (401, 200)
    stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_KEY"] = viewer_key
    stack.preview(expect_no_changes=True)
    stack.stack.workspace.env_vars["PRIVATE_INTEGRATIONS_KEY"] = service.key


def test_the_transcripts(stack, service, client, request):
    """The previews in the guide are what the engine prints; `--write-transcripts` writes them anew."""
    preview = previewed_situations(stack, service, client)
    printed = {name: changed_lines(preview, name) for name in SITUATIONS}
    if request.config.getoption("--write-transcripts"):
        GUIDE.write_text(BLOCK.sub(lambda block: rewritten(block, printed), GUIDE.read_text()))
    assert blocks("transcript") == printed


def previewed_situations(stack, service, client):
    """One preview of a stack in which every situation has come about, each with an integration of its own."""
    stack.up(situations())
    made = stack.output("made")
    for integration in made.values():
        assert contacts(service, integration["token"]) == 200
    ids = {name: integration["id"] for name, integration in made.items()}

    age(service, ids["cancelled"], timedelta(days=91))
    stack.up()
    client.cancel(ids["cancelled"], 2)

    age(service, ids["due"], timedelta(days=91))
    age(service, ids["early"], timedelta(days=90, minutes=-30))
    client.expire(ids["revoked"], [1])
    # What an `up` leaves behind that is killed at the worst moment; test_crash.py kills one.
    ours = f"organization/{stack.project}/dev/interrupted"
    client.issue(ids["interrupted"], 2, issuer=ours, holding=1, overlap_seconds=7 * 86_400, reason="")
    theirs = client.issue(ids["elsewhere"], 2, issuer="cli/anna", holding=None, overlap_seconds=86_400, reason="")
    assert contacts(service, theirs.token) == 200

    stack.program = situations(incident=pi.Rotation(every="90d", overlap="0s", trigger="token in a build log"))
    return stack.preview(diff=True).text


def situations(**rotations):
    """A program with an integration for every situation; those named have another policy."""

    def program():
        made = {}
        for name in SITUATIONS:
            rotation = rotations.get(name, EVERY_90_DAYS)
            crm = pi.PrivateIntegration(name, scopes=["contacts.readonly"], rotation=rotation)
            if name in WITH_CONSUMER:
                Consumer(f"{name}-consumer", crm.token)
            made[name] = {"id": crm.id, "token": crm.token}
        pulumi.export("made", made)

    return program


def changed_lines(preview, name):
    """What a preview says of one situation: the headings and changed lines of its resources, at fixed instants."""
    resources = re.split(r"^(?= *[~+-] \S+: \(\w+\)$)", preview.partition("--outputs:--")[0], flags=re.MULTILINE)
    of_it = [each for each in resources if re.search(rf"::{name}(-consumer)?\]$", each, re.MULTILINE)]
    kept = [line for each in of_it for line in without_unchanged(textwrap.dedent(each).splitlines())]
    instants = iter(("2026-11-20T03:00Z", "2026-11-28T03:00Z"))
    return re.sub(r"20[\d-]{8}T[\d:]{5,8}Z", lambda _: next(instants), "".join(f"{line}\n" for line in kept))


def without_unchanged(lines):
    """The lines that are marked as changed, with the ends of what they open."""
    opened = []
    for line in lines:
        marked = line.lstrip().startswith(("~ ", "+ ", "- "))
        if line.endswith(("{", "[")):
            opened.append(marked)
        if marked or (line.strip() in ("}", "]") and opened.pop()):
            yield line


def rewritten(block, printed):
    """A block of the guide with what the engine prints today; recipes stay as they are."""
    if block["kind"] != "transcript":
        return block[0]
    return block[0].removesuffix(block["text"]) + printed[block["name"]]
