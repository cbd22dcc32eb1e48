from http import HTTPStatus
from pathlib import Path

import pytest

from private_integrations.contract import PROBLEM_PREFIX, AuditAction, EndReason, Problem, ProblemDocument, TokenReport


@pytest.mark.parametrize("problem", Problem)
def test_every_problem_has_the_status_of_a_refusal_and_one_sentence(problem):
    """Each member is its name on the wire, with an error status that HTTP defines and a meaning of one sentence."""
    assert problem == problem.value == problem.name.lower().replace("_", "-")
    assert HTTPStatus(problem.status) >= HTTPStatus.BAD_REQUEST
    assert problem.meaning.endswith(".")
    assert ". " not in problem.meaning


def test_a_problem_of_a_newer_service_keeps_its_name():
    """A document's type becomes the member that this release knows, or else the bare name."""

    def parsed(name):
        return ProblemDocument(type=PROBLEM_PREFIX + name, title="t", status=409, detail="d").problem

    assert parsed("generation-used") is Problem.GENERATION_USED
    assert parsed("not-known-yet") == "not-known-yet"
    assert not isinstance(parsed("not-known-yet"), Problem)


def test_an_end_reason_of_a_newer_service_keeps_its_name():
    """A token's end reason becomes the member that this release knows, or else the bare name."""

    def parsed(reason):
        about = {"generation": 1, "role": "ended", "fingerprint": "0" * 12, "issuer": "i", "overlap_seconds": 0}
        instants = dict.fromkeys(("issued_at", "delivered_at", "expires_at", "ended_at"), "2026-11-30T12:00:00Z")
        secret = TokenReport.model_validate({**about, **instants, "end_reason": reason})
        return TokenReport.model_validate_json(secret.model_dump_json()).end_reason

    assert parsed("cancelled") is EndReason.CANCELLED
    assert parsed("not-known-yet") == "not-known-yet"
    assert parsed(None) is None


@pytest.mark.parametrize("reason", EndReason)
def test_every_end_reason_has_a_sentence(reason):
    """The sentence is for people; only the end of an inactive token has a detail, which stands in it."""
    assert reason == reason.value == reason.lower()
    assert ("90 days" in reason.in_words("90 days")) == (reason is EndReason.INACTIVE)
    assert "{" not in reason.in_words("90 days")


def test_the_page_has_every_name():
    """The tables of docs/outcomes.md say what the enums say, in their order."""
    page = (Path(__file__).parents[3] / "docs" / "outcomes.md").read_text()

    def rows(head):
        return page.partition(head)[2].partition("\n|---")[2].partition("\n")[2].partition("\n\n")[0].splitlines()

    assert rows("## Problems") == [f"| `{each}` | {each.status} | {each.meaning} |" for each in Problem]
    assert rows("## End reasons") == [f"| `{each}` | {each.in_words('90 days')} |" for each in EndReason]
    assert rows("## Audit actions") == [f"| `{each}` | {each.meaning} |" for each in AuditAction]
