"""Simulate replicas, their leases and a database that fails over, in virtual time; every decision is the service's own.

One history is one seed: two or three machines with clocks of their own, requests, changes that end tokens, and faults.
`History.run` counts how often a promise was broken. `Rules` holds the protocol; an ablation replaces one part of it.
"""

import dataclasses
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import inf, log

from private_integrations_service.storage.postgresql import acknowledgement, lease
from private_integrations_service.storage.postgresql.acknowledgement import (
    Answer,
    CommittedChange,
    Refuse,
    RegisteredReplica,
    ReplicaList,
    Sightings,
    Wait,
)
from private_integrations_service.storage.postgresql.lease import (
    LEAVE,
    NO_LEASE,
    Deregister,
    Forget,
    HeartbeatAnswer,
    LeaseTimes,
    Outcome,
    Register,
    Replica,
    ReportLoss,
    SetLease,
    Step,
    after_notification,
    registered,
    start,
)
from private_integrations_service.storage.postgresql.revision import Changed, Revision, changed_since
from private_integrations_service.storage.postgresql.timeline import WatchedTimeline, watch

Steps = Generator[float, None, None]
"""A thread: it yields how many seconds it waits, or minus them while its message is away and no pause can stop it."""

KINDS = ("alone", "sync", "async")
"""One database; a synchronous standby that is promoted while the old primary lives; another one whose primary died."""
TOKENS = 4
END = 4.3
TIMEOUT = 0.3
PARKED = inf


TIMES = LeaseTimes(duration=1.0, heartbeat=0.25, drift=0.1)
FIRST = Revision(0, "first")


@dataclass(frozen=True)
class Rules:
    """The protocol: the service's decisions, and how the engine applies them."""

    times: LeaseTimes = TIMES
    after_heartbeat: Callable[[Replica, float, HeartbeatAnswer, LeaseTimes], Outcome] = lease.after_heartbeat
    after_notification: Callable[[Replica, Revision, Revision, frozenset[str] | None], Outcome] = after_notification
    changed_since: Callable[[Revision, Revision, dict[int, Changed]], frozenset[str] | None] = changed_since
    may_use_remembered: Callable[[float, float, int, int], bool] = lease.may_use_remembered
    may_use_read: Callable[[float, str | None, float, str], bool] = lease.may_use_read
    may_remember: Callable[[int, int, str, str | None], bool] = lease.may_remember
    decide: Callable[..., Wait | Answer | Refuse] = acknowledgement.decide
    replica: type[RegisteredReplica] = RegisteredReplica
    leave: tuple[Step, ...] = LEAVE
    reads_lease_first: bool = True
    looks_before_sending: bool = True
    clock_in_suspend: bool = True
    leases_from_beginning: bool = True
    acknowledges_applied: bool = True
    registers_first: bool = True
    commits_heartbeat: bool = True
    heeds_warning_of_heartbeat: bool = True
    heeds_warning_of_change: bool = True
    repeated_change_writes: bool = True
    reads_primary: bool = True
    removes_seen_beat: bool = True
    trusts_settled_timeline: bool = True
    keeps_revisions: bool = True


@dataclass(frozen=True)
class Faults:
    """The faults of a history, some often and others never: a mixture of all would hide most breaks.

    `loss` and `lags` are how likely a message is lost and a thread stands still, `rerouted` how likely a statement goes
    to another server. Machines join within `joins` seconds. The standby loses its link within `splits` seconds,
    `unreplicated` changes begin right then, and after the promotion machines connect to it within `reconnects` seconds.
    """

    kind: str
    loss: float = 0.2
    lags: float = 0.25
    rerouted: float = 0.0
    reconnects: float = 1.0
    joins: float = 0.1
    splits: float = 2.0
    unreplicated: int = 0


