"""Build the answers that several operations give."""

from collections.abc import Mapping

from private_integrations.contract import Reason

from ..authorizer.replies import PlatformError

SUCCEEDED: Mapping[str, object] = {"succeded": True, "succeeded": True}
"""Report success under the platform's misspelled name, and under the correct one."""

CUSTOM_FIELD_TAKEN = PlatformError(
    400, Reason.DUPLICATE_CUSTOM_FIELD, "This location does not allow duplicated custom fields."
)


def not_found(noun: str, identifier: str) -> PlatformError:
    """Return the platform's answer for an object that is missing or another account's; `noun`: "Custom field"."""
    return PlatformError(400, Reason.of_missing(noun), f"{noun} with id {identifier} not found")
