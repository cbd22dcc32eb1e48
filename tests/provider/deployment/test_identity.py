"""External ids: as unique as URNs are, within their limit, and readable where a command is printed from them."""

import re
import threading

from hypothesis import given
from hypothesis import strategies as st

from private_integrations.deployment.holders import Holders
from private_integrations.deployment.identity import (
    LONGEST,
    external_id,
    is_named,
    name_of,
    qualified_type,
    rename_command,
    stack_of,
    token_urn,
)

STACK = "organization/shop/dev"
OURS = "pulumi-python:dynamic/private_integrations:PrivateIntegration"

parts = st.text("ab/$", min_size=1, max_size=3)
types = st.builds("{}:{}:{}".format, parts, parts, parts)
parents = st.lists(types, max_size=3).map("$".join)
names = st.text("ab:/$ ", min_size=1, max_size=6)


def parent_urn(types_, name="parent"):
    """The URN of a parent with these types; None for none."""
    return f"urn:pulumi:dev::shop::{types_}::{name}" if types_ else None


@given(st.lists(st.tuples(parents, names), min_size=2, max_size=2, unique=True))
def test_two_urns_never_have_one_external_id(two):
    """Parents and name decide, even with colons, slashes and dollar signs in them."""
    first, second = (external_id(STACK, name, parent_urn(types_)) for types_, name in two)
    assert first != second
    assert stack_of(first) == STACK


@given(parents, names)
def test_the_logical_name_is_found_again(types_, name):
    """The logical name can be read from the external id that was computed for it."""
    computed = external_id(STACK, name, parent_urn(types_))
    assert is_named(computed, name)
    assert name_of(computed) == name


@given(st.integers(1, 400), st.integers(1, 400), parts)
def test_long_types_are_shortened_and_stay_apart(first, second, name):
    """An external id has at most 512 characters below however many components; others give other ones."""
    made = {
        count: external_id(STACK, name, parent_urn("$".join(["app:index:Part"] * count))) for count in {first, second}
    }
    assert len(set(made.values())) == len(made)
    assert all(len(each) <= LONGEST for each in made.values())


def test_without_a_parent_it_is_what_it_was():
    """A resource below the stack itself keeps the external id of earlier versions, slashes and all."""
    assert external_id(STACK, "crm") == f"{STACK}/crm"
    assert external_id(STACK, "a/b") == f"{STACK}/a/b"
    assert external_id(STACK, "crm", parent_urn("pulumi:pulumi:Stack", "shop-dev")) == f"{STACK}/crm"


def test_types_with_an_empty_module_are_read_with_the_parents_name():
    """`app::Shop` and `app::Part` are two types, though a URN is split at its double colons."""
    shop, part = (parent_urn(f"app::{kind}") for kind in ("Shop", "Part"))
    assert qualified_type(shop, "parent") == "app::Shop"
    assert external_id(STACK, "crm", shop, "parent") != external_id(STACK, "crm", part, "parent")


def test_the_command_names_the_token_in_the_state():
    """Its URN has the types of the components, and the new name is quoted for a shell where it must be."""
    token = f"{OURS}$pulumi-python:dynamic/private_integrations:Token"
    root, below = external_id(STACK, "sync"), external_id(STACK, "it's", parent_urn("app:index:Shop"))
    assert token_urn(root, "crm") == f"urn:pulumi:dev::shop::{token}::crm"
    assert rename_command(root, "crm", "sync") == f"pulumi state rename 'urn:pulumi:dev::shop::{token}::crm' sync"
    assert rename_command(below, "crm", "it's").endswith(f"::app:index:Shop${token}::crm' 'it'\"'\"'s'")
    shortened = external_id(STACK, "sync", parent_urn("$".join(["app:index:Part"] * 60)))
    assert re.search("URN of the Token crm that pulumi stack --show-urns", rename_command(shortened, "crm", "sync"))


def test_one_of_many_threads_gets_a_place():
    """If many resources take a place at once, all but one get the name of another holder."""
    holders, told = Holders(), []
    begin = threading.Barrier(8)

    def take(resource):
        begin.wait()
        told.append(holders.take(("account", f"{STACK}/crm"), resource))

    threads = [threading.Thread(target=take, args=(f"{STACK}/{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count(None) == 1
    assert len(told) == 8


def test_a_resource_takes_its_place_again():
    """The two checks of a replacement are one resource's."""
    holders = Holders()
    assert [holders.take(("account", f"{STACK}/crm"), "crm") for _ in range(2)] == [None, None]
    assert holders.has_taken(("account", f"{STACK}/crm"), "crm")
    assert holders.other(("account", f"{STACK}/crm"), "crm") is None
    assert holders.other(("account", f"{STACK}/crm"), "sync") == "crm"
