"""Counts what holds and what does not."""

import os
import pathlib
import sys
import time
import traceback
from contextlib import contextmanager

WORK = pathlib.Path(os.environ["WORK"])
# True if the programs have the shipped profiles; only then are sizes checked.
SHIPPED = os.environ["KIND"] == "shipped"
_results = []


class check:
    """`with check(NAME) as note`: a failure ends nothing by itself, and what is noted is
    printed beside the name."""

    def __init__(self, name):
        self._name = name
        self._notes = []

    def __enter__(self):
        return self._notes.append

    def __exit__(self, kind, error, _):
        if kind is not None and not issubclass(kind, Exception):
            return False
        _results.append(error is None)
        notes = f" ({', '.join(self._notes)})" if self._notes else ""
        print(f"{'ok   ' if error is None else 'FAIL '} {self._name}{notes}", flush=True)
        if error is not None:
            print("".join(traceback.format_exception(error)), flush=True)
        return True


def until(what, probe, seconds=30):
    """Asks again until the answer is true, and returns it."""
    end = time.monotonic() + seconds
    while not (answer := probe()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.1)
    return answer


@contextmanager
def counted():
    """However the block ends. The script prints the summary after the logs."""
    try:
        yield
    except BaseException:
        _results.append(False)
        raise
    finally:
        passed = sum(_results)
        (WORK / "summary").write_text(f"{passed} passed, {len(_results) - passed} failed\n")
    if not all(_results):
        sys.exit(1)
