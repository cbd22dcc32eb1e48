"""Lines that the engine shows beside its own, in previews and in the `up`."""

import re
import sys
from contextlib import suppress

import grpc
from pulumi.runtime.proto.engine_pb2 import INFO, WARNING, LogRequest, LogSeverity
from pulumi.runtime.proto.engine_pb2_grpc import EngineStub

_ADDRESS = re.compile(r"(?:127\.0\.0\.1|\[::1\]|localhost):[0-9]{1,5}")
_SECONDS = 5


def inform(message: str) -> None:
    """Show a line of information; never one with a secret: the engine shows it as it stands."""
    _show(INFO, message)


def warn(message: str) -> None:
    """Show a warning."""
    _show(WARNING, message)


def _show(severity: "LogSeverity.ValueType", message: str) -> None:
    """Hand a line to the engine, whose address is the last argument of the provider's process; a line may get lost."""
    if not _ADDRESS.fullmatch(sys.argv[-1]):
        return
    with suppress(grpc.RpcError), grpc.insecure_channel(sys.argv[-1]) as channel:
        EngineStub(channel).Log(LogRequest(severity=severity, message=message), timeout=_SECONDS)
