"""podman, and containers that end with the block that they are for."""

import json
import subprocess
import time
from contextlib import contextmanager

from counting import WORK

# The host's network is that of the namespace that all of this runs in, and so is the
# name server that a container gets.
NETWORK = ["--network", "host", "--dns", "127.0.0.1"]


def podman(*arguments, ok=True, seconds=60):
    ended = subprocess.run(
        ["podman", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if ok and ended.returncode != 0:
        raise RuntimeError(f"podman {arguments[0]}: {ended.returncode}\n{ended.stderr}")
    return ended


def inspect(kind, name):
    [found] = json.loads(podman(kind, "inspect", name).stdout)
    return found


def environment(variables):
    return [f"--env={name}={value}" for name, value in variables.items()]


class Container:
    def __init__(self, name):
        self.name = name

    def state(self):
        return inspect("container", self.name)["State"]

    def logs(self):
        ended = podman("logs", self.name)
        return ended.stdout + ended.stderr

    def exec(self, *command):
        return podman("exec", self.name, *command, ok=False)

    def stop(self, seconds):
        """As an orchestrator does: the image's signal, then SIGKILL after the time."""
        began = time.monotonic()
        podman("stop", "--time", seconds, self.name, seconds=seconds + 30)
        return time.monotonic() - began


@contextmanager
def running(name, *arguments):
    """A container without a file system to write to, as its image says otherwise."""
    podman("run", "--detach", "--name", name, "--read-only", "--read-only-tmpfs=false",
           *NETWORK, *arguments)
    container = Container(name)
    try:
        yield container
    finally:
        (WORK / "log" / f"{name}.log").write_text(container.logs())
        podman("rm", "--force", "--time", "0", name)
