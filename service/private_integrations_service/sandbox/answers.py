"""Answers that several operations give."""

from collections.abc import Mapping

from private_integrations.contract import Reason

from ..authorizer.replies import Refusal

SUCCEEDED: Mapping[str, object] = {"succeded": True, "succeeded": True}
"""The platform's own misspelling, and the word."""

CUSTOM_FIELD_TAKEN = Refusal(
    400, Reason.DUPLICATE_CUSTOM_FIELD, "This location does not allow duplicated custom fields."
)


def not_found(noun: str, identifier: str) -> Refusal:
    """The platform's answer about what isn't there, or is another account's; `noun` as in "Custom field"."""
    return Refusal(400, Reason.of_missing(noun), f"{noun} with id {identifier} not found")
