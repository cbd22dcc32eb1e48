"""The built wheel in an empty environment, without the service extra, as a team that only deploys installs it."""

import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Python of an environment that has the wheel and its core dependencies, at the tested versions."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(REPOSITORY)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    constraints = folder / "constraints.txt"
    lock = (REPOSITORY / "requirements.lock").read_text()
    constraints.write_text("\n".join(re.findall(r"^[a-z0-9.-]+==[^ ;\\]+", lock, re.MULTILINE | re.IGNORECASE)))
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "-c", constraints, wheel], check=True)
    return python


def run(python, *arguments, **options):
    """Run a command of the environment away from the source folders."""
    return subprocess.run(
        [python, *arguments], capture_output=True, text=True, cwd=python.parents[2], env={"PATH": ""}, **options
    )


def test_public_names(installed):
    """Everything that is promised can be imported, and nothing else is."""
    script = "import private_integrations as pi; print([getattr(pi, n).__name__ for n in dir(pi) if n != 'Scope'])"
    done = run(installed, "-c", script, check=True)
    assert done.stdout.strip() == "['PrivateIntegration', 'PrivateIntegrationError', 'Rotation']"


def test_types(installed):
    """A user's program is checked against the types that the wheel ships."""
    command = ["-m", "mypy", "--strict", "--python-executable", str(installed), "--cache-dir", "/dev/null"]
    program = REPOSITORY / "tests" / "typing" / "a_users_program.py"
    done = run(Path(sys.executable), *command, str(program))
    assert done.returncode == 0, done.stdout


def test_serve_without_the_extra(installed):
    """`serve` says what to install."""
    done = run(installed, "-m", "private_integrations.cli", "serve")
    assert done.returncode == 2
    assert "pip install 'private-integrations[service]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_scopes_without_the_extra(installed):
    """What a request needs is in the catalogue, which is in the wheel and needs none of the service's parts."""
    done = run(installed, "-m", "private_integrations.cli", "scopes", "--for", "GET", "/contacts/x")
    assert (done.returncode, done.stderr) == (0, "")
    assert "contacts.readonly" in done.stdout


def test_the_command_line_starts_without_pulumi(installed):
    """The command line doesn't wait for an SDK that it doesn't use."""
    script = "import sys, private_integrations.cli; print('pulumi' in sys.modules)"
    assert run(installed, "-c", script, check=True).stdout.strip() == "False"
