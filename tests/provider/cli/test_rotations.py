"""Rotation on the command line: schedules, what is due, alarms, and a rotation that is taken back."""

import re
from datetime import datetime, timedelta

import pytest

from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import IntegrationRequest, RotationPolicy, instant_text, token_fingerprint

INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?Z"
DAY = 86_400
STORE_IT = "private-integrations: store this token now, it will not be shown again\n"


@pytest.fixture
def client(service):
    """The service as a deployment talks to it."""
    return Client(ServiceConnection(service.url, service.key))


@pytest.fixture
def stack(service, client):
    """Declares an integration as the stack acme/crm/NAME does, with a schedule of 90 days and without a token yet."""

    def declare(name):
        request = IntegrationRequest(
            account=service.account,
            name="CRM",
            scopes=["contacts.readonly"],
            rotation=RotationPolicy(every_seconds=90 * DAY, overlap_seconds=7 * DAY),
            owner_nonce=f"of-{name}".replace("/", "-"),
        )
        return client.declare(f"acme/crm/{name}/crm-sync", request)

    return declare


@pytest.fixture
def rotated(cli, use):
    """Makes an integration that was rotated once, with both tokens in use; its two tokens as JSON."""

    def make(name, *options):
        created = cli.create(name, *options)
        use(created)
        again = cli("rotate", created["integration"]["id"], "--json").json
        use(again)
        return created, again

    return make


def _line_of(out, integration_id):
    """The cells of a line in a table."""
    found = next(line for line in out.splitlines() if line.startswith(integration_id))
    return re.split(r"  +", found)


def _instant(text):
    return instant_text(datetime.fromisoformat(text))


# A rotation that is taken back.


def test_cancel_goes_back_to_the_token_before(cli, rotated):
    """During the overlap the new token dies, the old one is current without a deadline, and the schedule is held."""
    created, again = rotated("Cancelled", "--every", "90d")
    integration_id = created["integration"]["id"]
    cancelled = cli("cancel", integration_id)
    shown = cli("show", integration_id, "--json").json
    held_until = _instant(shown["held_until"])
    assert cancelled.code == 0
    assert cancelled.err == (
        f"private-integrations: cancelled the rotation to generation 2 of {integration_id}: its token is dead\n"
        "private-integrations: generation 1 is the current one again, with no deadline; "
        f"its schedule is held until {held_until}\n"
    )
    assert _line_of(cancelled.out, "1")[1::3] == ["current", "-"]
    assert _line_of(cancelled.out, "2")[1] == "ended"
    assert cli("verify", stdin=created["token"]).facts["works until"] == ["no end is set"]
    assert cli("verify", stdin=again["token"]).code == 1
    week = datetime.fromisoformat(shown["held_until"]) - datetime.fromisoformat(shown["updated_at"])
    assert timedelta(days=7) <= week < timedelta(days=7, minutes=5)


def test_a_hold_is_shown(cli, rotated, age):
    """`show` and `list` say until when a schedule is held, and what is overdue by itself is due then."""
    integration_id = rotated("Held", "--every", "90d")[0]["integration"]["id"]
    age(integration_id, timedelta(days=100))
    # The overlap that cancelling needs is over by then: a new rotation, not used yet, is taken back.
    cli("rotate", integration_id)
    cli("cancel", integration_id, "--hold", "12h")
    shown = cli("show", integration_id)
    held_until = shown.facts["held until"][0]
    assert re.fullmatch(INSTANT, held_until)
    assert shown.facts["status"] == [f"held until {held_until}"]
    assert shown.facts["next rotation"] == [held_until]
    listed = cli("list")
    assert _line_of(listed.out, integration_id)[4] == f"held until {held_until}"
    assert integration_id not in listed.err
    assert integration_id not in cli("due").out