@dataclass(eq=False)
class Server:
    """A database server and what it has stored; `ended` has the instant of each end, `rows` the replicas."""

    timeline: str
    revision: Revision = FIRST
    marks: dict[int, str] = field(default_factory=lambda: {FIRST.number: FIRST.mark})
    changed: dict[int, Changed] = field(default_factory=dict)
    ended: dict[int, float] = field(default_factory=dict)
    rows: dict[str, tuple[int, Revision | None]] = field(default_factory=dict)
    settled: str = "1"
    up: bool = True

    def copy(self, timeline: str) -> "Server":
        """Return a server with the same rows."""
        rows = {**self.rows}
        return Server(timeline, self.revision, {**self.marks}, {**self.changed}, {**self.ended}, rows, self.settled)


class Machine:
    """A machine: its clock, the shared memory that its requests read, and the servers it is connected to."""

    def __init__(self, history: "History", name: str) -> None:
        self.history = history
        self.name = name
        self.rate = 1 + history.rules.times.drift * history.choice((-1, 0, 1))
        self.offset = history.random() * 1000
        self.suspended = 0.0
        self.paused_until = 0.0
        self.alive = True
        self.stopping = False
        self.epoch = 0
        self.lease_end = NO_LEASE
        self.leased_on: str | None = None
        self.memory: dict[int, tuple[int, bool]] = {}
        """The epoch at which each token was remembered, and whether it had ended."""
        self.ring: dict[int, frozenset[str] | None] = {}
        self.lease_server = self.worker_server = history.servers[0]
        self.cut: dict[Server, float] = {}
        self.deaf_until = 0.0
        self.watched: WatchedTimeline | None = None
        self.sightings = Sightings()
        self.lease_thread: Steps = history.lease_thread(self)
        self.asleep: int | None = None
        self.notification: tuple[Revision, Revision, frozenset[str] | None] | None = None

    def clock(self) -> float:
        """Return the boot clock."""
        return self.offset + self.rate * (self.history.now - self.suspended)

    def publish(self, changed: frozenset[str] | None) -> None:
        """Move the epoch, with what a change is about."""
        self.ring[self.epoch + 1] = changed
        self.epoch += 1

    def has_changed(self, token: int, since: int, until: int) -> bool:
        """Return whether a change between two epochs may be about the token."""
        changes = (self.ring[epoch] for epoch in range(since + 1, until + 1))
        return any(changed is None or str(token) in changed for changed in changes)


