#!/usr/bin/env python3
"""Print the root folder of a Pulumi engine, whose program is bin/pulumi in it, and make one if there is none.

Progress goes to stderr. The ways, in this order: the engine on PATH, one made before, the SDK's own installer,
a build by Go of the version that tools/engine/go.mod pins.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 200, 0)
LAUNCHER = "pulumi-resource-pulumi-python"  # starts dynamic providers; the SDK's wheel lacks it
PULUMI = "github.com/pulumi/pulumi"
SOURCE = Path(__file__).resolve().parents[1] / "tools" / "engine"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "private-integrations" / "engine"


def say(text: str) -> None:
    """Tell the user, on stderr."""
    print(f"engine: {text}", file=sys.stderr, flush=True)


def dotted(version: tuple[int, ...]) -> str:
    """Return a version as people write it."""
    return ".".join(map(str, version))


def version(root: Path) -> tuple[int, ...]:
    """Return the version of the engine in a folder, or () unless the engine runs and has its launcher."""
    if not shutil.which(LAUNCHER, path=os.pathsep.join([str(root / "bin"), os.environ["PATH"]])):
        return ()
    command = [str(root / "bin" / "pulumi"), "version"]
    quiet = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        printed = subprocess.run(command, env=quiet, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    numbers = re.match(r"v?(\d+)\.(\d+)\.(\d+)", printed)
    return tuple(map(int, numbers.groups())) if numbers else ()


def on_path() -> Path | None:
    """Find the engine on PATH, if it is new enough."""
    program = shutil.which("pulumi")
    if program is None:
        return None
    root = Path(program).absolute().parent.parent
    if version(root) >= OLDEST:
        return root
    say(f"passing over {program}: it is older than {dotted(OLDEST)}, has no {LAUNCHER}, or is not in a folder bin")
    return None


def made_before() -> Path | None:
    """Find the newest engine in the cache folder."""
    root = max(CACHE.glob("[0-9]*"), key=version, default=None)
    return root if root and version(root) >= OLDEST else None


def download(root: Path) -> None:
    """Have the SDK's installer fetch the engine of its own version, which takes an open internet."""
    from pulumi.automation import PulumiCommand  # half a second, and rarely needed

    def give_up(*_: object) -> None:
        raise TimeoutError("it took more than five minutes")

    # The installer itself has no limits: 10 s to be answered, then time for 100 MB.
    socket.setdefaulttimeout(10)
    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(300)
    try:
        PulumiCommand.install(root=str(root))
    finally:
        signal.alarm(0)


def build(root: Path) -> None:
    """Build the engine of tools/engine/go.mod."""

    def go(*arguments: str) -> str:
        command = ["go", *arguments]
        return subprocess.run(command, cwd=SOURCE, stdout=subprocess.PIPE, text=True, check=True).stdout

    sdk = json.loads(go("mod", "download", "-json", f"{PULUMI}/sdk/v3"))
    say(f"building Pulumi {sdk['Version']} with Go: about 5 minutes, once for this user")
    flags = f"-w -s -X {PULUMI}/sdk/v3/go/common/version.Version={sdk['Version']}"
    program = str(root / "bin" / "pulumi")
    go("build", "-tags", "osusergo,grpcnotrace", "-ldflags", flags, "-o", program, f"{PULUMI}/pkg/v3/cmd/pulumi")
    shutil.copyfile(Path(sdk["Dir"], "python", "dist", LAUNCHER), root / "bin" / LAUNCHER)
    (root / "bin" / LAUNCHER).chmod(0o755)  # Go's module files are never executable


def make() -> Path:
    """Make a new engine in the cache folder, in the first way that works."""
    unfinished = CACHE / "unfinished"
    failures = []
    for way in (download, build):
        shutil.rmtree(unfinished, ignore_errors=True)
        (unfinished / "bin").mkdir(parents=True)
        try:
            way(unfinished)
        except Exception as error:  # after any error, the next way may work
            failures.append(f"\n  {way.__name__}: {error}")
        made = version(unfinished)
        if made >= OLDEST:
            root = CACHE / dotted(made)
            shutil.rmtree(root, ignore_errors=True)
            return unfinished.rename(root)
    shutil.rmtree(unfinished)
    oldest_go = next(line for line in (SOURCE / "go.mod").read_text().splitlines() if line.startswith("go "))[3:]
    sys.exit(
        f"engine: error: no Pulumi engine >= {dotted(OLDEST)} here, and none could be made:{''.join(failures)}\n"
        "Do one of these, then try again:\n"
        "  - install Pulumi as https://www.pulumi.com/docs/install/ says, so that `pulumi` is on PATH\n"
        f"  - install Go >= {oldest_go} as https://go.dev/doc/install says\n"
        f"  - copy the folder `bin` of an engine, with `pulumi` and `{LAUNCHER}`, to\n    {CACHE}/<its version>/"
    )


def main() -> None:
    """Print the root folder of an engine."""
    root = on_path() or made_before()
    if root is None:
        CACHE.mkdir(parents=True, exist_ok=True)
        with (CACHE / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # after this wait another process may have made it
            root = made_before() or make()
    print(root)


if __name__ == "__main__":
    main()
