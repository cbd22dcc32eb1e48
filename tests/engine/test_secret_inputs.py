"""A refusal never repeats an input, which may be a secret, and is one line without a traceback."""

import pulumi
import pytest
from pulumi import automation as auto
from pulumi.runtime import rpc

import private_integrations as pi
from integrations import declare
from private_integrations.provider import IntegrationProvider, TokenProvider
from provider_process import ProviderProcess

CANARY = "canary-x7q9"
TOKEN = "pit-" + "01234567-89ab-cdef-0123-456789abcdef"
HIDDEN = (CANARY, CANARY.upper(), TOKEN, "4711")

WRONG = (
    CANARY,
    f"  {CANARY}\n",
    f"{CANARY}\x1b[31m\x00",
    f"\u202e{CANARY}",
    CANARY * 1000,
    CANARY.upper(),
    f"contacts.readonly{CANARY}",
    f"int_{CANARY} ",
    f"{CANARY} 3 * * *",
    TOKEN,
    "4711",
    4711,
    4711.5,
    True,
    [],
    [CANARY],
    [None, CANARY, 4711],
    [[CANARY]],
    ["contacts.readonly", {CANARY: CANARY}],
    {},
    {CANARY: CANARY},
    {"every": CANARY},
    {"every": "4711"},
    {"every": 4711, "overlap": [CANARY]},
    {"schedule": f"{CANARY} 3 * * *", "timezone": CANARY},
    {"schedule": CANARY * 100},
    {"schedule": "0 3 * * *", "timezone": CANARY},
    {"every": "90d", "overlap": CANARY, "trigger": CANARY},
    {"every": "90d", "early_window": {CANARY: None}, "enabled": CANARY},
    {"enabled": 4711},
    rpc.UNKNOWN,
    [rpc.UNKNOWN, CANARY],
    {"every": rpc.UNKNOWN, "overlap": CANARY},
)

INTEGRATION = {"name": "CRM", "scopes": ["contacts.readonly"], "external_id": "organization/canaries/dev/crm"}
OWN = {"integration_id": "int_00000000000000000000", "external_id": "organization/canaries/dev/crm"}
INPUTS = [
    *((IntegrationProvider, INTEGRATION, field) for field in ("name", "description", "scopes", "account", "rotation")),
    *((IntegrationProvider, INTEGRATION, field) for field in ("adopt", "external_id")),
    *((TokenProvider, OWN, field) for field in ("integration_id", "external_id", "rotation", "adopt", "adopt_token")),
    *((TokenProvider, OWN, field) for field in ("generation", "rotation_reason")),
]


@pytest.fixture(scope="module")
def process(service):
    """A provider's process."""
    with ProviderProcess(service.environment) as started:
        yield started


@pytest.mark.parametrize(
    ("provider", "inputs", "field"), INPUTS, ids=[f"{provider.__name__}-{field}" for provider, _, field in INPUTS]
)
def test_no_refusal_repeats_an_input(process, service, provider, inputs, field):
    """Any value in any input, of a new resource and of an existing one: every fault is one line and keeps it secret."""
    refused = 0
    for wrong in WRONG:
        for olds in ({}, {**inputs, "account": service.account, "generation": 1, "rotation_reason": "created"}):
            faults = process.check(provider, {**inputs, field: wrong}, olds)
            refused += bool(faults)
            for fault in faults:
                assert len(fault.splitlines()) == 1, (field, wrong, fault)
                assert not [hidden for hidden in HIDDEN if hidden in fault], (field, wrong, fault)
                assert "Traceback" not in fault
    assert refused >= len(WRONG) / 2


@pytest.mark.parametrize(
    "inputs",
    [
        {"name": CANARY * 100},
        {"description": f"{CANARY}\x00"},
        {"scopes": [CANARY]},
        {"account": CANARY},
        {"adopt": CANARY},
        {"adopt": "int_00000000000000000000", "adopt_token": CANARY},
        {"rotation": {"every": "90d", "overlap": CANARY}},
    ],
    ids=lambda inputs: "-".join(inputs),
)
def test_the_engine_prints_no_secret_input(stack, inputs):
    """The engine shows only the sentence of a refused secret, because beside a field it would print the value."""

    def secret(value):
        return (
            {part: pulumi.Output.secret(v) for part, v in value.items()}
            if isinstance(value, dict)
            else (pulumi.Output.secret(value))
        )

    def program():
        given = {"scopes": ["contacts.readonly"], **{field: secret(value) for field, value in inputs.items()}}
        pi.PrivateIntegration("crm", **given)

    stack.program = program
    with pytest.raises(auto.CommandError, match="resource 'crm' has a problem") as caught:
        stack.preview(diff=True)
    assert CANARY not in str(caught.value)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"rotation": CANARY}, r'rotation must be pi\.Rotation\(\.\.\.\), as in pi\.Rotation\(every="90d"\), not str'),
        ({"rotation": {CANARY: "90d"}}, r"rotation must be pi\.Rotation\(\.\.\.\) or a dict with parts of it: every, "),
        ({"name": {1: CANARY}}, "name can't be or contain a value of type dict"),
        ({"scopes": [object()]}, "scopes can't be or contain a value of type object"),
        ({"description": "\ud800" + CANARY}, "description has characters that are no Unicode text"),
        ({"adopt_token": CANARY.encode()}, "adopt_token can't be or contain a value of type bytes"),
    ],
)
def test_an_argument_that_can_not_travel(stack, inputs, sentence):
    """An argument that Pulumi can't send to the provider gives one line with its type, not a traceback."""
    stack.program = declare(**inputs)
    with pytest.raises(auto.CommandError, match=sentence) as caught:
        stack.preview()
    assert CANARY not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_secret_inputs_that_are_right_stay_secret(stack):
    """Name and description may be secrets; neither previews nor the state show them, also through an edit."""
    for description in (f"{CANARY} one", f"{CANARY} two"):

        def program(description=description):
            secrets = {"name": pulumi.Output.secret(CANARY), "description": pulumi.Output.secret(description)}
            pi.PrivateIntegration("crm", scopes={"contacts.readonly"}, **secrets)

        stack.program = program
        assert CANARY not in stack.preview(diff=True).text
        assert CANARY not in stack.up().text
    assert CANARY not in stack.refresh().text
    assert CANARY not in stack.everything_written()
