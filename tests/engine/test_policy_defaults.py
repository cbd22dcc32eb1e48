"""Defaults of rotation policies are the service's: it may change them, and no provider plans an update for that."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pulumi
import pytest

import private_integrations as pi
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from throwaway import UNLIMITED, listening_address

PROGRAMS = Path(__file__).parent / "programs"
DAY = 86_400

# Defaults that a version of the provider could know: another overlap and early window than the service has.
OTHER_KNOWLEDGE = """
from private_integrations.contract import PolicyDefaults
from private_integrations.rotation import policy

policy.NO_DEFAULTS = PolicyDefaults(
    overlap_seconds=14 * 86400, overlap_divisor=3, early_window_seconds=7200, early_window_divisor=5
)
"""


@contextmanager
def service_with(overlap, data_dir, port=0):
    """Run a service whose default overlap is so many days; answers its URL."""
    program = PROGRAMS / "service_with_defaults.py"
    with subprocess.Popen(
        [sys.executable, str(program), str(overlap * DAY), str(data_dir), str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | UNLIMITED,
    ) as process:
        try:
            yield listening_address(process)
        finally:
            process.terminate()


def quarterly() -> None:
    """Two integrations: one leaves overlap and early window to the service, the other declares its overlap."""
    for name, rotation in (("crm", pi.Rotation(every="90d")), ("mail", pi.Rotation(every="90d", overlap="7d"))):
        integration = pi.PrivateIntegration(name, scopes=["contacts.readonly"], rotation=rotation)
        pulumi.export(name, {"policy": integration.effective_rotation, "next": integration.next_rotation_at})


@pytest.fixture
def environment(tmp_path):
    """A stack of a service that is started by the test."""
    with service_with(7, tmp_path / "data") as url:
        key = (tmp_path / "data" / "admin.key").read_text().strip()
        accounts = Client(ServiceConnection(url, key)).accounts()
    account = next(account.id for account in accounts if account.kind == "sub_account")
    return {
        "PRIVATE_INTEGRATIONS_URL": url,
        "PRIVATE_INTEGRATIONS_KEY": key,
        "PRIVATE_INTEGRATIONS_ACCOUNT": account,
    }


def test_a_changed_default_plans_no_update(stack, tmp_path, environment):
    """It is in force at once; previews say so and plan nothing, and a refresh brings the outputs up to date."""
    url, data_dir = environment["PRIVATE_INTEGRATIONS_URL"], tmp_path / "data"
    port, client = int(url.rsplit(":", 1)[1]), Client(ServiceConnection(url, environment["PRIVATE_INTEGRATIONS_KEY"]))
    stack.program = quarterly
    with service_with(7, data_dir, port):
        stack.up()
        assert stack.output("crm")["policy"] == {
            "every": "90d",
            "overlap": "7d",
            "early_window": "1h",
            "enabled": True,
        }
        before = stack.output("crm")["next"]
        assert "default" not in stack.preview(expect_no_changes=True).text
    with service_with(14, data_dir, port):
        text = stack.preview(expect_no_changes=True).text
        assert "crm: overlap is 14d by the service's default, was 7d" in text
        assert "mail:" not in text
        stack.up(expect_no_changes=True)
        there = {found.name: found for found in client.integrations()}
        assert there["crm"].rotation.overlap_seconds is None
        assert there["crm"].effective_rotation.overlap_seconds == 14 * DAY
        assert there["mail"].rotation.overlap_seconds == there["mail"].effective_rotation.overlap_seconds == 7 * DAY
        stack.refresh(expect_no_changes=True)
        assert "default" not in stack.preview(expect_no_changes=True).text
        stack.up(expect_no_changes=True)
        policies = {name: stack.output(name)["policy"]["overlap"] for name in ("crm", "mail")}
        assert policies == {"crm": "14d", "mail": "7d"}
        assert stack.output("crm")["next"] == before


def test_providers_that_know_other_defaults_agree(stack, tmp_path, environment):
    """A version of the provider sends no default of its own, and decides nothing by one."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sitecustomize.py").write_text(OTHER_KNOWLEDGE)
    variables = stack.stack.workspace.env_vars
    usual, other = variables["PYTHONPATH"], f"{tmp_path / 'other'}{os.pathsep}{variables['PYTHONPATH']}"
    url = environment["PRIVATE_INTEGRATIONS_URL"]
    stack.program = quarterly
    with service_with(7, tmp_path / "data", int(url.rsplit(":", 1)[1])):
        for first, second in ((usual, other), (other, usual)):
            variables["PYTHONPATH"] = first
            stack.up()
            shown = stack.output("crm")["policy"]
            variables["PYTHONPATH"] = second
            stack.preview(expect_no_changes=True)
            stack.up(expect_no_changes=True)
            stack.refresh(expect_no_changes=True)
            assert stack.output("crm")["policy"] == shown
            assert shown["overlap"] == "7d"
            stack.destroy()
