"""The settings of a user pool: the lists of src/attach/settings.rs against Cognito's service
model in the botocore that is installed. UpdateUserPool resets what it is not given, so
usher trigger attach stops at a setting that is in no list."""

import copy
import re
import sys
from pathlib import Path

import models

SOURCE = Path(__file__).parents[2] / "src/attach/settings.rs"
# Taken and on purpose not sent as a setting. Cognito keeps the name of a pool that is not
# given one.
NOT_SENT = {"PoolName", "UserPoolId"}


def list_of(source, name):
    """The strings of a constant `NAME: [&str; N]`, which may name other constants."""
    [(count, body)] = re.findall(rf"const {name}: \[&str; (\d+)\] = \[(.*?)\];", source, re.S)
    constants = dict(re.findall(r'const (\w+): &str = "(\w+)";', source))
    entries = [entry.strip() for entry in body.split(",") if entry.strip()]
    names = [entry.strip('"') if entry.startswith('"') else constants[entry] for entry in entries]
    assert len(set(names)) == int(count), f"{name} cannot be read: {names}"
    return set(names)


def members(model, operation, side, inside=None):
    """Name and shape of each member of what an operation takes (input) or answers (output)."""
    shapes = model["shapes"]
    shape = shapes[model["operations"][operation][side]["shape"]]
    if inside:
        shape = shapes[shape["members"][inside]["shape"]]
    return {name: member["shape"] for name, member in shape["members"].items()}


def findings(model, source):
    writable = list_of(source, "WRITABLE_SETTINGS")
    known = writable | list_of(source, "READ_ONLY_SETTINGS") | list_of(source, "VOLATILE_SETTINGS")
    shown = members(model, "DescribeUserPool", "output", "UserPool")
    taken = members(model, "UpdateUserPool", "input")
    for name in sorted(shown.keys() - known):
        where = "READ_ONLY_SETTINGS or VOLATILE_SETTINGS"
        if name in taken:
            where = "WRITABLE_SETTINGS, as UpdateUserPool takes it"
        yield f"DescribeUserPool shows {name}, which is in no list: it belongs into {where}"
    for name in sorted(known - shown.keys()):
        yield f"{name} is in a list, and DescribeUserPool does not show it"
    for name in sorted(writable - taken.keys()):
        yield f"{name} is in WRITABLE_SETTINGS, and UpdateUserPool does not take it"
    for name in sorted(taken.keys() - writable - NOT_SENT):
        yield f"UpdateUserPool takes {name}, which is not in WRITABLE_SETTINGS: a write may reset it"
    for name in sorted(NOT_SENT - taken.keys()):
        yield f"{name} is in NOT_SENT, and UpdateUserPool does not take it"
    for name in sorted(shown.keys() & taken.keys()):
        if shown[name] != taken[name]:
            yield f"{name} is shown as {shown[name]} and taken as {taken[name]}"
    # What GetUserPoolMfaConfig shows is sent back as it is.
    shown = members(model, "GetUserPoolMfaConfig", "output")
    taken = members(model, "SetUserPoolMfaConfig", "input")
    taken.pop("UserPoolId")
    for name in sorted(name for name, _ in shown.items() ^ taken.items()):
        yield f"{name} is not the same in GetUserPoolMfaConfig and SetUserPoolMfaConfig"
    if "EnableStatus" not in model["shapes"]["DcrConfigurationType"]["members"]:
        yield "DcrConfiguration has no EnableStatus, which decides whether it is sent"


version, model = models.version(), models.service_model("cognito-idp")
source = SOURCE.read_text()

# A check that finds nothing in anything would be no check.
newer = copy.deepcopy(model)
for shape in "UserPoolType", "UpdateUserPoolRequest", "GetUserPoolMfaConfigResponse":
    newer["shapes"][shape]["members"]["QuantumPolicy"] = {"shape": "QuantumPolicyType"}
assert sum("QuantumPolicy" in line for line in findings(newer, source)) == 3
older = source.replace('"UserPoolTier",', '"Undersigned",')
assert sum("UserPoolTier" in line for line in findings(model, older)) == 2

found = list(findings(model, source))
for line in found:
    print(f"{SOURCE.name}: {line}")
print(f"botocore {version}: {len(found)} differences")
sys.exit(bool(found))
