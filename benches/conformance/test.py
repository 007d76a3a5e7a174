"""Compares the endpoint with moto. `run` calls this."""

import argparse
import os
import re
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import compared_cognito
import compared_dynamodb
import compared_http
import compared_receive
import compared_send
import compared_settle
import own
from expected import EXPECTED
from sides import Answer, EndpointSide, MotoSide

COMPARED = [
    *compared_send.CHECKS, *compared_receive.CHECKS, *compared_settle.CHECKS,
    *compared_cognito.CHECKS, *compared_dynamodb.CHECKS, *compared_http.CHECKS,
]
ABSENT = "(absent)"


def flat(value, path=""):
    """Each leaf with its path. An empty container is a leaf."""
    if isinstance(value, (dict, list)) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in items:
            yield from flat(part, f"{path}/{key}")
    else:
        yield path, value


def observed(side, check):
    """Runs a check on one side; returns every leaf of the yielded values, by path."""
    side.fresh(**check.options)
    seen = {}
    for label, what in check.run(side):
        assert label not in {path.split("/")[0] for path in seen}, f"{label} twice"
        seen.update(flat(what.compared if isinstance(what, Answer) else what, label))
    return seen


def differences(check, endpoint, moto):
    """The errors: unexpected differences, and expected ones that are missing."""
    found = {
        path: (endpoint.get(path, ABSENT), moto.get(path, ABSENT))
        for path in endpoint | moto
        if endpoint.get(path, ABSENT) != moto.get(path, ABSENT)
    }
    awaited = {path: pair for (name, path), (*pair, _) in EXPECTED.items() if name == check.name}
    for path, (ours, theirs) in found.items():
        if path not in awaited:
            yield f"{path}: endpoint {ours!r}, moto {theirs!r}"
        elif awaited[path] != [ours, theirs]:
            yield (f"{path}: endpoint {ours!r}, moto {theirs!r}; expected was "
                   f"endpoint {awaited[path][0]!r}, moto {awaited[path][1]!r}")
    for path in awaited.keys() - found.keys():
        both = endpoint.get(path, ABSENT)
        yield f"{path}: a difference was expected, and both have {both!r}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--moto", required=True)
    parser.add_argument("--summary", type=Path, required=True)
    options = parser.parse_args()
    wanted = re.compile(os.environ.get("CONFORMANCE_ONLY", ""))
    names = {check.name for check in COMPARED}
    stray = {name for name, _ in EXPECTED} - names
    assert not stray, f"no check is named {stray}"
    assert len(names) == len(COMPARED), "two checks of one name"

    endpoint, moto = EndpointSide(options.endpoint), MotoSide(options.moto)
    passed = failed = 0

    def report(name, began, wrong):
        nonlocal passed, failed
        print(f"{'not ' if wrong else ''}ok - {name} ({time.monotonic() - began:.1f}s)", flush=True)
        for line in wrong:
            print(f"    {line}", flush=True)
        passed, failed = passed + (not wrong), failed + bool(wrong)

    try:
        with ThreadPoolExecutor(2) as both:
            for check in COMPARED:
                if wanted.search(check.name):
                    began = time.monotonic()
                    try:
                        seen = both.map(lambda side: observed(side, check), (endpoint, moto))
                        wrong = list(differences(check, *seen))
                    except Exception:
                        wrong = traceback.format_exc().splitlines()
                    report(check.name, began, wrong)
        for check in own.CHECKS:
            if wanted.search(check.name):
                began = time.monotonic()
                try:
                    check.run(endpoint)
                    wrong = []
                except Exception:
                    wrong = traceback.format_exc().splitlines()
                report(check.name, began, wrong)
    finally:
        endpoint.close()
    expected = sum(1 for name, _ in EXPECTED if wanted.search(name))
    options.summary.write_text(
        f"{passed} passed, {failed} failed; {expected} differences from moto are expected\n")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
