"""A preview, which reads the API, decides the same as the service, which reads its own records."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from private_integrations.contract import AccountClass, GenerationRequest, Refused, TokenReport
from private_integrations.rotation.acceptance import refuse_issue, refuse_period, refuse_scope, refuse_writing
from private_integrations.rotation.policy import EffectivePolicy
from private_integrations.rotation.schedules import Schedule
from private_integrations_service.catalogue.endpoints import Catalogue
from private_integrations_service.operations.integrations import Rules
from private_integrations_service.settings import Settings
from private_integrations_service.tokens.lifecycle import StoredToken, plan_first_use, plan_issue

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
LIMIT = 3
WEEK = 7 * 86_400


class Life:
    """The tokens of one integration, moved by the service's own decisions."""

    def __init__(self):
        self.tokens, self.last, self.now = {}, 0, NOON

    def request(self, issuer, holding, overlap):
        """A request for the next generation."""
        parts = {"issuer": issuer, "run": "r", "attempt": 1, "holding": holding, "overlap_seconds": overlap}
        return GenerationRequest(**parts)

    def plan(self, issuer, holding, overlap):
        """Return the service's decision on the next generation."""
        asked = self.request(issuer, holding, overlap)
        return plan_issue(list(self.tokens.values()), self.last, self.last + 1, asked, self.now, LIMIT)

    def issue(self, issuer, holding, overlap):
        """Issue the next generation, if the service does."""
        plan = self.plan(issuer, holding, overlap)
        if isinstance(plan, Refused):
            return
        self._store(plan.tokens)
        self.last += 1
        names = {"issuer": issuer, "run": "r", "attempt": 1, "fingerprint": "f"}
        lasts = {"overlap": timedelta(seconds=overlap), "issued_at": self.now}
        self.tokens[self.last] = StoredToken(id=self.last, generation=self.last, role="pending", **names, **lasts)

    def use(self, generation):
        """Use a token, if it works."""
        self._store(plan_first_use(list(self.tokens.values()), generation, self.now).tokens)

    def said(self):
        """The tokens as the API shows them."""
        return [_secret(token, self.now) for token in self.tokens.values()]

    def _store(self, tokens):
        self.tokens |= {token.id: token for token in tokens}


def _secret(token, now):
    role = token.role if token.is_live(now) else "ended"
    shown = ("generation", "fingerprint", "issuer", "issued_at", "delivered_at", "expires_at", "ended_at")
    fields = {name: getattr(token, name) for name in shown}
    return TokenReport(role=role, overlap_seconds=int(token.overlap.total_seconds()), **fields)


ISSUERS = st.sampled_from(["us", "us", "us", "them"])
OVERLAPS = st.sampled_from([0, 3600, WEEK])
BACK = st.sampled_from([0, 0, 0, 1, 2])
"""How many generations before the newest one."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("issue"), ISSUERS, BACK, OVERLAPS),
        st.tuples(st.just("use"), BACK),
        st.tuples(st.just("wait"), st.sampled_from([60, 7200, 2 * WEEK])),
    ),
    max_size=25,
)


@example([("issue", "us", 0, WEEK), ("use", 0)] * 3 + [("issue", "us", 0, WEEK)], 0, WEEK)
@example([("issue", "us", 0, WEEK), ("use", 0)] * 3 + [("issue", "us", 0, WEEK)], 1, WEEK)
@given(STEPS, BACK, OVERLAPS)
def test_a_preview_refuses_exactly_the_tokens_that_the_service_would_not_issue(steps, back, overlap):
    """After any life, for any generation in state and any overlap: both refuse for one reason, or both don't."""
    life = Life()
    for step in steps:
        if step[0] == "issue":
            _, issuer, before, overlapping = step
            life.issue(issuer, max(0, life.last - before), overlapping)
        elif step[0] == "use":
            life.use(life.last - step[1])
        else:
            life.now += timedelta(seconds=step[1])
    holding = max(0, life.last - back)
    plan = life.plan("us", holding, overlap)
    live = [secret for secret in life.said() if secret.role != "ended"]
    foreseen = refuse_issue(live, issuer="us", holding=holding, overlap=timedelta(seconds=overlap), limit=LIMIT)
    refused = (plan.problem, plan.about) if isinstance(plan, Refused) else None
    assert (foreseen and (foreseen.problem, foreseen.about)) == refused


def test_the_rules_that_the_api_tells_decide_as_the_catalogue_does():
    """For every scope and class of account, the rules in the API lead to the catalogue's own answer."""
    catalogue = Catalogue.load()
    for rule in Rules(catalogue, Settings()).on_the_wire().scopes:
        for kind in AccountClass:
            foreseen = refuse_scope(rule.name, rule.account_kinds, oauth_only=rule.oauth_only, account_kind=kind)
            assert foreseen == catalogue.refuse_scope(rule.name, kind), (rule.name, kind)


@pytest.mark.parametrize(
    ("policy", "refusal"),
    [
        (EffectivePolicy(overlap=timedelta(days=1)), None),
        (EffectivePolicy(overlap=timedelta(days=1), every=timedelta(hours=1)), None),
        (
            EffectivePolicy(overlap=timedelta(days=1), every=timedelta(minutes=59)),
            "every 59m is below the service's minimum of 1h",
        ),
        (
            EffectivePolicy(overlap=timedelta(days=1), schedule=Schedule("*/5 * * * *")),
            'schedule "*/5 * * * *" in UTC fires after 5m, which is below the service\'s minimum of 1h',
        ),
    ],
)
def test_a_period_below_the_minimum(policy, refusal):
    """The shortest period of a rule counts, of a schedule the shortest gap."""
    rules = Rules(Catalogue.load(), replace(Settings(), minimum_period=timedelta(hours=1))).on_the_wire()
    assert refuse_period(policy, timedelta(seconds=rules.minimum_period_seconds)) == refusal


def test_who_may_write():
    """Admins and deployers may; a viewer reads, an introspector does not even that."""
    assert (refuse_writing("admin", "a"), refuse_writing("deployer", "d")) == (None, None)
    assert refuse_writing("viewer", "v") == "management key v is a viewer's and may only read"
    assert refuse_writing("introspector", "i") == "management key i is an introspector's and may only introspect"