class History:
    """One history; `run` lets it happen. The counts say what was done, and which promises were broken how often.

    `stale`: a request passed that arrived after the answer to a change that ended its token. `late`: the gateway sent
    a request after that answer. `lost`: an answered change is missing after a promotion. `undetected`: a replica saw
    a database without a revision that it had seen and raised no alarm, or raised one without such a loss.
    """

    def __init__(self, seed: int, rules: Rules, faults: Faults | None = None) -> None:
        self.source = random.Random(seed)
        self.random, self.choice = self.source.random, self.source.choice
        self.rules = rules
        self.now = 0.0
        self.order = count()
        self.queue: list[tuple[float, int, Machine | None, Steps, bool]] = []
        self.woken: set[int] = set()
        self.servers = [Server("1")]
        self.split = False
        self.answered: dict[int, float] = {}
        self.changes = self.passed = self.stale = self.late = self.lost = self.undetected = 0
        self.heartbeats = self.acknowledgements = self.readings = self.notifications = 0
        self.waits: list[float] = []
        self.faults = faults or Faults(
            KINDS[seed % 3],
            loss=self.choice((0.0, 0.05, 0.2)),
            lags=self.choice((0.0, 0.05, 0.25)),
            rerouted=self.choice((0.0, 0.0, 0.4)),
            reconnects=self.choice((0.3, 1.0, 3.0)),
            joins=self.choice((0.1, 0.1, 2.5)),
            unreplicated=self.choice((0, 3)),
        )
        self.machines: list[Machine] = []
        self.plan()

    def plan(self) -> None:
        """Plan machines, changes and faults."""
        for number in range(self.choice((2, 3))):
            machine = self.join(f"m{number}", self.random() * self.faults.joins)
            self.start(machine, self.requests(machine), 0.1)
            self.plan_faults(machine)
        for token in range(TOKENS):
            self.start(None, self.revocations(token), 0.3 + self.random() * 3.2)
        if self.faults.kind == "alone":
            self.start(None, self.outage(), self.random() * 3)
        else:
            self.start(None, self.promotion(), self.random() * self.faults.splits)

    def join(self, name: str, delay: float) -> Machine:
        """Start a machine's lease thread."""
        machine = Machine(self, name)
        self.machines.append(machine)
        self.start(machine, machine.lease_thread, delay)
        return machine

    # Virtual time.

    def start(self, machine: Machine | None, steps: Steps, delay: float = 0.0) -> None:
        """Start a thread."""
        heappush(self.queue, (self.now + delay, next(self.order), machine, steps, False))

    def run(self, end: float = END) -> "History":
        """Let the history happen."""
        queue, order, woken = self.queue, self.order, self.woken
        while queue:
            at, number, machine, steps, away = heappop(queue)
            if at > end:
                break
            if number in woken:
                continue
            if machine is not None and not away:
                if not machine.alive:
                    continue
                if machine.paused_until > at:
                    heappush(queue, (machine.paused_until + self.random() * 0.01, number, machine, steps, False))
                    continue
            self.now = at
            delay = next(steps, None)
            if delay is not None:
                heappush(queue, (at + abs(delay), next(order), machine, steps, delay < 0))
        return self

    def sleep(self, machine: Machine, delay: float) -> None:
        """Have the lease thread go on after `delay`, or when it is woken."""
        machine.asleep = next(self.order)
        heappush(self.queue, (self.now + delay, machine.asleep, machine, machine.lease_thread, False))

    def wake(self, machine: Machine) -> None:
        """Wake a sleeping lease thread."""
        if machine.asleep is not None:
            self.woken.add(machine.asleep)
            machine.asleep = None
            self.start(machine, machine.lease_thread)

    def lag(self) -> float:
        """Return for how long a thread is not scheduled here: mostly for no time."""
        return self.random() * self.random() * 1.5 if self.random() < self.faults.lags else 0.0

    def travel(self, machine: Machine, server: Server) -> float:
        """Return how long a message takes, mostly some milliseconds, or `inf` if it is lost."""
        luck = self.random()
        if luck < self.faults.loss or not server.up or machine.cut.get(server, 0.0) > self.now:
            return inf
        return 0.005 * luck if luck < 0.93 else 4 * (luck - 0.93)

    # A replica.

    def lease_thread(self, machine: Machine) -> Steps:
        """Register, send heartbeats, and take the steps that follow from the answers."""
        rules, times = self.rules, self.rules.times
        outcome = start()
        due, is_notified = 0.0, False
        for beat in count():
            for step in outcome.steps:
                if lag := self.lag():
                    yield lag
                if type(step) is Register:
                    outcome = yield from self.register(machine, outcome.replica)
                elif type(step) is Forget:
                    machine.publish(step.changed)
                elif type(step) is SetLease:
                    machine.lease_end, machine.leased_on = step.end, step.timeline or machine.leased_on
                elif type(step) is Deregister:
                    server = machine.lease_server
                    yield -0.005
                    if self.travel(machine, server) < inf and self.commit(server) is not None and outcome.replica:
                        server.rows.pop(outcome.replica.incarnation or "", None)
                    return
            replica = outcome.replica
            if is_notified:
                is_notified = False
                yield from self.acknowledge(machine, replica)
            if machine.notification is not None:
                notification, machine.notification = machine.notification, None
                notified = rules.after_notification(replica, *notification)
                is_notified = notified.at_once
                outcome = dataclasses.replace(notified, at_once=outcome.at_once)
                continue
            if machine.stopping:
                outcome = Outcome(replica, rules.leave)
                continue
            if not outcome.at_once:
                self.sleep(machine, max(0.0, due - self.now))
                yield PARKED
                machine.asleep = None
                if machine.notification is not None:
                    outcome = Outcome(replica)
                    continue
            outcome = Outcome(replica)
            self.heartbeats += 1
            due = self.now + times.heartbeat * (0.9 + 0.2 * self.random())
            began = machine.clock()
            if lag := self.lag():
                yield lag
            server = machine.lease_server
            arrives = self.travel(machine, server)
            if arrives == inf:
                yield TIMEOUT
                continue
            yield -arrives
            incarnation = replica.incarnation or ""
            row = server.rows.get(incarnation)
            committed = self.commit(server)
            if committed is None and rules.commits_heartbeat:
                yield TIMEOUT
                continue
            acknowledged = replica.applied if rules.acknowledges_applied else server.revision
            if row is not None and rules.commits_heartbeat:
                server.rows[incarnation] = (row[0] + 1, acknowledged)
                if self.random() < self.faults.loss / 4:
                    self.start(None, self.duplicate(server, incarnation, acknowledged), self.random())
            written_on = server.timeline
            replicated = bool(committed) or not rules.commits_heartbeat or not rules.heeds_warning_of_heartbeat
            if self.random() < self.faults.rerouted:
                yield -self.random() * 0.1
                server = self.choice(self.servers)
            answer = HeartbeatAnswer(
                rows=0 if row is None else 1,
                replicated=replicated,
                written_on=written_on,
                read_on=server.timeline,
                revision=server.revision,
                own_mark=self.own_mark(server, replica.applied),
                changed=replica.applied and rules.changed_since(replica.applied, server.revision, server.changed),
            )
            lacks = replica.applied is not None and server.marks.get(replica.applied.number) != replica.applied.mark
            settled, rows = server.settled, self.listed(server) if beat % 3 == 0 else None
            arrives = self.travel(machine, server)
            if arrives == inf or machine.deaf_until > self.now:
                yield TIMEOUT
                continue
            yield arrives + self.lag()
            now = machine.clock()
            outcome = rules.after_heartbeat(replica, began if rules.leases_from_beginning else now, answer, times)
            if replica.applied != outcome.replica.applied:
                self.undetected += lacks != any(type(step) is ReportLoss for step in outcome.steps)
            machine.watched = watch(machine.watched, answer.read_on, settled, now)
            if machine.watched.settles(now, times) and server is machine.lease_server and self.commit(server):
                server.settled = machine.watched.timeline
            if rows is not None:
                machine.sightings = machine.sightings.after(rows, now)
                self.remove(server, machine.sightings.silent(now, times))

    def acknowledge(self, machine: Machine, replica: Replica) -> Steps:
        """Acknowledge without a heartbeat: such a commit waits for no standby, and may be lost."""
        self.acknowledgements += 1
        server, incarnation = machine.lease_server, replica.incarnation or ""
        acknowledged = replica.applied if self.rules.acknowledges_applied else server.revision
        arrives = self.travel(machine, server)
        if arrives == inf:
            yield TIMEOUT
            return
        yield -arrives
        if server.up and incarnation in server.rows:
            server.rows[incarnation] = (server.rows[incarnation][0], acknowledged)
        yield min(self.travel(machine, server), TIMEOUT)

    def register(self, machine: Machine, replica: Replica) -> Generator[float, None, Outcome]:
        """Insert a row; try until it is committed."""
        rules = self.rules
        while True:
            server = machine.lease_server
            incarnation = f"{machine.name}/{next(self.order)}"
            if not rules.registers_first:
                machine.publish(None)
                machine.lease_end, machine.leased_on = rules.times.lease_end(machine.clock()), server.timeline
            arrives = self.travel(machine, server)
            if arrives < inf:
                yield -arrives
                committed = self.commit(server)
                if committed is not None:
                    server.rows[incarnation] = (0, None)
                    answered = self.travel(machine, server)
                    yield min(answered, TIMEOUT)
                    if answered < inf and committed:
                        return registered(replica, incarnation, replicated=True)
            yield TIMEOUT * self.random()

    def duplicate(self, server: Server, incarnation: str, acknowledged: Revision | None) -> Steps:
        """Write a heartbeat that was sent on a connection of before."""
        if server.up and incarnation in server.rows and self.commit(server) is not None:
            server.rows[incarnation] = (server.rows[incarnation][0] + 1, acknowledged)
        yield PARKED

    # The database.

    def commit(self, server: Server) -> bool | None:
        """Return whether a commit is replicated (True), only local (False), or has no end (None)."""
        if self.split and server is self.servers[0]:
            return False if self.random() < 0.4 else None
        return True

    def own_mark(self, server: Server, seen: Revision | None) -> str | None:
        """Return the mark that the server keeps under the number of a revision."""
        return server.marks.get(seen.number) if seen is not None and self.rules.keeps_revisions else None

    def listed(self, server: Server) -> ReplicaList:
        """Return the list of replicas."""
        made = self.rules.replica
        return ReplicaList(
            server.timeline,
            tuple(
                made(name, beat, acknowledged, None if acknowledged is None else server.marks.get(acknowledged.number))
                for name, (beat, acknowledged) in server.rows.items()
            ),
        )

    def remove(self, server: Server, silent: tuple[tuple[str, int], ...]) -> None:
        """Delete the rows of silent replicas."""
        for incarnation, beat in silent:
            row = server.rows.get(incarnation)
            if row is not None and row[0] == beat and self.commit(server) is not None:
                del server.rows[incarnation]

    # Requests.

    def requests(self, machine: Machine) -> Steps:
        """Send requests, one after the other."""
        while True:
            yield 0.05 + self.random() * 0.3
            yield from self.request(machine)

    def request(self, machine: Machine) -> Steps:
        """Decide as a worker does, on one request with each of the tokens; what isn't remembered is read together."""
        rules, arrival = self.rules, self.now
        if not rules.reads_lease_first:
            epoch = machine.epoch
            if lag := self.lag():
                yield lag
        lease_end, now = machine.lease_end, machine.clock()
        if rules.reads_lease_first:
            if lag := self.lag():
                yield lag
            epoch = machine.epoch
        kept = self.remembered(machine, lease_end, now, epoch)
        ended = {token for token, has_ended in kept.items() if has_ended}
        missing = [token for token in range(TOKENS) if token not in kept]
        if missing:
            server = machine.worker_server
            arrives = self.travel(machine, server)
            if arrives == inf:
                return
            yield -arrives
            shown = self.now if rules.reads_primary else self.now - 0.15
            read = {token: token in server.ended and server.ended[token] <= shown for token in missing}
            read_on = server.timeline
            arrives = self.travel(machine, server)
            if arrives == inf:
                return
            yield arrives
            if lag := self.lag():
                yield lag
            lease_end, leased_on, now, after = machine.lease_end, machine.leased_on, machine.clock(), machine.epoch
            ended |= {token for token, has_ended in read.items() if has_ended}
            if rules.may_remember(epoch, after, read_on, leased_on):
                machine.memory |= {token: (after, has_ended) for token, has_ended in read.items()}
            if not rules.may_use_read(lease_end, leased_on, now, read_on):
                return
        self.passed += 1
        self.stale += any(at < arrival and token not in ended for token, at in self.answered.items())
        if self.random() < 0.3:
            yield self.lag() or self.random() * 0.05
            if not rules.looks_before_sending or rules.may_use_remembered(
                machine.lease_end, machine.clock(), epoch, machine.epoch
            ):
                self.late += any(at < self.now and token not in ended for token, at in self.answered.items())

    def remembered(self, machine: Machine, lease_end: float, now: float, epoch: int) -> dict[int, bool]:
        """Return which of the tokens have ended by memory; those that may have changed since are forgotten."""
        kept = {}
        for token, (since, has_ended) in list(machine.memory.items()):
            if since < epoch:
                if machine.has_changed(token, since, epoch):
                    del machine.memory[token]
                    continue
                machine.memory[token] = (since := epoch), has_ended
            if self.rules.may_use_remembered(lease_end, now, since, epoch):
                kept[token] = has_ended
        return kept

    # Changes.

    def revocations(self, token: int) -> Steps:
        """End a token, at one machine or another until it is answered, or until the caller gives up."""
        for _ in range(3):
            machine = self.choice(self.machines)
            if machine.alive and not machine.stopping:
                self.start(machine, self.revoke(machine, token))
            yield 0.1 + self.random() * 1.2

    def revoke(self, machine: Machine, token: int) -> Steps:
        """End a token in one transaction, and wait until the change may be answered."""
        rules, times = self.rules, self.rules.times
        server = self.choice((machine.lease_server, machine.worker_server))
        arrives = self.travel(machine, server)
        if arrives == inf:
            return
        yield -arrives
        if token in server.ended and not rules.repeated_change_writes:
            yield 0.01
            self.answer(server.revision, token)
            return
        committed = self.commit(server)
        if committed is None:
            return
        before = server.revision
        revision = Revision(before.number + 1, f"{server.timeline}/{next(self.order)}")
        server.revision = revision
        server.marks[revision.number] = revision.mark
        server.changed[revision.number] = revision.mark, frozenset({str(token)})
        server.ended.setdefault(token, self.now)
        on, settled = server.timeline, server.settled
        self.start(None, self.notify(server, revision, before, token), self.travel(machine, server))
        arrives = self.travel(machine, server)
        if arrives == inf:
            return
        yield arrives
        answered, now = self.now, machine.clock()
        machine.watched = watch(machine.watched, on, settled, now)
        trusted = machine.watched.trusted_from(times) if rules.trusts_settled_timeline else -inf
        change = CommittedChange(revision, on, now, committed or not rules.heeds_warning_of_change, trusted)
        replicas, sightings = None, Sightings()
        while True:
            decision = rules.decide(change, replicas, sightings, machine.clock(), times)
            if type(decision) is Answer:
                self.waits.append(self.now - answered)
                self.answer(revision, token)
                silent = decision.silent
                if not rules.removes_seen_beat and replicas is not None:
                    late = {r.incarnation for r in replicas.replicas if not r.has_acknowledged(revision)}
                    silent = tuple((name, server.rows[name][0]) for name in late if name in server.rows)
                self.remove(server, silent)
                return
            if type(decision) is Refuse:
                return
            polled = self.choice(self.servers) if self.random() < self.faults.rerouted else server
            self.readings += 1
            arrives, returns = self.travel(machine, polled), self.travel(machine, polled)
            if arrives + returns < inf:
                yield -arrives
                replicas = self.listed(polled)
                yield returns
                sightings = sightings.after(replicas, machine.clock())
            left = max(0.0, decision.until - machine.clock()) / machine.rate
            yield min(self.pause_of_reading(self.now - answered), left + 0.001)

    def notify(self, server: Server, revision: Revision, before: Revision, token: int) -> Steps:
        """Notify some of the machines."""
        for machine in self.machines:
            if machine.lease_server is server and self.is_notified():
                self.notifications += 1
                machine.notification = revision, before, frozenset({str(token)})
                self.wake(machine)
        yield PARKED

    def is_notified(self) -> bool:
        """Return whether a notification arrives."""
        return self.random() < 0.35

    def pause_of_reading(self, waited: float) -> float:
        """Return how long a writer pauses between two readings of the list."""
        return 0.05 + self.random() * 0.3

    def answer(self, revision: Revision, token: int) -> None:
        """Answer a change, and send requests at once."""
        self.changes += 1
        if self.servers[-1].marks.get(revision.number) != revision.mark:
            self.lost += 1
            return
        self.answered.setdefault(token, self.now)
        for machine in self.machines:
            self.start(machine, self.request(machine), 0.001)
            self.start(machine, self.request(machine), self.random() * 0.5)

    # Faults.

    def plan_faults(self, machine: Machine) -> None:
        """Plan the faults of a machine."""
        plans = (
            (self.pause, 0.3),
            (self.suspend, 0.2),
            (self.cut_off, 0.3),
            (self.deafen, 0.2),
            (self.stop, 0.15),
            (self.crash, 0.1),
        )
        for fault, likely in plans:
            if self.random() < likely:
                self.start(None, fault(machine), self.random() * 4)

    def pause(self, machine: Machine) -> Steps:
        """Stop all threads for a while."""
        machine.paused_until = max(machine.paused_until, self.now + self.random() * 2.5)
        yield PARKED

    def suspend(self, machine: Machine) -> Steps:
        """Suspend the machine for a while."""
        lasts = self.random() * 2
        if machine.paused_until < self.now:
            machine.paused_until = self.now + lasts
            machine.suspended += 0.0 if self.rules.clock_in_suspend else lasts
        yield PARKED

    def cut_off(self, machine: Machine) -> Steps:
        """Drop all messages between the machine and a server for a while."""
        machine.cut[self.choice(self.servers)] = self.now + self.random() * 2.5
        yield PARKED

    def deafen(self, machine: Machine) -> Steps:
        """Drop the answers to heartbeats for a while: the database gets them all."""
        machine.deaf_until = self.now + self.random() * 2.5
        yield PARKED

    def stop(self, machine: Machine) -> Steps:
        machine.stopping = True
        self.wake(machine)
        yield PARKED

    def crash(self, machine: Machine) -> Steps:
        machine.alive = False
        yield PARKED

    def outage(self) -> Steps:
        """Stop the database for a while."""
        self.servers[0].up = self.random() < 0.4
        yield self.random() * 2
        self.servers[0].up = True

    def promotion(self) -> Steps:
        """Promote the standby as it was when its link broke."""
        primary = self.servers[0]
        standby = primary.copy("2")
        self.split = self.faults.kind == "sync"
        for _ in range(self.faults.unreplicated):
            machine = self.choice(self.machines)
            self.start(machine, self.revoke(machine, self.choice(range(TOKENS))), self.random() * 0.3)
        yield self.random() * (1.0 if self.split else 0.8)
        if self.random() < 0.15:
            self.split = False
            return
        primary.up = self.split
        self.servers.append(standby)
        for token in [token for token in self.answered if token not in standby.ended]:
            self.lost += 1
            del self.answered[token]
        self.start(None, self.revocations(self.choice(range(TOKENS))), self.random() * 0.5)
        for machine in self.machines:
            self.start(None, self.reconnect(machine, standby), self.random() ** 2 * self.faults.reconnects)

    def reconnect(self, machine: Machine, standby: Server) -> Steps:
        """Connect a machine to the new primary: its lease thread and its workers, in some order."""
        first, second = self.choice((("lease_server", "worker_server"), ("worker_server", "lease_server")))
        setattr(machine, first, standby)
        yield self.random() * self.faults.reconnects
        setattr(machine, second, standby)
        if self.random() < 0.2:
            yield self.random()
            setattr(machine, first, self.servers[0])
            yield self.random()
            setattr(machine, first, standby)


