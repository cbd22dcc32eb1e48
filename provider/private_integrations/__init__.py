"""Private integrations as code: `import private_integrations as pi`.

Public names load on first use, so that the command line starts without Pulumi.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import PrivateIntegrationError
    from .resource import PrivateIntegration, Rotation
    from .scopes import Scope

__all__ = ["PrivateIntegration", "PrivateIntegrationError", "Rotation", "Scope"]

_HOMES = {
    "PrivateIntegration": "resource",
    "PrivateIntegrationError": "errors",
    "Rotation": "resource",
    "Scope": "scopes",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
