"""The scenarios: each sets up the endpoint, runs a candidate, and returns figures.

Every candidate is treated alike: it starts on an empty queue and waits there for its first
messages, so the figures exclude the cost of the start. Then the messages arrive. The endpoint
counts and times all messages.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass

from .endpoint import Endpoint

CONCURRENCY = 64
QUOTA = 25
# The share of the quota that usher is configured to use. At the full quota, the least delay
# moves a call into the next second.
CONFIGURED_RATE = 24.5
READY_SECONDS = 120
STEADY_RATE = 20


@dataclass(frozen=True)
class Size:
    """The size of each scenario."""

    backlog: int = 20_000
    steady_messages: int = 300
    burst: int = 2_000
    burst_seconds: int = 110
    idle_seconds: int = 60
    flat: tuple = (1_000, 10_000, 100_000)
    drain_seconds: int = 300
    settle_seconds: float = 1.0


SMOKE = Size(
    backlog=300, steady_messages=40, burst=60, burst_seconds=30, idle_seconds=3,
    flat=(100, 300), settle_seconds=0.2,
)


class Bench:
    def __init__(self, endpoint_program, logs, size):
        self.endpoint_program, self.logs, self.size = endpoint_program, logs, size
        self.gate = None

    def endpoint(self, stack):
        """A separate endpoint, closed by the stack."""
        return stack.enter_context(closing(Endpoint(self.endpoint_program)))

    def start(self, stack, endpoint, candidate, callers=("bench",), **settings):
        """The candidate's processes, each waiting for messages; ended by the stack."""
        processes = []
        for caller in callers:
            log = self.logs / f"{candidate.name}-{endpoint.pid}-{caller}.log"
            process = candidate.start(endpoint, log, caller=caller, **settings)
            # The figures are complete by then. A long poll would delay some exits by 20 s.
            stack.callback(process.stop, seconds=1)
            processes.append(process)
        self.wait_until_ready(endpoint, candidate, callers, processes)
        if self.gate is not None:
            # Not all at the same moment, or each would wait for the others' messages.
            time.sleep(self.gate.wait() / self.gate.parties / STEADY_RATE)
        return processes

    def wait_until_ready(self, endpoint, candidate, callers, processes):
        """Waits until each process has begun to receive, and for a moment to settle."""
        until = time.monotonic() + READY_SECONDS
        while set(callers) - set(endpoint.report()["receivers"]):
            for process in processes:
                process.check()
            if time.monotonic() > until:
                tail = processes[0].log.read_text(errors="replace")[-2000:]
                raise SystemExit(f"{candidate.name} did not receive: {tail}")
            time.sleep(0.05)
        time.sleep(self.size.settle_seconds)

    def drain(self, candidate, count, **latency):
        """A backlog of `count`, as fast as possible."""
        with ExitStack() as stack:
            endpoint = self.endpoint(stack)
            endpoint.reset(**latency)
            [process] = self.start(stack, endpoint, candidate, concurrency=CONCURRENCY)
            began = by_kind(endpoint.report())
            before, endpoint_before = process.cpu(), endpoint.cpu()
            endpoint.fill(count)
            report = endpoint.wait("deleted", count, self.size.drain_seconds)
            cpu, endpoint_cpu = process.cpu() - before, endpoint.cpu() - endpoint_before
            process.check()
            require_all(candidate, report, count)
            done = report["messages"]["deleted"]
            seconds = report["seconds"]["last_delete"]
            return {
                "messages": done,
                "messages_a_second": done / seconds,
                "cpu_ms_a_message": 1000 * cpu / max(done, 1),
                "cores": cpu / seconds,
                "peak_mib": process.memory()[1],
                "calls_a_message": (calls(report) - sum(began.values())) / max(done, 1),
                "calls_by_kind": difference(by_kind(report), began, done),
                "repeated_effects": report["groups_again"] + report["profiles_again"],
                "endpoint_cores": endpoint_cpu / seconds,
                "endpoint_late_p99_ms": (report["late_ms"] or {}).get("p99"),
            }

    def steady(self, candidate):
        """Twenty sign-ups a second: how long each takes from its send to both effects."""
        with ExitStack() as stack:
            endpoint = self.endpoint(stack)
            endpoint.reset(cognito=fixed(20), dynamodb=fixed(5))
            [process] = self.start(stack, endpoint, candidate, concurrency=CONCURRENCY, rate=CONFIGURED_RATE)
            before, began = process.cpu(), calls(endpoint.report())
            count = self.size.steady_messages
            endpoint.feed(count, STEADY_RATE)
            report = endpoint.wait("deleted", count, count // STEADY_RATE + 120)
            process.check()
            require_all(candidate, report, count)
            latency, done = report["latency_ms"], report["messages"]["deleted"]
            return {
                "messages": done,
                "p50_ms": latency["p50"],
                "p99_ms": latency["p99"],
                "max_ms": latency["max"],
                "repeated_effects": report["groups_again"] + report["profiles_again"],
                "cpu_ms_a_message": 1000 * (process.cpu() - before) / max(done, 1),
                "calls_a_message": (calls(report) - began) / max(done, 1),
            }

    def quota(self, candidate, workers=1, processes=None):
        """A burst under a quota of 25 a second that all workers share."""
        with ExitStack() as stack:
            endpoint = self.endpoint(stack)
            endpoint.reset(
                cognito=fixed(20), dynamodb=fixed(5), user_update=QUOTA, quota="window",
            )
            callers = [f"worker{number}" for number in range(workers)]
            started = self.start(
                stack, endpoint, candidate, callers, concurrency=CONCURRENCY, rate=CONFIGURED_RATE,
                processes=processes or workers,
            )
            count = self.size.burst
            endpoint.fill(count)
            report = endpoint.wait("deleted", count, self.size.burst_seconds)
            for process in started:
                process.check()
            adds = {
                caller: kinds.get("AdminAddUserToGroup", {"ok": 0, "throttled": 0})
                for caller, kinds in report["calls"].items()
            }
            ok = sum(add["ok"] for add in adds.values())
            # A repeated add uses the quota without effect.
            good = ok - report["groups_again"]
            throttled = sum(add["throttled"] for add in adds.values())
            seconds = report["seconds"]
            # From the first to the last successful call; until now while some messages
            # still wait.
            finished = report["complete"] >= count
            until = seconds["last_add"] if finished else seconds["now"]
            allowed = QUOTA * (until - (seconds["first_add"] or 0))
            return {
                "complete": report["complete"],
                "messages": count,
                "seconds": until,
                "goodput": max(good - 1, 0) / allowed,
                "throttled": throttled / max(ok + throttled, 1),
                "dead_letters": report["dead_letters"]["sent"],
                "repeated_effects": report["groups_again"] + report["profiles_again"],
                "least_share": min(
                    adds.get(caller, {"ok": 0})["ok"] for caller in callers
                ) * workers / max(ok, 1),
                "delivered_a_message": report["delivered"] / count,
                "endpoint_late_p99_ms": (report["late_ms"] or {}).get("p99"),
            }

    def fleet(self, candidate):
        """Four workers under the quota. usher knows that they are four."""
        return self.quota(candidate, workers=4)

    def fleet_with_processes_unset(self, candidate):
        """The same, but each worker assumes that the whole quota is its own."""
        return self.quota(candidate, workers=4, processes=1)

    def idle(self, candidate):
        """An empty queue."""
        with ExitStack() as stack:
            endpoint = self.endpoint(stack)
            endpoint.reset()
            [process] = self.start(stack, endpoint, candidate, concurrency=CONCURRENCY)
            time.sleep(2 * self.size.settle_seconds)
            before, calls_before = process.cpu(), sqs_calls(endpoint.report())
            time.sleep(self.size.idle_seconds)
            minutes = self.size.idle_seconds / 60
            process.check()
            now, peak = process.memory()
            return {
                "cpu_ms_a_minute": 1000 * (process.cpu() - before) / minutes,
                "sqs_calls_a_minute": (sqs_calls(endpoint.report()) - calls_before) / minutes,
                "mib": now,
                "peak_mib": peak,
            }

    def side_by_side(self, jobs):
        """Runs all jobs at once, each with its own endpoint: for scenarios in which the machine
        is nearly idle. Measuring begins when all have started."""
        self.gate = threading.Barrier(len(jobs))
        with ThreadPoolExecutor(len(jobs)) as pool:
            running = [(*job[:2], pool.submit(self._behind_gate, *job[2:])) for job in jobs]
        self.gate = None
        errors = []
        for scenario, name, figures in running:
            if error := figures.exception():
                errors.append(error)
            else:
                yield scenario, name, figures.result()
        # The other errors only say that the barrier broke.
        errors.sort(key=lambda error: isinstance(error, threading.BrokenBarrierError))
        for error in errors:
            raise error

    def _behind_gate(self, measure, candidate):
        try:
            return measure(candidate)
        except BaseException:
            # The others must not wait for a failed job.
            self.gate.abort()
            raise


def fixed(milliseconds):
    return {"p50_ms": milliseconds, "p99_ms": milliseconds}


def calls(report):
    """Calls of all kinds, without receives that still wait."""
    return sum(sum(count.values()) for kinds in report["calls"].values() for count in kinds.values())


def by_kind(report):
    kinds = {}
    for calls_of in report["calls"].values():
        for kind, count in calls_of.items():
            kinds[kind] = kinds.get(kind, 0) + sum(count.values())
    return kinds


def difference(kinds, before, messages):
    """The additional calls since `before`, for each message."""
    return {kind: (count - before.get(kind, 0)) / messages for kind, count in sorted(kinds.items())}


def require_all(candidate, report, count):
    """Fails unless all sign-ups are complete: a rate of the complete ones would hide the rest."""
    if report["complete"] < count or report["messages"]["deleted"] < count:
        raise SystemExit(f"{candidate.name} did {report['complete']:,} of {count:,} messages, and "
                         f"deleted {report['messages']['deleted']:,}: no figure of it would hold")


def sqs_calls(report):
    """Calls to SQS so far. A receive counts from its beginning."""
    of_sqs = ("Delete", "ChangeMessage", "SendMessage", "GetQueue")
    kinds = by_kind(report)
    return report["receives_begun"] + sum(
        count for kind, count in kinds.items() if kind.startswith(of_sqs)
    )
