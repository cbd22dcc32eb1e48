"""The real provider in the real engine over a network that fails: nobody is cut off, and one reason rotates once."""

import pulumi
import pulumi.automation as auto
import pytest

import private_integrations as pi
from consumer import Consumer
from integrations import contacts
from trials.proxy import Faults, FaultyProxy

# A lost answer costs the client's real pauses; the tries of so many commands in a row are not the network's doing.
TRIES = 5
NAMES = ("crm", "mail", "phone")
READ = ["contacts.readonly"]
WRITE = ["contacts.readonly", "contacts.write"]


@pytest.fixture
def faulty(service):
    """A way to the service that is whole until told otherwise."""
    with FaultyProxy(service.url) as started:
        yield started


@pytest.fixture
def environment(service, faulty):
    """The provider talks to the service through the faulty proxy."""
    return {**service.environment, "PRIVATE_INTEGRATIONS_URL": faulty.url}


def three(trigger, scopes):
    """A program with three integrations and their consumers: few commands of the engine, many requests."""

    def program():
        for name in NAMES:
            rotation = pi.Rotation(every="90d", overlap="7d", trigger=trigger)
            made = pi.PrivateIntegration(name, scopes=scopes, rotation=rotation)
            Consumer(f"{name}-consumer", made.token)
            pulumi.export(name, pulumi.Output.all(id=made.id, token=made.token, generation=made.generation))

    return program


class Life:
    """Three integrations of a stack, and what is found of them after each command over the faulty network."""

    def __init__(self, stack, service, client, faulty):
        self.stack, self.service, self.client, self.faulty = stack, service, client, faulty
        self.tokens = {name: [] for name in NAMES}
        self.generations = dict.fromkeys(NAMES, 0)

    def deploy(self, trigger, scopes, *, rotates):
        """`up` until it succeeds: the new token works, the one before does, and each run rotated once at most."""
        runs = until_it_succeeds(lambda: self.stack.up(three(trigger, scopes)))
        outputs = self.stack.outputs()
        self.faulty.flush()
        for name in NAMES:
            held = outputs[name]
            self._check_generations(name, held, runs if rotates else 0)
            if held["token"] not in self.tokens[name]:
                self.tokens[name].append(held["token"])
            in_use = self.tokens[name][-2:]
            assert [contacts(self.service, token) for token in in_use] == [200] * len(in_use)

    def destroy(self):
        """`destroy` until it succeeds: nothing is left, and no token opens anything."""
        until_it_succeeds(self.stack.destroy)
        self.faulty.flush()
        assert not list(self.client.integrations(under=f"organization/{self.stack.project}"))
        issued = [token for tokens in self.tokens.values() for token in tokens]
        assert {contacts(self.service, token) for token in issued} == {401}

    def _check_generations(self, name, held, at_most):
        [page] = self.client.tokens_of([held["id"]])
        [state] = page.tokens
        assert state.last_generation == held["generation"], "the state holds the newest one: no late copy made another"
        assert min(1, at_most) <= state.last_generation - self.generations[name] <= at_most
        self.generations[name] = state.last_generation


def until_it_succeeds(command):
    """Repeat a command as a pipeline's owner would; how often it ran."""
    for runs in range(1, TRIES + 1):
        try:
            command()
        except auto.CommandError as error:
            if "private-integrations:" not in str(error):
                raise
        else:
            return runs
    raise AssertionError(f"{TRIES} times in a row is not the network")


def test_a_whole_life_over_a_faulty_network(stack, service, client, faulty):
    """Create, rotate, edit, rotate, destroy: whoever follows the state is never without a token that works."""
    faulty.behave(Faults.at_loss(0.15), seed=11)
    life = Life(stack, service, client, faulty)
    life.deploy(None, READ, rotates=True)
    life.deploy("first", READ, rotates=True)
    life.deploy("first", WRITE, rotates=False)
    assert contacts(service, life.tokens["crm"][-1], "POST") == 201
    life.deploy("second", WRITE, rotates=True)
    life.destroy()
    assert faulty.counts.total() > faulty.counts["delivered"], "this network never failed"
