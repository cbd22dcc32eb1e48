"""The provider objects that every release ever wrote into state must load for ever."""

import base64
import subprocess
import sys
from pathlib import Path

import dill
import pytest
from pulumi.dynamic.dynamic import serialize_provider

from private_integrations import provider

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted(GOLDEN.glob("*/*.txt"))


def test_there_are_golden_pickles():
    """Both classes of the first release are kept."""
    assert [file.relative_to(GOLDEN).as_posix() for file in FILES] == [
        "0.1.0/IntegrationProvider.txt",
        "0.1.0/TokenProvider.txt",
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_golden_pickle_loads(file):
    """A serialized provider from a released version is today's class, in a process that imported nothing before."""
    script = "import base64, dill, sys; print(type(dill.loads(base64.b64decode(sys.stdin.read()))))"
    loaded = subprocess.run(
        [sys.executable, "-c", script], input=file.read_text(), capture_output=True, text=True, check=True
    )
    assert loaded.stdout.strip() == f"<class 'private_integrations.provider.{file.stem}'>"


@pytest.mark.parametrize("kind", [provider.IntegrationProvider, provider.TokenProvider])
def test_a_provider_is_serialized_as_its_class_path_alone(kind):
    """Whatever a configured provider holds stays out of state."""
    configured = kind()
    configured._default_account = "an account"
    serialized = base64.b64decode(serialize_provider(configured))
    assert len(serialized) < 120
    assert b"private_integrations.provider" in serialized
    assert b"an account" not in serialized
    assert not vars(dill.loads(serialized))


def test_many_resources_leave_the_pickler_as_it_was():
    """Programs with thousands of resources don't run into the SDK's ever growing chain of wrappers."""
    script = """
import asyncio, pickle, private_integrations as pi
from pulumi.runtime import Mocks, set_mocks
class Nothing(Mocks):
    def new_resource(self, args): return [args.name, args.inputs]
    def call(self, args): return {}
async def program():
    for number in range(1100):
        pi.PrivateIntegration(f"i{number}", scopes=["contacts.readonly"], account="a")
set_mocks(Nothing())
hook = pickle._Pickler._batch_setitems
asyncio.run(program())
print(pickle._Pickler._batch_setitems is hook)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
