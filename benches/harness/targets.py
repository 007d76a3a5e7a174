"""The targets of usher, as ratios within one run, and whether they are met."""

from statistics import median

from .scenarios import CONCURRENCY
from .table import markdown

NODE = ("sqs-consumer", "squiss-ts")
# Latency of the slower of the two concurrent calls, in seconds.
SLOWEST_CALL = 0.020


def of(report):
    """A table with a line for each target whose scenarios ran."""
    results = report["results"]

    def figure(scenario, name, key):
        runs = results[scenario][name]
        return median(run[key] for run in runs)

    def ratio(scenario, key, other, name="usher"):
        return figure(scenario, name, key) / figure(scenario, other, key)

    def of_flat(key):
        # The largest and the smallest number of messages.
        names = [name for name in results["flat"] if name.startswith("usher,")]
        if len(names) < 2:
            raise KeyError("flat")
        return figure("flat", names[-1], key) / figure("flat", names[0], key)

    cpu, peak = "cpu_ms_a_message", "peak_mib"
    best_node = lambda: min(
        (name for name in NODE if name in results["drain"]),
        key=lambda name: figure("drain", name, cpu), default=NODE[0])
    ideal = CONCURRENCY / SLOWEST_CALL
    rows = [
        ("1. CPU a message, of the floor's", "≤ 1.00", lambda: ratio("drain", cpu, "floor")),
        ("1. CPU a message, of the floor's on one thread", "≤ 1.00",
         lambda: ratio("drain", cpu, "floor, one thread")),
        ("1. CPU a message, of the best Node peer's", "≤ 0.25",
         lambda: ratio("drain", cpu, best_node())),
        ("1. CPU a message, of Python's", "≤ 0.125", lambda: ratio("drain", cpu, "python")),
        ("1. AWS calls a message", "≤ 2.25", lambda: figure("drain", "usher", "calls_a_message")),
        ("1. peak memory, of the floor's", "≤ 1.5", lambda: ratio("drain", peak, "floor")),
        (f"2. messages a second, of {ideal:,.0f} ({CONCURRENCY} / {1000 * SLOWEST_CALL:.0f} ms)",
         "≥ 0.98", lambda: figure("latency", "usher", "messages_a_second") / ideal),
        ("4. goodput, of the quota", "≥ 0.97", lambda: figure("quota", "usher", "goodput")),
        ("4. throttled, of the calls", "≤ 0.01", lambda: figure("quota", "usher", "throttled")),
        # The largest count of all runs.
        ("4. dead letters", "0",
         lambda: max(run["dead_letters"] for run in results["quota"]["usher"])),
        ("5. SQS calls a minute", "≤ 4", lambda: figure("idle", "usher", "sqs_calls_a_minute")),
        ("5. MiB", "< 20", lambda: figure("idle", "usher", "mib")),
        ("6. goodput, of the quota", "≥ 0.95", lambda: figure("fleet", "usher", "goodput")),
        ("6. throttled, of the calls", "≤ 0.02", lambda: figure("fleet", "usher", "throttled")),
        ("6. least worker, of its fair share", "≥ 0.5",
         lambda: figure("fleet", "usher", "least_share")),
        ("CPU a message, most messages against fewest", "≤ 1.10", lambda: of_flat(cpu)),
        ("peak memory, most messages against fewest", "≤ 1.10", lambda: of_flat(peak)),
        ("Lambda: start to ready, of Node's", "≤ 0.125",
         lambda: ratio("trigger", "ready_ms", "node", "usher-trigger")),
        ("Lambda: start to first answer, of Node's", "≤ 0.125",
         lambda: ratio("trigger", "first_answer_ms", "node", "usher-trigger")),
        ("Lambda: MiB", "< 6", lambda: figure("trigger", "usher-trigger", "code_mib")),
    ]
    table = [["", "target", "measured", ""]]
    for what, target, measure in rows:
        try:
            measured = measure()
        except (KeyError, ZeroDivisionError):
            # Not run, or without these candidates, or too short to measure.
            continue
        table.append([what, target, f"{measured:.4f}", verdict(target, measured)])
    return markdown(table) if len(table) > 1 else ""


def verdict(target, measured):
    sign, _, bound = target.rpartition(" ")
    bound = float(bound)
    reached = {
        "≤": measured <= bound, "<": measured < bound, "≥": measured >= bound,
        "": measured == bound,
    }[sign]
    return "reached" if reached else "not reached"
