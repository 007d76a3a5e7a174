"""src/dev/constraints/table.json, by which the embedded endpoint refuses requests, against
the service models in the botocore that is installed. With --write, writes the table again.

The table holds the operations that the sources name, and the shapes of what they take: types,
required members, lengths, ranges, patterns and enums."""

import copy
import difflib
import json
import re
import sys
from pathlib import Path

import models

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "src/dev/constraints/table.json"
FOLDERS = "src", "tests/it"
KEPT = "type", "required", "min", "max", "pattern", "enum", "sensitive"


def named():
    """Words that are, or end, a string of the sources, and the names after `Operation::`: the
    operations are among them."""
    files = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.rs"))
    pattern = re.compile(r'[".]([A-Z]\w+)"|Operation::([A-Z]\w+)')
    return {
        string or variant
        for file in files
        for string, variant in pattern.findall(file.read_text())
    }


def references(shape):
    """The shapes that a shape is made of, by their place in it."""
    if "members" in shape:
        return {"members": {name: one["shape"] for name, one in shape["members"].items()}}
    return {place: shape[place]["shape"] for place in ("member", "key", "value") if place in shape}


def slice_of(model, operations):
    """The part of a model that says what these operations take."""
    inputs = {name: model["operations"][name]["input"]["shape"] for name in operations}
    shapes, waiting = {}, list(inputs.values())
    while waiting:
        name = waiting.pop()
        if name in shapes:
            continue
        shape = model["shapes"][name]
        inside = references(shape)
        shapes[name] = {key: shape[key] for key in KEPT if key in shape} | inside
        waiting += inside.get("members", inside).values()
    return {"operations": inputs, "shapes": shapes}


def table_of(service_models):
    words = named()
    return {
        service: slice_of(model, words & model["operations"].keys())
        for service, model in service_models.items()
    }


def text_of(version, table):
    """JSON with an operation or a shape on each line, so that a change can be read."""

    def block(entries, inner):
        lines = (f"{json.dumps(name)}: {inner(entry)}" for name, entry in sorted(entries.items()))
        return "{\n" + ",\n".join(lines) + "\n}"

    services = block(table, lambda parts: block(parts, lambda part: block(part, json.dumps)))
    return f'{{"botocore": {json.dumps(version)}, "services": {services}}}\n'


def differences(old, new):
    old, new = (text_of("", table).splitlines() for table in (old, new))
    return [line for line in difflib.unified_diff(old, new, "table", "botocore", "", "", 0, "")]


service_models = {service: models.service_model(service) for service in models.API_VERSIONS}
table = table_of(service_models)
if sys.argv[1:] == ["--write"]:
    TABLE.write_text(text_of(models.version(), table))
    print(f"botocore {models.version()}: {TABLE.name} is written")
    sys.exit()

# A check that finds nothing in anything would be no check.
newer = copy.deepcopy(service_models)
newer["cognito-idp"]["shapes"]["UsernameType"]["max"] += 1
assert len(differences(table, table_of(newer))) == 5

checked_in = json.loads(TABLE.read_text())
found = differences(checked_in["services"], table)
for line in found:
    print(f"{TABLE.name}: {line}")
if found:
    print("tests/model/run --write writes the table again")
print(f"botocore {models.version()}, the table's {checked_in['botocore']}: {len(found)} lines differ")
sys.exit(bool(found))
