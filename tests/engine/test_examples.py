"""What the documentation shows is what works: the quickstart, the program in the README, and the demo."""

import os
import re
import runpy
import signal
import subprocess

import psutil
import pytest
from pulumi import automation as auto

from integrations import contacts
from throwaway import REPOSITORY

QUICKSTART = REPOSITORY / "examples" / "quickstart" / "__main__.py"


def test_quickstart(stack, service):
    """The example's own file makes an integration whose token works, and its two settings do what they say."""
    stack.up(lambda: runpy.run_path(str(QUICKSTART), run_name="__main__"))
    token = stack.output("token")
    assert contacts(service, token) == 200
    assert stack.output("next_rotation_at").endswith("Z")
    stack.stack.set_config("scopes", auto.ConfigValue('["locations.readonly"]'))
    assert stack.up().changes == {"PrivateIntegration crm-sync": "update"}
    assert contacts(service, token) == 401
    stack.stack.set_config("trigger", auto.ConfigValue("once"))
    assert stack.up().changes == {"Token crm-sync": "update"}


def test_the_project_file_names_the_example():
    """`pulumi up` in a clone runs the same file."""
    project = (REPOSITORY / "Pulumi.yaml").read_text()
    assert f"main: {QUICKSTART.parent.relative_to(REPOSITORY)}" in project


def test_the_program_of_the_readme(stack, service):
    """The README's program works as pasted, and is the quickstart but for its two settings."""
    [program] = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    stack.up(lambda: exec(compile(program, "README.md", "exec"), {"__name__": "__main__"}))
    assert contacts(service, stack.output("token")) == 200


@pytest.fixture
def demo(tmp_path):
    """The demo, with its temporary files where the test can see them; it must leave none, and no process."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    command = [str(REPOSITORY / "scripts" / "demo")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        yield running
    assert list(tmp_path.glob("private-integrations-*")) == []
    mine = [process for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(process.info["cmdline"])]
    assert mine == []


def test_the_demo(demo):
    """It tells the whole story with the answers that it promises, and shows no token."""
    story, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0
    answers = re.findall(r"^  (GET|POST) +/contacts/ with (.*?) token +(\d+)", story, re.MULTILINE)
    assert answers == [
        ("GET", "its", "200"),
        ("POST", "its", "401"),
        ("POST", "its", "201"),
        ("GET", "the old", "200"),
        ("GET", "the new", "200"),
        ("GET", "the old", "200"),
        ("GET", "the old", "401"),
        ("GET", "the new", "401"),
    ]
    assert "(missing: contacts.write)" in story
    assert '~ rotation_reason: "created" => "trigger changed"' in story
    assert re.search(r"pit-[0-9a-f]", story) is None


@pytest.mark.parametrize("interruption", [signal.SIGINT, signal.SIGTERM])
def test_the_interrupted_demo_cleans_up(demo, interruption):
    """Stopped in the middle of an `up`, it ends what it started and removes its folder."""
    for line in demo.stdout:
        if line.startswith("  $ pulumi preview"):
            break
    demo.send_signal(interruption)
    assert demo.wait(30) == 128 + interruption
    demo.stdout.read()
