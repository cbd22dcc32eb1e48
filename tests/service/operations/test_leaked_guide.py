"""docs/leaked-tokens.md and examples/scanners/README.md are true: their commands are run in their order."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from engines import storage_independent
from management import Management
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import token_fingerprint
from private_integrations.rotation import decisions
from private_integrations_service.tokens.policy_defaults import in_force
from throwaway import REPOSITORY

GUIDE = (REPOSITORY / "docs" / "leaked-tokens.md").read_text()
SCANNERS = REPOSITORY / "examples" / "scanners"
BLOCK = re.compile(r"<!-- (?P<name>[^>]+) -->\n```\w*\n(?P<text>.*?)```", re.DOTALL)
BLOCKS = {found["name"]: found["text"] for found in BLOCK.finditer(GUIDE)}
PLACE = "https://integrations.example.com"


@dataclass
class Follower:
    """Somebody who follows the guide in a folder, with a scanner beside the project's own programs."""

    folder: Path
    management: Management

    def token(self):
        """An integration and its new token."""
        integration = self.management.integration()["id"]
        return integration, self.management.issue(integration, 1).json()["token"]

    def run(self, text, *, key=""):
        """Run a block with this test's service in place of the guide's; what it prints, errors last."""
        programs = [os.path.dirname(sys.executable), str(REPOSITORY / ".venv"), os.environ["PATH"]]
        environment = {
            "PATH": os.pathsep.join(programs),
            "HOME": str(self.folder),
            "PRIVATE_INTEGRATIONS_URL": self.management.url,
            "PRIVATE_INTEGRATIONS_KEY": key,
        }
        done = subprocess.run(
            ["sh", "-euc", text.replace(PLACE, self.management.url)],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    def is_dead(self, integration):
        """Whether the integration's first token ended as a leaked one."""
        (secret,) = self.management.state(integration)["tokens"]
        return (secret["role"], secret["ended_because"]) == ("ended", "reported as leaked")


@pytest.fixture
def follower(management, tmp_path):
    """In an empty folder."""
    return Follower(tmp_path, management)


def test_the_guide(follower):
    """Each command does what the page says, and prints what it shows."""
    assert list(BLOCKS) == [
        "run: report",
        "shown: report",
        "run: curl",
        "shown: curl",
        "preview",
        "run: rotate",
        "run: activity",
        "run: scan",
    ]

    integration, token = follower.token()
    (follower.folder / "build.log").write_text(f"+ deploy\nusing {token}\n")
    printed = "".join(follower.run(BLOCKS["run: report"]))
    assert printed.replace(token_fingerprint(token), "3f1c9a7b2d40") == BLOCKS["shown: report"]
    assert follower.is_dead(integration)

    client = Client(ServiceConnection(follower.management.url, follower.management.key))
    (page,) = client.tokens_of([integration])
    decision = decisions.decide(in_force(None), page.tokens[0], 1, page.now, issuer="us")
    [said] = re.findall(r'=> "(.*)"', BLOCKS["preview"])
    instant = r"\d{4}-[\d:T-]+Z"
    assert re.sub(instant, "…", decision.reason) == re.sub(instant, "…", said)
    printed = follower.run(BLOCKS["run: rotate"].replace("int_…", integration), key=follower.management.key)
    assert "has a token that works again" in printed[1]

    assert follower.run(BLOCKS["run: activity"].replace("int_…", integration), key=follower.management.key)[0]

    integration, token = follower.token()
    assert follower.run(BLOCKS["run: curl"].replace("pit-…", token))[0] + "\n" == BLOCKS["shown: curl"]
    assert follower.is_dead(integration)

    integration, token = follower.token()
    shutil.copy(SCANNERS / "gitleaks.toml", follower.folder)
    (follower.folder / "settings.env").write_text(f"TOKEN={token}\n")
    follower.run(BLOCKS["run: scan"])
    assert follower.is_dead(integration)


@storage_independent
@pytest.mark.parametrize("scanner", ["gitleaks git", "detect-secrets scan"])
def test_the_scanners_findings_can_be_piped(follower, scanner):
    """What either scanner finds in a repository is dead after the README's commands."""
    integration, token = follower.token()
    texts = re.findall(r"```sh\n(.*?)```", (SCANNERS / "README.md").read_text(), re.DOTALL)
    [text] = [text for text in texts if scanner in text]
    for rule in ("gitleaks.toml", "detect_secrets_plugin.py"):
        shutil.copy(SCANNERS / rule, follower.folder)
    (follower.folder / "settings.env").write_text(f"TOKEN={token}\n")
    identity = "git -c user.name=x -c user.email=x@example.com"
    follower.run(f"git init -q . && git add . && {identity} commit -qm 'A setting'")
    follower.run(text)
    assert follower.is_dead(integration)
