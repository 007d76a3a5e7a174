"""steps.py FOLDER FILE...: writes each shell script of the workflows to a file in FOLDER,
for shellcheck, which cannot read YAML. A script that GitHub would write values into before
the shell sees it is an error: such a value could be a command."""

import pathlib
import sys

from ruamel.yaml import YAML

folder = pathlib.Path(sys.argv[1])
for name in map(pathlib.Path, sys.argv[2:]):
    for job, body in YAML(typ="safe").load(name)["jobs"].items():
        for number, step in enumerate(body.get("steps", []), 1):
            if script := step.get("run"):
                if "${{" in script:
                    sys.exit(f"{name}, {job}, step {number}: an expression in a script")
                target = folder / f"{name.stem}.{job}.{number}.sh"
                target.write_text(f"#!/usr/bin/env bash\nset -eo pipefail\n{script}")