def test_cancel_of_a_new_token_that_nobody_used(cli, use):
    """A generation can be named, the hold chosen, and the answer be JSON; a policy without a schedule holds nothing."""
    created = cli.create("Cancelled while pending")
    use(created)
    integration_id = created["integration"]["id"]
    issued = cli("rotate", integration_id, "--json").json
    cancelled = cli("cancel", integration_id, "--generation", "2", "--hold", "2d", "--json")
    assert cancelled.err == (
        f"private-integrations: cancelled the rotation to generation 2 of {integration_id}: its token is dead\n"
        "private-integrations: generation 1 is the current one again, with no deadline\n"
    )
    assert [secret["role"] for secret in cancelled.json["tokens"]] == ["current", "ended"]
    assert cli("verify", stdin=issued["token"]).code == 1


def test_cancel_without_a_hold(cli, rotated):
    """With `--hold 0s` the schedule goes on as it was; a repetition holds nothing either, and says what is."""
    integration_id = rotated("Not held", "--every", "90d")[0]["integration"]["id"]
    told = (
        f"private-integrations: cancelled the rotation to generation 2 of {integration_id}: its token is dead\n"
        "private-integrations: generation 1 is the current one again, with no deadline; its schedule is not held\n"
    )
    assert cli("cancel", integration_id, "--hold", "0s").err == told
    shown = cli("show", integration_id)
    assert (shown.facts["held until"], shown.facts["status"]) == (["-"], ["ok"])
    again = cli("cancel", integration_id, "--generation", "2")
    assert (again.code, again.err) == (0, told)
    cli("rotate", integration_id, "--token-only")
    assert cli("cancel", integration_id, "--generation", "2").err == told


def test_cancel_of_what_pulumi_declares(cli, client, stack):
    """What the next `pulumi up` will do with its state is told."""
    integration = stack("cancelled")
    for generation in (1, 2):
        client.issue(
            integration.id,
            generation,
            issuer=integration.external_id,
            holding=generation - 1,
            overlap_seconds=7 * DAY,
            reason="created",
        )
    cancelled = cli("cancel", integration.id)
    assert cancelled.err.splitlines()[-1] == (
        "private-integrations: Pulumi crm/cancelled declares this integration: its next `pulumi up` puts the token "
        "of generation 1 back into its state and issues nothing"
    )


def test_what_can_not_be_cancelled(cli, rotated):
    """5: the service says why; 2: a generation that never was."""
    first = cli.create("Nothing before it")["integration"]["id"]
    refused = cli("cancel", first)
    assert (refused.code, refused.out, refused.err) == (
        5,
        "",
        "private-integrations: the token before generation 1 does not work any more: there is none to go back to; "
        "rotate instead\n",
    )
    never = cli("cancel", first, "--generation", "7")
    told = "private-integrations: generation 7 was never issued; the last one is 1\n"
    assert (never.code, never.err) == (2, told)
    ended = rotated("Ended")[0]["integration"]["id"]
    cli("expire", ended, "--current")
    assert cli("cancel", ended, "--generation", "2").err == (
        "private-integrations: generation 2 has ended: its rotation can't be cancelled any more; "
        "rotate to get a new token\n"
    )


def test_cancel_while_a_newer_rotation_is_open(cli, rotated):
    """5: a rotation is not cancelled behind the back of the next one."""
    integration_id = rotated("Two at a time")[0]["integration"]["id"]
    cli("rotate", integration_id, "--token-only")
    refused = cli("cancel", integration_id, "--generation", "2")
    assert refused.code == 5
    assert refused.err.startswith("private-integrations: generation 3 was started by cli/")
    assert refused.err.endswith(" and is not in use yet; use its token, or cancel it\n")


def test_cancel_where_there_was_never_a_token(cli, stack):
    """2: there is no rotation to take back."""
    integration_id = stack("without-a-token").id
    refused = cli("cancel", integration_id)
    assert (refused.code, refused.err) == (
        2,
        f"private-integrations: Invalid value: there is nothing to cancel: {integration_id} has never had a token "
        "(see: private-integrations cancel --help)\n",
    )


def test_a_cancellation_without_an_answer_is_not_silent(cli, rotated, without_issuing):
    """6: when the answer is lost, it is told where to look."""
    integration_id = rotated("No answer to cancel")[0]["integration"]["id"]
    done = without_issuing("cancel", integration_id)
    assert (done.code, done.out) == (6, "")
    assert done.err.splitlines()[0] == (
        f"private-integrations: whether generation 2 was cancelled, `private-integrations show {integration_id}` tells"
    )


