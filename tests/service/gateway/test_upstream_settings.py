"""Starting with an upstream: where the sealing keys may come from, and what is refused before anything is made."""

import re

import pytest

from forked import running_service
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import new_sealing_key
from private_integrations.errors import ConfigurationError
from private_integrations_service.sealing import Sealer
from private_integrations_service.settings import Settings

KEY, OLDER = new_sealing_key(), new_sealing_key()
PLATFORM = "https://services.example.com"


@pytest.fixture
def file(tmp_path):
    """Writes a file of sealing keys that only its owner can read."""

    def write(text, mode=0o600):
        made = tmp_path / "sealing.keys"
        made.write_text(text)
        made.chmod(mode)
        return made

    return write


def read(**given):
    """The settings, of an environment that names nothing unless it is given."""
    return Settings.from_environment(**{"environment": {}} | given)


def refusal(**given):
    """What is said to settings that are refused; never a key."""
    with pytest.raises(ConfigurationError) as refused:
        read(**given)
    assert not re.search("psk-[0-9a-f]", str(refused.value))
    return str(refused.value)


def test_neither_upstream_nor_keys():
    """The sandbox needs no key."""
    assert (read().upstream, read().sealer) == (None, None)


def test_keys_of_the_environment():
    """Several are separated by white space, the newest first."""
    keys = f" {KEY}\n{OLDER} "
    found = read(environment={"PRIVATE_INTEGRATIONS_SEALING_KEYS": keys}, upstream=f"{PLATFORM}/")
    assert (found.upstream, repr(found.sealer)) == (f"{PLATFORM}/", repr(Sealer([KEY, OLDER])))
    assert found.sealer.first_key == Sealer([KEY]).first_key
    assert KEY not in repr(found)


def test_keys_of_a_file(file):
    """One a line, the newest first, with comments and empty lines."""
    found = read(sealing_keys=file(f"# of November\n{KEY}  # new\n\n{OLDER}\n"), upstream=PLATFORM)
    assert (found.sealer.first_key, repr(found.sealer)) == (Sealer([KEY]).first_key, repr(Sealer([KEY, OLDER])))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620])
def test_a_file_that_others_can_touch(file, mode):
    """Neither read nor written by others, or it is said what to run."""
    keys = file(KEY, mode)
    assert refusal(sealing_keys=keys) == f"{keys} can be used by others than its owner; run: chmod 600 {keys}"


def test_a_file_in_the_data_folder(file, tmp_path):
    """A backup of the folder would hold lock and key, also by a link or another spelling."""
    keys = file(KEY)
    for data_dir in (tmp_path, tmp_path / "x" / ".."):
        assert refusal(sealing_keys=keys, data_dir=data_dir) == (
            f"{keys} is inside the data folder, so that every copy of the folder would hold the credentials and the "
            "key to them; keep the sealing keys elsewhere"
        )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "keys").symlink_to(keys)
    assert read(sealing_keys=tmp_path / "data" / "keys", data_dir=tmp_path / "data").sealer is not None


def test_files_without_keys(file, tmp_path):
    """An empty file, a missing one and a folder are one clear line each."""
    empty = file("# nothing yet\n")
    make_one = "`private-integrations upstreams new-key` makes one"
    assert refusal(sealing_keys=empty) == f"there is no sealing key in {empty}; {make_one}"
    missing = tmp_path / "missing"
    assert refusal(sealing_keys=missing) == (
        f"the sealing keys can't be read from {missing}: No such file or directory"
    )
    assert refusal(sealing_keys=tmp_path).endswith("Is a directory")
    assert refusal(sealing_keys=file(KEY[:-1])).startswith("a sealing key is psk- and 64 hex digits")


def test_keys_given_twice(file):
    """Which ones would count is not guessed."""
    assert refusal(sealing_keys=file(KEY), environment={"PRIVATE_INTEGRATIONS_SEALING_KEYS": KEY}) == (
        "give the sealing keys as --sealing-keys FILE or as PRIVATE_INTEGRATIONS_SEALING_KEYS, not both"
    )


def test_an_upstream_without_keys():
    """It is said how to make a key and where to put it."""
    assert refusal(upstream=PLATFORM) == (
        "--upstream needs a sealing key for the credentials that it is asked with: write one to a file of your own "
        "with `private-integrations upstreams new-key` and give it as --sealing-keys FILE (or "
        "PRIVATE_INTEGRATIONS_SEALING_KEYS_FILE, or the keys themselves as PRIVATE_INTEGRATIONS_SEALING_KEYS)"
    )


def test_the_first_start_with_an_upstream(tmp_path):
    """There is a key and nothing else: no demo account whose id the platform doesn't know."""
    settings = {"PRIVATE_INTEGRATIONS_UPSTREAM": "http://127.0.0.1:9", "PRIVATE_INTEGRATIONS_SEALING_KEYS": KEY}
    with running_service(tmp_path, **settings) as service:
        assert Client(ServiceConnection(service.url, service.key)).accounts() == []
        service.process.terminate()
        assert service.process.stdout.read() == "stopped\n"
    assert [name.name for name in tmp_path.iterdir() if KEY.encode() in name.read_bytes()] == []
