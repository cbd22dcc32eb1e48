"""A detect-secrets plugin for the tokens and keys of private integrations.

    detect-secrets scan --plugin detect_secrets_plugin.py > .secrets.baseline

What to do with a finding: README.md beside this file.
"""

import re

from detect_secrets.plugins.base import RegexBasedDetector


class PrivateIntegrationTokenDetector(RegexBasedDetector):
    """Tokens: whoever has one may use its integration's scopes."""

    secret_type = "Private Integration Token"  # noqa: S105 - a name

    # Without its last twelve digits: a filter that is always on takes whatever has a UUID in it for harmless.
    denylist = (re.compile(r"\b(pit-[0-9a-f]{8}(?:-[0-9a-f]{4}){3})(?=-[0-9a-f]{12}\b)"),)


class PrivateIntegrationsKeyDetector(RegexBasedDetector):
    """Management keys (pmk-) and sealing keys (psk-) of the service."""

    secret_type = "Private Integrations Key"  # noqa: S105 - a name

    denylist = (re.compile(r"\bp[ms]k-[0-9a-f]{64}\b"),)
