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


def killed_while_held(stack, proxy, held: bytes, *, before: bool = False, **inputs) -> None:
    """Run `up` in another process, and kill it with all its children while an answer, or the request, is held back."""
    # The provider's process is one of them, and no fork of another.
    environment = {**stack.environment, "PULUMI_PYTHON_CMD": sys.executable}
    setup = {
        "folder": str(stack.folder),
        "project": stack.project,
        "environment": environment,
        "inputs": inputs,
    }
    proxy.hold(held, before=before)
    running = subprocess.Popen(
        [sys.executable, "-c", UP],
        stdin=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join(map(str, (PROGRAMS, TOOLS)))},
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


def trying_out(proxy, service):
    """The address that a consumer tries its token out with, which can be held back too."""
    return f"{proxy.url}/contacts/?locationId={service.account}"


def consumers_token(stack):
    """The token that the consumer was last given, by the state."""
    return json.loads(stack.resource("Consumer")["outputs"]["token"]["plaintext"])


DECLARING, FIRST, SECOND, USE = b"/by-external-id/", b"/generations/1 ", b"/generations/2 ", b"GET /contacts/"


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("step", [DECLARING, FIRST, USE])
def test_killed_while_creating(stack, proxy, client, service, step, before):
    """At whatever step the first `up` dies, even if its request arrives afterwards: one more leaves one of each."""
    address = trying_out(proxy, service)
    killed_while_held(stack, proxy, step, before=before, tries_out=address)
    before_repair = {each.id for each in listed(client, stack)}
    stack.up(declare(tries_out=address))
    [made] = listed(client, stack)
    assert made.id == stack.output("id")
    assert (made.id in before_repair) == (step is not DECLARING)
    assert consumers_token(stack) == stack.output("token")
    assert contacts(service, stack.output("token")) == 200
    stack.preview(expect_no_changes=True)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("step", [SECOND, USE])
def test_killed_while_rotating(stack, proxy, client, service, step, before):
    """At whatever step a rotation dies, what the consumer holds works on, and one more `up` gives it a new one."""
    address = trying_out(proxy, service)
    stack.up(declare(tries_out=address))
    token = stack.output("token")
    rotation = {"trigger": "again"}
    killed_while_held(stack, proxy, step, before=before, tries_out=address, rotation_inputs=rotation)
    assert consumers_token(stack) == token
    assert contacts(service, token) == 200
    stack.program = declare(tries_out=address, rotation_inputs=rotation)
    if step is SECOND:
        assert "generation 2 was issued but never stored: issued anew" in stack.preview(diff=True).text
    stack.up()
    rotated = stack.output("token")
    assert stack.output("generation") == (3 if step is SECOND else 2)
    assert consumers_token(stack) == rotated != token
    assert contacts(service, rotated) == 200
    assert contacts(service, token) == 200
    stack.preview(expect_no_changes=True)
    assert [each.id for each in listed(client, stack)] == [stack.output("id")]


def test_a_lost_answer_is_asked_for_again(stack, proxy, service):
    """An answer that never arrives is asked for again within the same `up`: one generation, one integration."""
    proxy.drop(b"/generations/1 ")
    stack.up(declare())
    assert stack.output("generation") == 1
    assert proxy.dropped == 1
    assert contacts(service, stack.output("token")) == 200
