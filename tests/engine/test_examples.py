"""What the documentation shows is what works: the examples, the program in the README, and the demo."""

import os
import re
import runpy
import signal
import subprocess
from datetime import timedelta

import psutil
import pytest
from pulumi import automation as auto

from integrations import contacts
from throwaway import REPOSITORY, age

EXAMPLES = REPOSITORY / "examples"
QUICKSTART = EXAMPLES / "quickstart" / "__main__.py"


def example(name):
    """A program that runs an example's folder as Python does: modules beside `__main__.py` can be imported."""
    return lambda: runpy.run_path(str(EXAMPLES / name), run_name="__main__")


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


def test_the_project_files_name_the_examples():
    """`pulumi up` in a clone runs the quickstart, and in another example's folder that example."""
    project = (REPOSITORY / "Pulumi.yaml").read_text()
    assert f"main: {QUICKSTART.parent.relative_to(REPOSITORY)}" in project
    for program in EXAMPLES.glob("*/__main__.py"):
        if program != QUICKSTART:
            lines = program.with_name("Pulumi.yaml").read_text().splitlines()
            assert (lines[0], lines[2]) == (f"name: {program.parent.name}", "runtime: python")


def test_schedule(stack, service, tmp_path):
    """When the first Monday has passed, one `up` rotates and rewrites the consumer's file, and both tokens work."""
    file = tmp_path / "crm.token"
    stack.stack.set_config("path", auto.ConfigValue(str(file)))
    stack.stack.workspace.env_vars["PYTHONPATH"] = str(EXAMPLES / "schedule")
    stack.up(example("schedule"))
    old = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert contacts(service, old) == 200
    age(service, stack.resource("PrivateIntegration")["id"], timedelta(days=36))
    preview = stack.preview(diff=True)
    assert preview.changes == {"Token crm-sync": "update", "TokenFile crm-token": "update"}
    due = r'"created" => "due since 20[0-9-]{8}T0[12]:00Z, schedule \\"0 3 \* \* MON#1\\" in Europe/Berlin"'
    assert re.search(due, preview.text)
    stack.up()
    new = file.read_text()
    assert new != old
    assert (contacts(service, old), contacts(service, new)) == (200, 200)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob("crm.token*")) == [file]
    stack.up(expect_no_changes=True)
    assert old not in stack.everything_written()
    assert new not in stack.everything_written()
    stack.destroy()
    assert not file.exists()


def test_incident(stack, service):
    """The setting ends the old token at once; without it the overlap is back, and nothing is rotated."""
    stack.up(example("incident"))
    leaked = stack.output("token")
    assert contacts(service, leaked) == 200
    stack.stack.set_config("incident", auto.ConfigValue("token in a build log"))
    stack.up()
    safe = stack.output("token")
    assert (contacts(service, leaked), contacts(service, safe)) == (401, 200)
    stack.up(expect_no_changes=True)
    stack.stack.remove_config("incident")
    assert stack.up().changes == {"PrivateIntegration crm-sync": "update"}
    assert stack.output("token") == safe
    assert contacts(service, safe) == 200


def test_adopt(stack, service, by_hand):
    """The first `up` knows the token and does not change it; nor does the next one."""
    integration_id, token = by_hand
    stack.stack.set_config("adopt", auto.ConfigValue(integration_id))
    stack.stack.set_config("adopt_token", auto.ConfigValue(token, secret=True))
    stack.up(example("adopt"))
    assert stack.resource("PrivateIntegration")["id"] == integration_id
    assert stack.output("token") == token
    assert contacts(service, token) == 200
    stack.up(expect_no_changes=True)
    assert stack.output("token") == token


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
