"""An MCP server over stdio, driven by the protocol's own client in a process of its own."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from throwaway import REPOSITORY

SCRIPT = REPOSITORY / "tests" / "javascript" / "mcp.mjs"
MODULES = REPOSITORY / ".venv" / "javascript"


class Tools:
    """The tools of a running server."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def names(self) -> list[str]:
        """List the names of all tools."""
        return self._ask({})["result"]

    def answer(self, tool: str, **given: Any) -> dict[str, Any]:
        """Call a tool; return its result or its error."""
        return self._ask({"tool": tool, "given": given})

    def __call__(self, tool: str, **given: Any) -> Any:
        """Call a tool that must succeed; return its result."""
        answer = self.answer(tool, **given)
        assert "result" in answer, answer
        return answer["result"]

    def _ask(self, call: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def mcp_server(script: Path, environment: dict[str, str], *, within: tuple[str, ...] = ()) -> Iterator[Tools]:
    """Run a server script with this environment until the block ends; `within` is a command that runs commands."""
    own = {"PATH": os.environ["PATH"], "SERVER_SCRIPT": str(script), "CLIENT_MODULES": str(MODULES)}
    command = [*within, "node", str(SCRIPT)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**own, **environment}, **pipes) as process:
        yield Tools(process)
        assert process.stdin is not None
        process.stdin.close()
