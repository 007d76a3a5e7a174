"""Named checks that run one after the other and are counted. A failed one does not end the others."""

import sys
import time
import traceback

results = {"passed": 0, "failed": 0}


def check(name):
    """Runs the function that it decorates at once."""

    def run(body):
        began = time.monotonic()
        try:
            body()
            results["passed"] += 1
            print(f"ok    {name} ({time.monotonic() - began:.1f}s)", flush=True)
        except Exception:
            results["failed"] += 1
            print(f"FAIL  {name}\n{traceback.format_exc()}", flush=True)

    return run


def equal(left, right):
    assert left == right, f"\n{left!r}\n is not\n{right!r}"


def until(what, probe, seconds=60, retry_on=()):
    """What `probe` returns as soon as it is true. An error in `retry_on` is tried again."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := probe():
                return found
        except retry_on:
            pass
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def summary():
    return "{passed} passed, {failed} failed".format(**results)


def end():
    """Exits with 1 if a check failed."""
    sys.exit(1 if results["failed"] else 0)
