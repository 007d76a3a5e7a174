"""The candidates of the comparison, and how each is started."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from .endpoint import GROUP, POOL, TABLE
from .process import Process

BENCHES = Path(__file__).resolve().parent.parent
PEERS = BENCHES / "peers"
NODE = os.environ.get("NODE", "node")


@dataclass(frozen=True)
class Candidate:
    name: str
    argv: tuple
    # Takes usher's settings; the peers take `BENCH_…`.
    is_usher: bool = False
    # Slows down by itself when it is throttled. The others call as fast as they can, and are
    # measured separately from those under a quota.
    paces: bool = False
    environment: dict = field(default_factory=dict)
    # The share of a backlog, where all of it would take minutes without further insight.
    part: float = 1
    # The only scenarios to run, for a variant that matters only there.
    scenarios: tuple = ()

    def takes_part(self, scenario):
        if scenario == "flat" and not self.is_usher:
            return False
        return not self.scenarios or scenario in self.scenarios

    def part_of(self, backlog):
        return int(backlog * self.part)

    def start(self, endpoint, log, *, concurrency, rate=None, processes=1, caller="bench"):
        environment = {
            "AWS_ENDPOINT_URL": endpoint.url,
            "AWS_REGION": "eu-west-1",
            # Taken only from the environment. The endpoint counts calls by it.
            "AWS_ACCESS_KEY_ID": caller,
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "BENCH_QUEUE_URL": endpoint.queue_url(),
            "BENCH_TABLE": TABLE,
            "BENCH_GROUP": GROUP,
            "BENCH_CONCURRENCY": str(concurrency),
            "NODE_ENV": "production",
            **self.environment,
        }
        if self.is_usher:
            environment |= {
                "USHER_QUEUE__URL": endpoint.queue_url(),
                "USHER_POOLS__ALLOWED": POOL,
                "USHER_GROUPS__DEFAULT": GROUP,
                "USHER_PROFILES__TABLE": TABLE,
                "USHER_WORKER__CONCURRENCY": str(concurrency),
                "USHER_QUOTA__USER_UPDATE": str(rate or 100_000),
                "USHER_QUOTA__PROCESSES": str(processes),
                "USHER_HTTP__LISTEN": "127.0.0.1:0",
            }
        return Process(self.argv, environment, log)


def candidates(usher, rust, venv):
    """`usher` is its program, `rust` the folder of the other Rust programs, `venv` Python's."""
    return [
        Candidate("usher", (usher, "worker"), is_usher=True, paces=True),
        Candidate("floor", (rust / "bench-floor",)),
        Candidate("floor, one thread", (rust / "bench-floor",),
                  environment={"BENCH_THREADS": "1"}, scenarios=("drain", "latency")),
        Candidate("ruststream-sqs-sns", (rust / "bench-ruststream", "run")),
        Candidate("sqs-consumer", (NODE, PEERS / "node" / "sqs-consumer.mjs")),
        # The SDK's own method to stay within a quota.
        Candidate("sqs-consumer, adaptive", (NODE, PEERS / "node" / "sqs-consumer.mjs"),
                  environment={"AWS_RETRY_MODE": "adaptive"}, scenarios=("quota", "fleet"), paces=True),
        Candidate("squiss-ts", (NODE, PEERS / "node" / "squiss-ts.mjs")),
        Candidate("python", (venv / "bin" / "python", PEERS / "python" / "worker.py"), part=0.25),
    ]
