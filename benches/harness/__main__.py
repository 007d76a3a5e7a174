"""`benches/run` calls this once everything is built."""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from pathlib import Path

from . import table, targets, trigger
from .candidates import BENCHES, NODE, candidates
from .process import kill_all
from .scenarios import SMOKE, Bench, Size, fixed

# In these, the machine has little load, so candidates run at the same time.
QUIET = ("quota", "idle", "fleet")
SCENARIOS = ("drain", "latency", "steady", "quota", "idle", "fleet", "flat", "trigger")


def arguments():
    parser = argparse.ArgumentParser(
        prog="benches/run", allow_abbrev=False, description="Runs usher and what it is compared "
        "with as whole processes against one endpoint, and says what it cost.")
    # Options of benches/run itself.
    for built in ("--usher", "--trigger", "--rust", "--venv"):
        parser.add_argument(built, type=Path, default=Path(), help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=5, help="of each scenario and candidate")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS,
                        help="of the scenarios; all in which a candidate takes part")
    parser.add_argument("--candidates", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--smoke", action="store_true",
                        help="a few messages of everything, once: shows that it works, and no "
                             "figure of it means anything")
    parser.add_argument("--out", type=Path,
                        help="target/bench.json; with --smoke target/bench-smoke.json")
    options = parser.parse_args()
    if options.out is None:
        options.out = Path("target/bench-smoke.json" if options.smoke else "target/bench.json")
    return options


def main():
    options = arguments()
    check_versions()
    check_out(options.out)
    wanted = selected(options)
    if options.check:
        return
    runs = 1 if options.smoke else options.runs
    with tempfile.TemporaryDirectory(prefix="usher-bench-") as logs:
        leave_on_a_signal(logs)
        bench = Bench(options.rust / "bench-endpoint", Path(logs), SMOKE if options.smoke else Size())
        results = {}
        report = {"machine": machine(), "runs": runs, "smoke": options.smoke, "results": results}
        for run in range(runs):
            # Each run starts with another candidate.
            turn = run % len(wanted)
            order = wanted[turn:] + wanted[:turn]
            for scenarios in rounds(options.only):
                note(f"run {run + 1} of {runs}: {', '.join(scenarios)}")
                try:
                    for scenario, name, figures in measured(bench, scenarios, order, options, run):
                        results.setdefault(scenario, {}).setdefault(name, []).append(figures)
                finally:
                    if results:
                        write(report, options.out)
    print(table.of(report))
    if not options.smoke:
        print(f"\n### Targets\n\n{targets.of(report)}")
    if options.smoke:
        table.check_smoke(
            results, lambda scenario: [e.name for e in wanted if e.takes_part(scenario)],
            options.only)
        print("smoke: every scenario ran with every candidate; the figures mean nothing")


def write(report, path):
    """Saves the results so far, even if a later scenario fails."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(report, indent=1) + "\n")
    part.replace(path)


def leave_on_a_signal(logs):
    """Exits at once: an exception would wait for the threads, and they for their scenarios."""
    def leave(number):
        kill_all()
        shutil.rmtree(logs, ignore_errors=True)
        os._exit(128 + number)
    # On its own thread: the interrupted thread may be starting a program.
    def handle(number, _):
        threading.Thread(target=leave, args=(number,)).start()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handle)


def selected(options):
    everybody = candidates(options.usher, options.rust, options.venv)
    names = [candidate.name for candidate in everybody]
    unknown = set(options.candidates or ()) - set(names)
    if unknown:
        raise SystemExit(f"no candidate {', '.join(sorted(unknown))}: there are {', '.join(names)}")
    if options.runs < 1:
        raise SystemExit("--runs: at least 1")
    wanted = [each for each in everybody if each.name in (options.candidates or names)]
    takes_place = lambda scenario: (
        scenario == "trigger" or any(each.takes_part(scenario) for each in wanted))
    for scenario in options.only or ():
        if not takes_place(scenario):
            raise SystemExit(f"--only {scenario}: none of the candidates takes part in it")
    options.only = options.only or [each for each in SCENARIOS if takes_place(each)]
    return wanted


def check_versions():
    """The floor and the peers in Rust must use the same SDK version as usher."""
    def sdk(lock):
        packages = tomllib.loads((BENCHES / lock).read_text())["package"]
        return {
            package["name"]: package["version"] for package in packages
            if package["name"].startswith("aws-")
        }
    product, bench = sdk("../Cargo.lock"), sdk("Cargo.lock")
    other = {name: (version, product[name]) for name, version in bench.items()
             if product.get(name, version) != version}
    if other:
        raise SystemExit(f"benches/Cargo.lock has other versions of the SDK: {other}\n"
                         "cargo update --manifest-path benches/Cargo.toml -p NAME --precise VERSION")


def check_out(path):
    """Fails before the build when the file cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SystemExit(f"--out {path}: {error.strerror}") from None
    if path.is_dir():
        raise SystemExit(f"--out {path}: it is a folder")


