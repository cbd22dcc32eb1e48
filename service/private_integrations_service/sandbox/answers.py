"""Build the answers that several operations give."""

from collections.abc import Mapping

from ..authorizer.replies import Refusal

SUCCEEDED: Mapping[str, object] = {"succeded": True, "succeeded": True}
"""Report success under the platform's misspelled name, and under the correct one."""

CUSTOM_FIELD_TAKEN = Refusal(400, "duplicate-custom-field", "This location does not allow duplicated custom fields.")


def not_found(noun: str, identifier: str) -> Refusal:
    """Return the platform's answer for an object that is missing or another account's; `noun`: "Custom field"."""
    return Refusal(400, f"{noun.lower().replace(' ', '-')}-not-found", f"{noun} with id {identifier} not found")
