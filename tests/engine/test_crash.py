"""The engine dies between an answer and its state: the next `up` repairs it, and nothing is left behind."""

import json
import os
import subprocess
import sys

import psutil
import pytest

from integrations import contacts, declare
from throwaway import REPOSITORY

PROGRAMS = REPOSITORY / "tests" / "engine" / "programs"
TOOLS = REPOSITORY / "tools"

UP = """
import json, sys
from pathlib import Path
from integrations import declare
from throwaway import make_stack

setup = json.load(sys.stdin)
make_stack(Path(setup["folder"]), setup["project"], declare(**setup["inputs"]), setup["environment"]).up()
"""


@pytest.fixture
def environment(service, proxy):
    """The provider talks to the service through the proxy."""
    return {**service.environment, "PRIVATE_INTEGRATIONS_URL": proxy.url}


def killed_while_held(stack, proxy, held: bytes, **inputs) -> None:
    """Run `up` in another process, and kill it with all its children while an answer is held back."""
    setup = {
        "folder": str(stack.folder),
        "project": stack.project,
        "environment": stack.environment,
        "inputs": inputs,
    }
    proxy.hold(held)
    running = subprocess.Popen(
        [sys.executable, "-c", UP],
        stdin=subprocess.PIPE,
        text=True,
        env={**os.environ, **stack.environment, "PYTHONPATH": os.pathsep.join(map(str, (PROGRAMS, TOOLS)))},
    )
    running.stdin.write(json.dumps(setup))
    running.stdin.close()
    try:
        assert proxy.held.wait(30), "the request never came"
    finally:
        family = [*psutil.Process(running.pid).children(recursive=True), psutil.Process(running.pid)]
        for member in family:
            member.kill()
        running.wait()
        psutil.wait_procs(family, timeout=10)
        proxy.release()
    stack.stack.cancel()


def listed(client, stack):
    """The integrations that the service has of this stack."""
    return list(client.integrations(under=f"organization/{stack.project}/dev"))


def test_killed_while_the_integration_is_created(stack, proxy, client, service):
    """The service has made it, the state doesn't know: the next `up` replaces the remains by one new integration."""
    killed_while_held(stack, proxy, b"PUT /private-integrations/v1/integrations/by-external-id")
    [remains] = listed(client, stack)
    stack.up(declare())
    [made] = listed(client, stack)
    assert made.id == stack.output("id") != remains.id
    assert contacts(service, stack.output("token")) == 200


def test_killed_while_the_first_token_is_issued(stack, proxy, client, service):
    """The token was issued and lost: the next `up` issues the next generation for the same integration."""
    killed_while_held(stack, proxy, b"/generations/1 ")
    [remains] = listed(client, stack)
    preview = stack.up(declare()).operations
    [made] = listed(client, stack)
    assert made.id == stack.output("id") == remains.id
    assert preview["PrivateIntegration crm"] == "same"
    assert stack.output("generation") == 2
    assert contacts(service, stack.output("token")) == 200
    reason = stack.resource("Token")["inputs"]["rotation_reason"]
    assert reason == "generation 1 was issued but never stored: issued anew"


def test_killed_while_rotating(stack, proxy, client, service):
    """A rotation whose answer was lost previews as unfinished; the token in state works all along."""
    stack.up(declare())
    token = stack.output("token")
    assert contacts(service, token) == 200
    rotation = {"trigger": "again"}
    killed_while_held(stack, proxy, b"/generations/2 ", rotation_inputs=rotation)
    assert contacts(service, token) == 200
    stack.program = declare(rotation_inputs=rotation)
    assert "generation 2 was issued but never stored: issued anew" in stack.preview(diff=True).text
    stack.up()
    assert stack.output("generation") == 3
    assert stack.output("previous_token") == token
    assert contacts(service, stack.output("token")) == 200
    assert contacts(service, token) == 200
    stack.up(expect_no_changes=True)


def test_a_lost_answer_is_asked_for_again(stack, proxy, service):
    """An answer that never arrives is asked for again within the same `up`: one generation, one integration."""
    proxy.drop(b"/generations/1 ")
    stack.up(declare())
    assert stack.output("generation") == 1
    assert proxy.dropped == 1
    assert contacts(service, stack.output("token")) == 200
