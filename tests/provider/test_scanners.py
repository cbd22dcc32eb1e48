"""The rules in examples/scanners: what the real scanners find with them, and what they leave alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import transient_settings

from throwaway import REPOSITORY

SCANNERS = REPOSITORY / "examples" / "scanners"
PLUGIN = SCANNERS / "detect_secrets_plugin.py"
GITLEAKS = REPOSITORY / ".venv" / "gitleaks"

DIGITS = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
TOKEN = "pit-" + DIGITS
KEYS = ["pmk-" + "0123456789abcdef" * 4, "psk-" + "fedcba9876543210" * 4]

TOKENS_FOUND = [
    f"PIT={TOKEN}",
    f'{{"token": "{TOKEN}"}}',
    f"Authorization: Bearer {TOKEN}",
    f"https://crm.example/?token={TOKEN}&limit=20",
    f"curl -H 'Authorization: {TOKEN}'; echo",
    f"({TOKEN}).",
    f"- name: x\t{TOKEN}\r",
]
LEFT_ALONE = [
    DIGITS,
    "pat-" + DIGITS,
    "spit-" + DIGITS,
    "pit-" + DIGITS.upper(),
    "pit-" + DIGITS[:-1],
    "pit-" + DIGITS + "0",
    "pit-" + DIGITS.replace("-", ""),
    'TOKEN = "pit-" + "' + DIGITS + '"',
    "pit-…, pit-0a1b2c3d-…",
    "pmk-" + DIGITS,
    "pmk-" + "0123456789abcdef" * 3,
    "sk-" + "0123456789abcdef" * 4,
]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with one line of each kind; in every file the lines that are secrets come first."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "settings.env").write_text("\n".join([*TOKENS_FOUND, *LEFT_ALONE, ""]))
    (folder / "deploy.py").write_text("\n".join([*(f'KEY = "{key}"' for key in KEYS), *LEFT_ALONE, ""]))
    return folder


EXPECTED = {("settings.env", "token", line) for line in range(1, len(TOKENS_FOUND) + 1)} | {
    ("deploy.py", "key", line) for line in range(1, len(KEYS) + 1)
}


def run(*command, cwd):
    """What a scanner prints."""
    assert Path(command[0]).exists(), "the scanner is not there; run scripts/setup and scripts/test-tools"
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout


def gitleaks(folder):
    """What gitleaks finds below a folder, with our rules alone, and its exit code."""
    command = [GITLEAKS, "dir", folder, "--config", SCANNERS / "gitleaks.toml", "--no-banner"]
    code, printed = run(*map(str, command), "--report-format", "json", "--report-path", "-", cwd=folder)
    return code, json.loads(printed)


def test_gitleaks(project):
    """The real gitleaks finds every token and key, and nothing else; the report has the token, as `leaked` needs it."""
    code, found = gitleaks(project)
    names = {"private-integration-token": "token", "private-integrations-key": "key"}
    assert {(Path(each["File"]).name, names[each["RuleID"]], each["StartLine"]) for each in found} == EXPECTED
    assert {each["Secret"] for each in found} == {TOKEN, *KEYS}
    assert code == 1


def test_detect_secrets(project):
    """The real detect-secrets, as its users start it, finds each by our plugin, whatever else it finds."""
    command = [str(Path(sys.executable).parent / "detect-secrets"), "scan", "--all-files", "--plugin", str(PLUGIN), "."]
    code, printed = run(*command, cwd=project)
    assert code == 0
    assert TOKEN not in printed
    names = {"Private Integration Token": "token", "Private Integrations Key": "key"}
    results = [each for file in json.loads(printed)["results"].values() for each in file]
    # Of a secret that is in a file many times it names the first line.
    assert {(each["filename"], names[each["type"]]) for each in results if each["type"] in names} == {
        ("settings.env", "token"),
        ("deploy.py", "key"),
    }


@pytest.mark.parametrize("line", [*TOKENS_FOUND, *KEYS, *LEFT_ALONE])
def test_detect_secrets_line_by_line(tmp_path, line):
    """Each line by itself, with the filters that are always on: one of them takes a UUID for harmless."""
    file = tmp_path / "line.txt"
    file.write_text(line + "\n")
    assert len(plugin_finds([file])) == (line not in LEFT_ALONE)


def plugin_finds(files):
    """What our plugin finds in files."""
    names = ["PrivateIntegrationTokenDetector", "PrivateIntegrationsKeyDetector"]
    used = [{"name": name, "path": f"file://{PLUGIN}"} for name in names]
    found = SecretsCollection()
    with transient_settings({"plugins_used": used}):
        for file in files:
            found.scan_file(str(file))
    return list(found)


def test_this_repository_trips_neither():
    """Example tokens in tests and docs are split over two literals, so that scanners stay quiet here."""
    folders = [REPOSITORY / name for name in ("bench", "docs", "examples", "tests", "tools")]
    texts = [file for folder in folders for kind in ("py", "md") for file in folder.rglob(f"*.{kind}")]
    assert len(texts) > 100
    assert plugin_finds([*texts, *REPOSITORY.glob("*.md")]) == []
    # Python joins the literals that it compiles.
    found = [leak for folder in folders for leak in gitleaks(folder)[1] if "__pycache__" not in leak["File"]]
    assert found == []
