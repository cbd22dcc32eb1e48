"""Leaked and unused tokens on the command line: a log piped in, and what an account's tokens may be."""

from datetime import UTC, datetime, timedelta

import pytest

from private_integrations.cli.status import IntegrationStatus
from private_integrations.contract import InactiveToken, Integration, TokenReport, TokenState, token_fingerprint
from private_integrations.rotation.policy import EffectivePolicy

T0, DAY = datetime(2026, 8, 22, tzinfo=UTC), timedelta(days=1)
UNKNOWN = "pit-" + "00000000-0000-4000-8000-000000000000"


def test_a_log_is_piped_in(cli):
    """Every token in a text is ended, without a management key; `show` and `rotate`, which repairs it, say why."""
    created = cli.create("Leaked in a log")
    integration, token = created["integration"]["id"], created["token"]
    log = f'{{"line": "\\nAuthorization: Bearer {token}\\n"}}\nGET /?t={token}&u={UNKNOWN} 200\n' + "x" * 5000 + "\xff"
    done = cli("leaked", "--where", f"log of {token}", stdin=log, PRIVATE_INTEGRATIONS_KEY="")
    assert (done.code, done.err) == (
        0,
        "private-integrations: 2 different tokens are in this text, and none works now; 1 did until this moment\n",
    )
    assert done.out.split() == ["FINGERPRINT", token_fingerprint(token), token_fingerprint(UNKNOWN)]
    again = cli("leaked", "--json", stdin=token, PRIVATE_INTEGRATIONS_KEY="")
    assert again.json == {"found": 1, "ended": 0, "fingerprints": [token_fingerprint(token)]}
    assert again.err == "private-integrations: 1 token is in this text, and none works now\n"

    assert cli("show", integration).facts["status"] == ["no token: reported as leaked"]
    rotated = cli("rotate", integration)
    assert rotated.err.splitlines()[-1] == (
        f"private-integrations: generation 1 was ended: reported as leaked; {integration} has a token that works again"
    )
    assert cli("show", integration).facts["status"] == ["not used yet"]


def test_a_text_without_tokens(cli):
    """Nothing is sent, and the exit code says that there was nothing."""
    done = cli("leaked", stdin="pit-of-despair " + UNKNOWN[:-1], PRIVATE_INTEGRATIONS_KEY="")
    assert (done.code, done.out, done.err) == (1, "", "private-integrations: there is no token in this text\n")


def test_a_token_on_a_boundary_of_reads(cli):
    """A token is found wherever a large text is cut for reading."""
    tokens = [UNKNOWN[:-2] + f"{number:02}" for number in range(3)]
    text = "x" * ((1 << 20) - 20) + tokens[0] + "x" * ((1 << 20) - 40) + tokens[1] + "\n" * (1 << 20) + tokens[2]
    assert cli("leaked", "--json", stdin=text, PRIVATE_INTEGRATIONS_KEY="").json["fingerprints"] == [
        token_fingerprint(token) for token in tokens
    ]


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        ([UNKNOWN], "", "text is read from stdin; a token as an argument could be seen by others on this machine"),
        (["--where", "x" * 1001], UNKNOWN, "where: string should have at most 1000 characters"),
    ],
)
def test_what_leaked_refuses(cli, arguments, stdin, said):
    """A mistake is one line that says what to do, and shows no token."""
    done = cli("leaked", *arguments, stdin=stdin, PRIVATE_INTEGRATIONS_KEY="")
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert UNKNOWN not in done.err


def test_a_service_must_be_named(cli):
    """Without an address nothing is read and nothing is said of keys."""
    done = cli("leaked", stdin=UNKNOWN, PRIVATE_INTEGRATIONS_URL="", PRIVATE_INTEGRATIONS_KEY="")
    assert (done.code, done.out, done.err) == (
        2,
        "",
        "private-integrations: PRIVATE_INTEGRATIONS_URL must be set: "
        "the address of the service that the tokens belong to\n",
    )


def test_a_token_may_be_typed(cli):
    """On a terminal one is asked for and not shown."""
    shown = cli.on_terminal("leaked", at="Token: ", do=UNKNOWN + "\n", PRIVATE_INTEGRATIONS_KEY="")
    assert shown.code == 0
    assert UNKNOWN not in shown.out
    assert "1 token is in this text, and none works now" in shown.out


def test_an_announced_end_is_in_every_list():
    """A token that is to end unused is told of in place of its usual status, and programs get the instant."""
    inactive = InactiveToken(generation=1, since=T0, ends_at=T0 + 90 * DAY)
    secret = TokenReport(
        generation=1,
        role="current",
        fingerprint="0" * 12,
        issuer="us",
        issued_at=T0,
        delivered_at=T0,
        expires_at=None,
        ended_at=None,
        overlap_seconds=0,
    )
    state = TokenState(integration_id="int_1", external_id="a", last_generation=1, inactive=inactive, tokens=[secret])
    integration = Integration(
        id="int_1",
        account="acc",
        external_id="a",
        name="CRM",
        description="",
        scopes=["contacts.readonly"],
        rotation=None,
        owner_nonce="c",
        version=1,
        last_generation=1,
        created_at=T0,
        updated_at=T0,
    )
    report = IntegrationStatus(integration, state, T0 + 83 * DAY, EffectivePolicy(overlap=7 * DAY))
    assert report.in_words == "inactive, ends in 7 days"
    assert report.as_json()["inactive"]["ends_at"] == "2026-11-20T00:00:00.000Z"
    assert [alarm["kind"] for alarm in report.as_json()["alarms"]] == ["inactive"]


def test_an_account_says_how_long_its_tokens_may_rest(cli_of_a_new_service):
    """A duration, off, or the service's setting, shown in words and for programs; what can't be is refused."""
    cli = cli_of_a_new_service
    account = cli.environment["PRIVATE_INTEGRATIONS_ACCOUNT"]
    for time, told in (
        ([], "a token is ended when nobody has used it for 90d (the service's setting)"),
        (["30d"], "a token is ended when nobody has used it for 30d (set for this account)"),
        (["off"], "inactive tokens work on (set for this account)"),
        (["default"], "a token is ended when nobody has used it for 90d (the service's setting)"),
    ):
        done = cli("accounts", "inactive-after", account, *time)
        assert (done.code, done.out, done.err) == (0, told + "\n", "")
    shown = cli("accounts", "inactive-after", account, "--json").json
    assert shown == {"account": account, "rule": "service", "after_seconds": 90 * 86_400}
    refused = cli("accounts", "inactive-after", account, "1d")
    assert (refused.code, refused.out) == (2, "")
    assert '"1d" leaves no day to warn of it: give "2d" or more, or "off"' in refused.err
    assert cli("accounts", "inactive-after", "nobody").code == 4