class Crowd(History):
    """Many replicas without faults, which end tokens at random moments."""

    def __init__(self, seed: int, replicas: int, changes: int, *, notify: bool) -> None:
        self.replicas, self.planned, self.notify_all = replicas, changes, notify
        super().__init__(seed, Rules(times=LeaseTimes()), Faults("alone", loss=0.0, lags=0.0))

    def plan(self) -> None:
        """Plan a minute of changes."""
        for number in range(self.replicas):
            self.join(f"m{number}", self.random())
        for token in range(self.planned):
            self.start(None, self.revocation(token), 2 + self.random() * 60)

    def revocation(self, token: int) -> Steps:
        """End a token at one of the machines."""
        machine = self.choice(self.machines)
        self.start(machine, self.revoke(machine, token))
        yield PARKED

    def travel(self, machine: Machine, server: Server) -> float:
        """Return half of a COMMIT's time: 2.8 ms at the median and 16 ms at the 99th percentile, measured."""
        return self.source.lognormvariate(log(0.0014), 0.75)

    def is_notified(self) -> bool:
        """Return whether the changes notify."""
        return self.notify_all

    def pause_of_reading(self, waited: float) -> float:
        """Return a pause that grows with the time waited, to 50 ms."""
        return min(0.05, 0.002 + waited / 4)