def test_a_rotation_that_is_open_has_two_ways_out(cli, use):
    """5: behind the first generation, both going back and going on are told, and both work."""
    created = cli.create("Open again")
    use(created)
    integration_id = created["integration"]["id"]
    cli("rotate", integration_id, "--token-only")
    refused = cli("rotate", integration_id)
    assert refused.code == 5
    back = f"private-integrations cancel {integration_id} --generation 2"
    on = f"private-integrations rotate {integration_id} --replace-pending"
    assert refused.err.endswith(
        f"; use its token, or cancel it: `{back}` goes back to the token before it, "
        f"`{on}` ends it and issues another one\n"
    )
    replaced = cli(*on.split()[1:])
    assert replaced.code == 0
    assert replaced.err == (
        f"{STORE_IT}private-integrations: a token that is in use works on for 7d after the new one's first use; "
        "one that nobody had used is dead\n"
    )
    assert cli("cancel", integration_id, "--generation", "3").code == 0


def test_a_replaced_token_is_dead(cli):
    """`--replace-pending` ends the token that nobody used, the very first one too."""
    created = cli.create("Replaced")
    replaced = cli("rotate", created["integration"]["id"], "--replace-pending", "--token-only")
    assert cli("verify", stdin=created["token"]).code == 1
    assert cli("verify", stdin=replaced.out).code == 0


def test_expire_of_the_current_one_leaves_a_new_one(cli, use):
    """`--current` means the one in use: a new one works on; `--all` ends that too."""
    created = cli.create("Expired around")
    use(created)
    integration_id = created["integration"]["id"]
    issued = cli("rotate", integration_id, "--json").json
    assert cli("expire", integration_id, "--current").err.endswith(f": expired generation 1 of {integration_id}\n")
    assert cli("verify", stdin=created["token"]).code == 1
    assert cli("verify", stdin=issued["token"]).code == 0
    assert cli("expire", integration_id, "--all").err.endswith(f": expired generation 2 of {integration_id}\n")
    assert cli("verify", stdin=issued["token"]).code == 1


def test_expire_after_a_cancelled_rotation(cli, rotated):
    """The token that is current again is no superseded one."""
    created, _ = rotated("Expired after cancel")
    integration_id = created["integration"]["id"]
    cli("cancel", integration_id)
    kept = cli("expire", integration_id, "--previous")
    told = f"private-integrations: nothing to expire: {integration_id} has no such token that works\n"
    assert (kept.code, kept.err) == (0, told)
    assert cli("verify", stdin=created["token"]).code == 0


# Schedules.


def test_create_with_a_calendar_rule(cli):
    """A rule in local time is stored as declared, and shown in words and as an instant."""
    options = ("--schedule", "0 3 * * MON#1", "--timezone", "Europe/Berlin", "--overlap", "2d", "--early-window", "30m")
    integration = cli.create("By the calendar", *options)["integration"]
    assert integration["rotation"] == {
        "every_seconds": None,
        "schedule": "0 3 * * MON#1",
        "timezone": "Europe/Berlin",
        "overlap_seconds": 2 * DAY,
        "early_window_seconds": 1_800,
        "enabled": True,
    }
    shown = cli("show", integration["id"])
    in_words = 'schedule "0 3 * * MON#1" in Europe/Berlin, overlap 2d, early window 30m'
    assert shown.facts["rotation"] == [in_words]
    following = shown.facts["next rotation"][0]
    assert datetime.fromisoformat(following).isoweekday() == 1
    assert _line_of(cli("list").out, integration["id"])[8:10] == [following, in_words]


