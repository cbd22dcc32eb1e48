"""Sealing: what is sealed opens with the right key, for its own purpose and account, and unchanged; else not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_integrations.contract import new_sealing_key
from private_integrations.errors import ConfigurationError
from private_integrations_service.sealing import SealBroken, Sealer, key_of

FIRST, SECOND = "psk-" + "5ea1" * 16, "psk-" + "5ea2" * 16
SEALER = Sealer([FIRST])
TEXT = st.text(st.characters(codec="utf-8"))


def seal(value="s3cret", *, sealer=SEALER, purpose="upstream", account="a"):
    """A sealed value."""
    return sealer.seal(value, purpose=purpose, account=account)


def opened(sealed, *, sealer=SEALER, purpose="upstream", account="a"):
    """What is in a sealed value."""
    return sealer.open(sealed, purpose=purpose, account=account)


@given(TEXT, TEXT, TEXT)
def test_what_is_sealed_opens(value, purpose, account):
    """Any text comes back, for any purpose and account."""
    assert opened(seal(value, purpose=purpose, account=account), purpose=purpose, account=account) == value


@given(TEXT, TEXT, TEXT, TEXT)
def test_it_opens_for_nothing_else(purpose, account, other_purpose, other_account):
    """Another purpose or account opens nothing, however the two are cut."""
    sealed = seal(purpose=purpose, account=account)
    if (purpose, account) == (other_purpose, other_account):
        other_account += "x"
    with pytest.raises(SealBroken, match="changed in the database, or sealed for another account"):
        opened(sealed, purpose=other_purpose, account=other_account)


@given(st.data())
def test_a_changed_value_does_not_open(data):
    """One bit turned over anywhere, or an end cut off, and nothing opens."""
    sealed = bytearray(seal())
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(SealBroken):
        opened(bytes(sealed))
    with pytest.raises(SealBroken):
        opened(seal()[:at])


@given(st.binary(max_size=100))
def test_what_was_never_sealed_does_not_open(stored):
    """Whatever bytes are in the database, the answer is that they can't be opened."""
    with pytest.raises(SealBroken):
        opened(stored)


def test_the_first_key_seals_and_every_key_opens():
    """A new key in front seals from then on; what the old one sealed still opens, until the old one is gone."""
    old = seal()
    both = Sealer([SECOND, FIRST])
    new = seal(sealer=both)
    assert (opened(old, sealer=both), opened(new, sealer=both)) == ("s3cret", "s3cret")
    assert key_of(new) == both.first_key == Sealer([SECOND]).first_key
    assert key_of(old) == SEALER.first_key != both.first_key
    with pytest.raises(SealBroken, match=f"sealed with key {SEALER.first_key}, which is not among the sealing keys"):
        opened(old, sealer=Sealer([SECOND]))


def test_a_foreign_key_does_not_open_under_a_forged_id():
    """The key's id, written over, only leads to another refusal."""
    sealed = seal()
    forged = sealed[:1] + bytes.fromhex(Sealer([SECOND]).first_key) + sealed[5:]
    with pytest.raises(SealBroken, match="was changed"):
        opened(forged, sealer=Sealer([SECOND, FIRST]))


def test_no_two_seals_are_alike():
    """The same value sealed twice shows nobody that it is the same."""
    assert len({seal() for _ in range(100)}) == 100


@pytest.mark.parametrize("key", ["", "psk-", FIRST[:-1], FIRST + "0", FIRST.upper(), "pmk-" + "0" * 64, "ü"])
def test_what_is_no_key_is_refused_and_not_shown(key):
    """A key that was cut off, or is something else, is refused in one line without it."""
    with pytest.raises(ConfigurationError) as refused:
        Sealer([FIRST, key])
    assert str(refused.value) == (
        "a sealing key is psk- and 64 hex digits, and one of those given is not; "
        "`private-integrations upstreams new-key` makes one"
    )


def test_a_new_key_is_one():
    """What `upstreams new-key` makes is taken, and is another one each time."""
    assert Sealer([new_sealing_key()]).first_key != Sealer([new_sealing_key()]).first_key


def test_without_any_key():
    """No sealer without a key."""
    with pytest.raises(ConfigurationError, match="there is no sealing key"):
        Sealer([])


def test_a_sealer_shows_no_key():
    """What a log may show of it are the ids of its keys."""
    both = Sealer([FIRST, SECOND])
    assert repr(both) == f"Sealer({', '.join(sorted((SEALER.first_key, Sealer([SECOND]).first_key)))})"
