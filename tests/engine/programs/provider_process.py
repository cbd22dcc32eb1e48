"""The engine's side of a provider's process: one of the SDK's own, asked by gRPC as the engine asks it."""

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import dill
import grpc
from google.protobuf.struct_pb2 import Struct
from pulumi.dynamic import ResourceProvider
from pulumi.runtime import rpc
from pulumi.runtime.proto.provider_pb2 import CheckRequest, ConfigureRequest
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

NO_ENGINE = "no-engine"


class ProviderProcess:
    """A process as the engine starts one for dynamic resources; secrets reach it as plain text, as from the engine."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-m", "pulumi.dynamic", NO_ENGINE],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        assert self._process.stdout is not None
        self._channel = grpc.insecure_channel(f"127.0.0.1:{int(self._process.stdout.readline())}")
        self._stub = ResourceProviderStub(self._channel)
        self._stub.Configure(ConfigureRequest(args=Struct()))

    def check(self, provider: type[ResourceProvider], news: Mapping[str, Any], olds: Mapping[str, Any]) -> list[str]:
        """List the faults of these inputs, as the engine would print them, or the error of the call itself."""
        pickled = base64.b64encode(dill.dumps(provider())).decode()
        inputs = [_struct({**values, "__provider": pickled}) for values in (olds, news)]
        request = CheckRequest(olds=inputs[0], news=inputs[1])
        try:
            answer = self._stub.Check(request, timeout=60)
        except grpc.RpcError as error:
            return [str(error.details())]
        return [f"{failure.property} {failure.reason}".lstrip() for failure in answer.failures]

    def __enter__(self) -> "ProviderProcess":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._channel.close()
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _struct(values: Mapping[str, Any]) -> Struct:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(rpc.serialize_properties(dict(values), {}, keep_output_values=False))
    finally:
        loop.close()
