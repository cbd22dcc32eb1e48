"""A real OpenID provider of a library, in a process of its own: prints its address, and ends when stdin is closed."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def main() -> None:
    """Serve until nobody listens."""
    import oidc_provider_mock

    with oidc_provider_mock.run_server_in_thread() as server:
        sys.stdout.write(f"http://localhost:{server.server_port}\n")
        sys.stdout.flush()
        sys.stdin.read()


@contextmanager
def running_provider() -> Iterator[str]:
    """A provider on a free port of this machine until the block ends; gives its issuer.

    Not in the tests' own process: it uses what its own library calls deprecated, and there warnings are errors.
    """
    command = [sys.executable, "-W", "ignore", __file__]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


if __name__ == "__main__":
    main()
