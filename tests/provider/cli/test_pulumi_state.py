"""Read exported stacks, and write the import file that brings integrations back."""

import json

import pytest

from private_integrations.cli.pulumi_state import import_file, integration_ids, read_export
from private_integrations.errors import InvalidRequest

PLAIN = "4dabf18193072939515e22adb298388d"
URN = "urn:pulumi:dev::crm::"
KIND = "pulumi-python:dynamic/private_integrations:"


def resource(kind, name, parent=None, **more):
    """One resource of an export, as the engine writes it."""
    return {"type": kind, "urn": f"{URN}{kind}::{name}", **({"parent": parent} if parent else {}), **more}


def integration(name, number, parent=None, **more):
    """One integration of an export."""
    return resource(f"{KIND}PrivateIntegration", name, parent, custom=True, id=f"int_{number}", **more)


STACK = resource("pulumi:pulumi:Stack", "crm-dev")


def test_only_managed_integrations_count():
    """One that a stack looks up, or has replaced and not yet deleted, is not held by it."""
    resources = [
        STACK,
        integration("a", 1),
        integration("looked-up", 2, external=True),
        integration("replaced", 3, delete=True),
        resource("aws:s3:Bucket", "b", custom=True, id="int_4"),
    ]
    assert integration_ids(resources) == {"int_1"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"deployment": null}',
        '{"deployment": []}',
        '{"deployment": {"resources": 5}}',
        '{"deployment": {"resources": [5]}}',
        '{"deployment": {"resources": [{"type": "a"}]}}',
        "[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_export_is_refused_in_one_line(text):
    """For any wrong content, the error names the file and says how to write a right one."""
    with pytest.raises(
        InvalidRequest, match=r"^old\.json is not an exported stack; write one with: pulumi stack export"
    ):
        read_export(text, "old.json")


def test_an_empty_stack_is_an_export():
    """The export of a stack without resources has no list of them."""
    assert read_export(json.dumps({"version": 3, "deployment": {"manifest": {}}}), "old.json") == []


def test_encrypted_secrets_are_refused():
    """Another stack can't decrypt them, and an import would store the ciphertext as the token."""
    secret = {PLAIN: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:abc"}
    with pytest.raises(InvalidRequest, match="pulumi stack export --show-secrets"):
        import_file([STACK, integration("a", 1, inputs={}, outputs={"deep": [{"token": secret}]})])


def test_a_stack_without_integrations_is_refused():
    """There is nothing to bring back, and the error says so."""
    with pytest.raises(InvalidRequest, match="no private integration"):
        import_file([STACK])