@pytest.mark.parametrize(
    ("created", "edited", "policy"),
    [
        (["--every", "90d"], ["--overlap", "2d"], "every 90d, overlap 2d, early window 1h"),
        (["--every", "90d", "--overlap", "2d"], ["--early-window", "0s"], "every 90d, overlap 2d"),
        (["--every", "90d"], ["--every", "30d"], "every 30d, overlap 7d, early window 1h"),
        (["--every", "90d"], ["--every", "2h", "--overlap", "5m"], "every 2h, overlap 5m, early window 12m"),
        (["--every", "90d", "--early-window", "6h"], ["--every", "60d"], "every 60d, overlap 7d, early window 6h"),
        (["--every", "90d"], ["--schedule", "0 3 1 * *"], 'schedule "0 3 1 * *" in UTC, overlap 7d'),
        (
            ["--schedule", "0 3 1 * *", "--timezone", "Europe/Berlin", "--overlap", "3d"],
            ["--schedule", "0 4 1 * *"],
            'schedule "0 4 1 * *" in Europe/Berlin, overlap 3d',
        ),
        (
            ["--schedule", "0 3 1 * *"],
            ["--timezone", "America/New_York"],
            'schedule "0 3 1 * *" in America/New_York, overlap 7d',
        ),
        (["--schedule", "0 3 1 * *"], ["--every", "30d"], "every 30d, overlap 7d, early window 1h"),
        ([], ["--every", "10d"], "every 10d, overlap 5d, early window 1h"),
        ([], ["--overlap", "1d"], "no schedule, overlap 1d"),
        (["--overlap", "1d"], ["--every", "30d"], "every 30d, overlap 1d, early window 1h"),
        (["--every", "90d"], ["--pause"], "every 90d, overlap 7d, early window 1h, paused"),
        (["--every", "90d", "--overlap", "1d"], ["--no-rotation"], "no schedule, overlap 7d"),
    ],
)
def test_edit_of_a_part_keeps_the_rest(cli, created, edited, policy):
    """What is given changes; what is left out stays as far as it fits the new rule and was chosen."""
    integration_id = cli.create("Edited", *created)["integration"]["id"]
    done = cli("edit", integration_id, *edited)
    assert (done.code, done.err) == (0, "")
    assert done.facts["rotation"] == [policy]


def test_edit_tells_of_an_overlap_that_does_not_fit(cli):
    """An overlap that would be as long as the new period becomes that rule's default, and not in silence."""
    integration_id = cli.create("Shortened", "--every", "90d")["integration"]["id"]
    edited = cli("edit", integration_id, "--every", "1d")
    told = "private-integrations: an overlap of 7d does not fit every 1d: it is 12h from now on\n"
    assert (edited.code, edited.err) == (0, told)
    assert edited.facts["rotation"] == ["every 1d, overlap 12h, early window 1h"]


def test_pause_and_resume(cli, age):
    """A paused schedule asks for nothing, through other edits too; resumed, it asks for what is past due."""
    integration_id = cli.create("Paused", "--every", "90d")["integration"]["id"]
    age(integration_id, timedelta(days=91))
    cli("edit", integration_id, "--pause")
    paused = cli("edit", integration_id, "--overlap", "1d")
    assert paused.facts["rotation"] == ["every 90d, overlap 1d, early window 1h, paused"]
    assert (paused.facts["status"], paused.facts["next rotation"]) == (["not used yet"], ["-"])
    resumed = cli("edit", integration_id, "--resume")
    assert resumed.facts["rotation"] == ["every 90d, overlap 1d, early window 1h"]
    assert resumed.facts["status"] == ["rotation due"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--every", "90d", "--schedule", "0 3 1 * *"], "give every or schedule, not both"),
        (["--every", "90d", "--timezone", "Europe/Berlin"], "timezone is only used with schedule"),
        (
            ["--every", "90d", "--overlap", "90d"],
            "overlap 90d must be shorter than every 90d, or old tokens would pile up; leave it out for 7d",
        ),
        (
            ["--schedule", "0 3 * * *", "--timezone", "Europe/Berlin", "--overlap", "7d"],
            'overlap 7d must be shorter than 23h, the shortest gap of "0 3 * * *" in Europe/Berlin; '
            "leave it out for 11h30m",
        ),
        (["--every", "1h", "--early-window", "2h"], "early_window 2h must be shorter than every 1h"),
        (["--early-window", "2h"], "early_window is only used with every or schedule"),
        (["--schedule", "0 0 30 2 *"], 'schedule "0 0 30 2 *" never matches'),
        (
            ["--schedule", "0 3 1 * *", "--timezone", "Europe/Atlantis"],
            'timezone "Europe/Atlantis" is not an IANA name',
        ),
    ],
)
def test_a_policy_that_can_not_be(cli, given, message):
    """2: before anything is made or changed, in one line with the arithmetic; `create` and `edit` say the same."""
    refused = cli("create", "Impossible", "--scope", "contacts.readonly", *given)
    advice = "(see: private-integrations {} --help)\n"
    assert (refused.code, refused.err) == (
        2,
        f"private-integrations: Invalid value: {message} {advice.format('create')}",
    )
    integration_id = cli.create("Possible")["integration"]["id"]
    refused = cli("edit", integration_id, *given)
    assert (refused.code, refused.err) == (2, f"private-integrations: Invalid value: {message} {advice.format('edit')}")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--pause", "--resume"], "give --pause or --resume, not both"),
        (["--pause"], "there is no schedule to pause or resume; give --every or --schedule"),
        (
            ["--no-rotation", "--overlap", "1d"],
            "--no-rotation removes the whole policy; give nothing else about rotation with it",
        ),
    ],
)
def test_edits_that_contradict_themselves(cli, given, message):
    """2: what can't be meant changes nothing."""
    integration_id = cli.create("Contradicted")["integration"]["id"]
    refused = cli("edit", integration_id, *given)
    told = f"private-integrations: Invalid value: {message} (see: private-integrations edit --help)\n"
    assert (refused.code, refused.err) == (2, told)


