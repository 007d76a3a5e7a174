"""A process that is measured from outside."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

# Variables that a program must not inherit: its calls would leave the endpoint or the machine.
FOREIGN = (
    "AWS_", "USHER_", "BENCH_", "OTEL_", "RUST_LOG", "TOKIO_", "NODE_OPTIONS", "UV_", "PYTHON",
    "MALLOC_", "MIMALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD",
    "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
)


# The started programs, and the lock for starting one.
STARTED = []
STARTING = threading.Lock()


def start(argv, **settings):
    """A program that `kill_all` ends."""
    with STARTING:
        try:
            program = subprocess.Popen(argv, **settings)
        except OSError as error:
            raise SystemExit(f"{argv[0]} cannot be started: {error.strerror}") from None
        STARTED.append(program)
    return program


def kill_all():
    """Ends all started programs that still run. No program starts afterwards."""
    STARTING.acquire()
    for program in STARTED:
        program.kill()


def clean_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


class Process:
    """One running program. Its output goes to a file that is shown when it fails."""

    def __init__(self, argv, environment, log):
        self.log = Path(log)
        self.argv = [str(part) for part in argv]
        with self.log.open("w") as out:
            self.process = start(
                self.argv, env={**clean_environment(), **environment},
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            )
        self.pid = self.process.pid

    def cpu(self):
        """Processor time of all its threads so far, in seconds (the kernel's CPU clock of
        another process; clock_getcpuclockid(3) makes the same number)."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def memory(self):
        """Resident set now and at its highest, in MiB."""
        fields = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines()
            if ":" in line
        )
        return tuple(int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))

    def check(self):
        if self.process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise SystemExit(
                f"{' '.join(self.argv)} ended with {self.process.returncode}:\n{tail}"
            )

    def stop(self, seconds=10):
        """Sends SIGTERM, and kills the process after `seconds`."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
