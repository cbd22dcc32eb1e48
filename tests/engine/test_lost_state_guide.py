"""docs/lost-state.md is true: its commands and its program bring integrations back, and consumers notice nothing."""

import json
import os
import re
import subprocess
import sys
import uuid
from dataclasses import replace

import pulumi
import pytest

import language_host
import private_integrations as pi
from integrations import contacts
from private_integrations.contract import AccountRequest
from throwaway import REPOSITORY, make_stack

GUIDE = REPOSITORY / "docs" / "lost-state.md"
BLOCK = re.compile(r"<!-- (?P<kind>command|program): (?P<name>\S+) -->\n```\w+\n(?P<text>.*?)```", re.DOTALL)


def block(kind, name):
    """A marked block of the guide."""
    [text] = [
        found["text"] for found in BLOCK.finditer(GUIDE.read_text()) if (found["kind"], found["name"]) == (kind, name)
    ]
    return text


def declared():
    """One integration by itself and one below a component, as the lost stack declared them."""
    team = pulumi.ComponentResource("acme:index:Team", "sales")
    alone = pi.PrivateIntegration("alone", scopes=["contacts.readonly"])
    below = pi.PrivateIntegration("below", scopes=["contacts.readonly"], opts=pulumi.ResourceOptions(parent=team))
    pulumi.export("tokens", pulumi.Output.all(alone.token, below.token))
    pulumi.export("ids", pulumi.Output.all(alone.id, below.id))


@pytest.fixture
def ours(service, client):
    """The service with an account of this test's own, in which no other test leaves integrations."""
    demo = next(account for account in client.accounts() if account.id == service.account)
    name = f"lost{uuid.uuid4().hex}"
    client.put_account(name, AccountRequest(name=name, kind="sub_account", agency_id=demo.agency_id))
    return replace(service, account=name)


@pytest.fixture
def environment(ours):
    """The environment of the `pulumi` process."""
    return dict(ours.environment)


@pytest.fixture
def terminal(stack, tmp_path):
    """Runs a block of the guide in the project's folder, as a person at a terminal would."""
    programs = tmp_path / "programs"
    programs.mkdir()
    language_host.install(programs)
    command = programs / "private-integrations"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m private_integrations.cli "$@"\n')
    command.chmod(0o755)
    work = stack.folder / "work"
    (work / "Pulumi.yaml").write_text(f"name: {stack.project}\nruntime: python\n")
    environment = os.environ | stack.environment
    environment |= {"PATH": f"{programs}{os.pathsep}{stack.environment['PATH']}", "PULUMI_STACK": "dev"}

    def run(text, code=0):
        done = subprocess.run(["sh", "-eu", "-c", text], cwd=work, env=environment, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def lose_state(stack):
    """Remove the stack from its backend and make it again, empty."""
    stack.stack.workspace.remove_stack("dev", force=True)
    stack.stack = make_stack(stack.folder, stack.project, lambda: stack.program(), stack.environment)
    stack.stack.outputs = dict


def test_an_old_export_brings_integrations_back(stack, terminal, ours):
    """`import-file` and `pulumi import` restore both integrations and their tokens, encrypted; nothing is to change."""
    stack.up(declared)
    tokens, ids = stack.output("tokens"), stack.output("ids")
    terminal("pulumi stack export --show-secrets --file old-export.json")
    lose_state(stack)
    listed = terminal(block("command", "orphans"), code=1)
    assert all(f"{one}  " in listed for one in ids)
    assert listed.count("not in its stack") == 2
    said = terminal(block("command", "import-file"))
    assert not any(token in said for token in tokens)
    stack.up()
    stack.preview(expect_no_changes=True)
    assert (stack.output("tokens"), stack.output("ids")) == (tokens, ids)
    assert [contacts(ours, token) for token in tokens] == [200, 200]
    assert not any(token in stack.everything_written() for token in tokens)
    assert "every integration that a program declared is in its stack" in terminal(block("command", "orphans"))


def test_adopting_brings_one_back_in_one_up(stack, terminal, ours):
    """Without an export, one `up` of the guide's program gives a token, and the one in use works on."""
    stack.up(lambda: pulumi.export("token", pi.PrivateIntegration("crm-sync", scopes=["contacts.readonly"]).token))
    lost, integration_id = stack.output("token"), stack.resource("PrivateIntegration")["id"]
    assert contacts(ours, lost) == 200
    lose_state(stack)
    program = compile(block("program", "adopt").replace("int_…", integration_id), GUIDE.name, "exec")
    stack.program = lambda: exec(program, {"__name__": "__main__"})
    assert stack.preview().changes == {"PrivateIntegration crm-sync": "create", "Token crm-sync": "create"}
    stack.up()
    assert stack.resource("PrivateIntegration")["id"] == integration_id
    assert [contacts(ours, token) for token in (stack.output("token"), lost)] == [200, 200]
    stack.preview(expect_no_changes=True)


def test_a_stack_that_is_gone_is_told_from_one_that_lost_an_integration(stack, terminal):
    """After `stack rm --force` the stack is gone; the JSON names it."""
    stack.up(declared)
    stack.stack.workspace.remove_stack("dev", force=True)
    found = json.loads(terminal("private-integrations orphans --json", code=1))["orphans"]
    mine = [one for one in found if one["stack"] == f"organization/{stack.project}/dev"]
    assert [one["because"] for one in mine] == ["stack gone", "stack gone"]
