"""A language host for `pulumi import`, which asks for one and runs no program; the vendor's is not in the registries.

The engine looks for `pulumi-language-python` on PATH. `install` writes one that starts this file.
"""

import sys
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import language_pb2, language_pb2_grpc, plugin_pb2


class LanguageHost(language_pb2_grpc.LanguageRuntimeServicer):
    """Answers what the engine asks of every host before an import: a Python project needs no other plugins."""

    def Handshake(self, request: Any, context: Any) -> Any:
        return language_pb2.LanguageHandshakeResponse()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="0.0.0")

    def GetRequiredPackages(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPackagesResponse()

    def GetRequiredPlugins(self, request: Any, context: Any) -> Any:
        return language_pb2.GetRequiredPluginsResponse()

    def Cancel(self, request: Any, context: Any) -> Any:
        return Empty()


def install(folder: Path) -> None:
    """Write the program that the engine starts; `folder` belongs on PATH."""
    program = folder / "pulumi-language-python"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -u "{__file__}"\n')
    program.chmod(0o755)


def main() -> None:
    """Serve on a free port of this machine, and print it, as the engine expects."""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(LanguageHost(), server)
    sys.stdout.write(f"{server.add_insecure_port('127.0.0.1:0')}\n")
    sys.stdout.flush()
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
