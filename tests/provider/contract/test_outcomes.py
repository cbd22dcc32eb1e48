from http import HTTPStatus

import pytest

from private_integrations.contract import PROBLEM_PREFIX, Problem, ProblemDocument


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