# What a person should look at.


def test_an_overdue_rotation_is_an_alarm(cli, use, age):
    """A rotation that no deployment carried out is in the status, on stderr, in `show` and in the JSON."""
    created = cli.create("Forgotten", "--every", "90d")
    use(created)
    integration_id = created["integration"]["id"]
    age(integration_id, timedelta(days=100))
    found = cli("show", integration_id, "--json").json
    since = found["next_rotation_at"]
    alarm = f"due since {_instant(since)}, every 90d, and no deployment has rotated it"
    assert (found["status"], found["alarms"]) == ("overdue", [{"kind": "overdue", "since": since, "detail": alarm}])
    shown = cli("show", integration_id)
    assert (shown.facts["status"], shown.facts["alarms"]) == (["rotation overdue"], [alarm])
    listed = cli("list")
    assert listed.code == 0
    assert _line_of(listed.out, integration_id)[4] == "rotation overdue"
    assert listed.err == f"private-integrations: {integration_id} (Forgotten): {alarm}\n"
    for_programs = cli("list", "--json")
    assert for_programs.err == ""
    assert [each["alarms"] for each in for_programs.json["integrations"] if each["id"] == integration_id] == [
        found["alarms"]
    ]


def test_a_new_token_that_nobody_uses_is_an_alarm(cli, age):
    """After two days without a first use somebody is told, and the token works on."""
    created = cli.create("Nobody's")
    integration_id = created["integration"]["id"]
    assert cli("show", integration_id).facts["alarms"] == ["-"]
    age(integration_id, timedelta(days=3))
    listed = cli("list")
    issued = _instant(cli("show", integration_id, "--json").json["rotated_at"])
    assert listed.err == (
        f"private-integrations: {integration_id} (Nobody's): "
        f"generation 1 was issued at {issued} and nobody has used it\n"
    )
    assert _line_of(listed.out, integration_id)[4] == "not used yet"
    assert cli("verify", stdin=created["token"]).code == 0


# What is due.


def test_nothing_is_due(cli, stack):
    """0: what a stack declares and is not due yet is not shown."""
    stack("not-due")
    done = cli("due", "--under", "acme/crm/nowhere")
    assert (done.code, done.out, done.err) == (0, "", "private-integrations: nothing is due\n")
    for_programs = cli("due", "--under", "acme/crm/nowhere", "--json")
    assert (for_programs.code, for_programs.json, for_programs.err) == (0, {"due": []}, "")