def rounds(wanted):
    """Groups the scenarios that run at the same time."""
    together = [scenario for scenario in QUIET if scenario in wanted]
    single = [[scenario] for scenario in SCENARIOS if scenario in wanted and scenario not in QUIET]
    return [*single, together] if together else single


def measured(bench, scenarios, wanted, options, run):
    """One run: yields scenario, name and figures of each candidate."""
    [first, *_] = scenarios
    wanted = [each for each in wanted if any(map(each.takes_part, scenarios))]
    if first in QUIET:
        jobs = quiet(bench, scenarios, wanted)
        ignores_quota = lambda job: job[0] != "idle" and not job[3].paces
        for together in (
            [job for job in jobs if not ignores_quota(job)],
            [job for job in jobs if ignores_quota(job)],
        ):
            if together:
                yield from bench.side_by_side(together)
    elif first == "trigger":
        yield from triggers(bench, options, run)
    elif first == "flat":
        for each in wanted:
            for count in bench.size.flat:
                yield first, f"{each.name}, {count:,}", bench.drain(each, count)
    elif first == "steady":
        yield from bench.side_by_side([(first, each.name, bench.steady, each) for each in wanted])
    else:
        latency = {} if first == "drain" else {"cognito": fixed(20), "dynamodb": fixed(5)}
        for each in wanted:
            yield first, each.name, bench.drain(each, each.part_of(bench.size.backlog), **latency)


def quiet(bench, scenarios, wanted):
    """Scenarios that are measured at the same time."""
    jobs = []
    for scenario in scenarios:
        for each in wanted:
            if not each.takes_part(scenario):
                continue
            if scenario == "idle":
                jobs.append((scenario, each.name, bench.idle, each))
            elif scenario == "quota":
                jobs.append((scenario, each.name, bench.quota, each))
            else:
                jobs.append((scenario, each.name, bench.fleet, each))
                if each.is_usher:
                    jobs.append((scenario, f"{each.name}, processes unset", bench.fleet_with_processes_unset, each))
    return jobs


def triggers(bench, options, run):
    node = BENCHES / "peers" / "trigger-node"
    bundle = node / "dist" / "index.mjs"
    invokes = 20 if options.smoke else 200
    both = [
        ("usher-trigger", [options.trigger], options.trigger),
        ("node", [NODE, node / "bootstrap.mjs", bundle], bundle),
    ]
    for name, argv, code in both[run % 2:] + both[:run % 2]:
        log = bench.logs / f"trigger-{name}.log"
        yield "trigger", name, trigger.measure(bench.endpoint_program, name, argv, code, log, invokes)


def machine():
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine())
    def version(*argv):
        try:
            return subprocess.run(argv, capture_output=True, text=True).stdout.strip()
        except OSError:
            return "none"
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "rust": version("rustc", "--version"),
        "node": version(NODE, "--version"),
        "python": platform.python_version(),
    }


def note(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