def test_due_says_what_the_preview_would(cli, use, age, viewer_key):
    """1: each due rotation has its status, since when and the preview's reason; a viewer's key is enough."""
    created = cli.create("Due", "--every", "90d")
    use(created)
    integration_id = created["integration"]["id"]
    assert integration_id not in cli("due").out
    age(integration_id, timedelta(days=91))
    since = cli("show", integration_id).facts["next rotation"][0]
    listed = cli("due", PRIVATE_INTEGRATIONS_KEY=viewer_key)
    assert (listed.code, listed.err) == (1, "")
    assert re.split(r"  +", listed.out.splitlines()[0]) == ["ID", "NAME", "STATUS", "SINCE", "MANAGED BY", "REASON"]
    reason = f"due since {since}, every 90d"
    assert _line_of(listed.out, integration_id) == [integration_id, "Due", "due", since, "command line", reason]
    age(integration_id, timedelta(days=9))
    assert _line_of(cli("due").out, integration_id)[2] == "overdue"


def test_due_for_programs(cli, use, age):
    """`due --json` has the same with an exact instant, of the account that is given."""
    created = cli.create("Due for programs", "--every", "90d", "--early-window", "2h")
    use(created)
    integration = created["integration"]
    age(integration["id"], timedelta(days=90) - timedelta(hours=1))
    done = cli("due", "--account", integration["account"], "--json")
    found = next(each for each in done.json["due"] if each["id"] == integration["id"])
    following = datetime.fromisoformat(cli("show", integration["id"], "--json").json["next_rotation_at"])
    assert done.code == 1
    assert datetime.fromisoformat(found.pop("since")) == following - timedelta(hours=2)
    assert found == {
        "id": integration["id"],
        "name": "Due for programs",
        "account": integration["account"],
        "external_id": integration["external_id"],
        "status": "due",
        "reason": f"due at {instant_text(following)}, inside early_window 2h",
    }


def test_due_under_a_stack(cli, client, stack):
    """A stack's path takes what it declares: one without a token yet, and one whose token was ended."""
    new, ended = stack("due/new"), stack("due-not")
    found = cli("due", "--under", "acme/crm/due/", "--json").json["due"]
    assert [(each["id"], each["reason"]) for each in found] == [(new.id, "created")]
    assert datetime.fromisoformat(found[0]["since"]) == new.created_at
    client.issue(ended.id, 1, issuer=ended.external_id, holding=0, overlap_seconds=0, reason="created")
    assert cli("due", "--under", "acme/crm/due-not").code == 0
    cli("expire", ended.id, "--all")
    since = next(client.tokens_of([ended.id])).tokens[0].tokens[0].ended_at
    line = _line_of(cli("due", "--under", "acme/crm/due-not").out, ended.id)
    told = instant_text(since)
    assert line[2:] == ["due", told, "Pulumi crm/due-not", f"revoked in the service at {told}"]


def test_due_on_a_narrow_terminal(cli, stack):
    """At 60 columns each is three lines."""
    integration = stack("narrow")
    shown = cli.on_terminal("due", "--under", "acme/crm/narrow", columns=60).out
    since = instant_text(integration.created_at)
    assert shown == f"{integration.id}  CRM\n  due since {since}, by Pulumi crm/narrow\n  created\n"


def test_due_in_an_unknown_account(cli):
    """4: an account that isn't there is told from one where nothing is due."""
    done = cli("due", "--account", "nowhere")
    told = "private-integrations: there is no account nowhere; `private-integrations accounts` lists them\n"
    assert (done.code, done.err) == (4, told)


def test_no_command_about_rotation_shows_a_token(cli, rotated, age):
    """Neither `due` nor `cancel` nor an alarm has a token in it, only fingerprints."""
    created, again = rotated("Kept from all", "--every", "90d")
    integration_id = created["integration"]["id"]
    age(integration_id, timedelta(days=100))
    shown = [
        cli(*command, *form)
        for form in ([], ["--json"])
        for command in (["list"], ["due"], ["cancel", integration_id, "--generation", "2"])
    ]
    everything = "".join(done.out + done.err for done in shown)
    assert "pit-" not in everything
    assert token_fingerprint(again["token"]) in everything
