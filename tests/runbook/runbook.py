"""docs/OPERATIONS.md, docs/guide/amplify-migration.md, or both, run: an argument is the stem of
one.

A block that is fenced as `console` holds commands, each behind `$ `, and what they print
on standard output: `…` stands for any text, a line with only `…` for any lines, and
`[exit status N]` follows when it is not 0. Any time matches a time, and any id an id. Rows that
begin with an id may come in any order. A block that is fenced as `bash` is pasted whole, and
prints nothing. A comment `<!-- test: NAME -->` calls a function of the document's
module, situations.py or migration.py, at that point. The function with a section's name runs
before the section.
"""

import difflib
import itertools
import os
import re
import select
import subprocess
import sys
import time
import traceback
from pathlib import Path

import account
import migration
import situations

DOCUMENTS = {
    account.PROJECT / "docs/OPERATIONS.md": situations,
    account.PROJECT / "docs/guide/amplify-migration.md": migration,
}
text = next(iter(DOCUMENTS)).read_text()
passed = failed = 0


def check(name, body):
    global passed, failed
    began = time.monotonic()
    try:
        body()
        passed += 1
        print(f"ok    {name} ({time.monotonic() - began:.1f}s)", flush=True)
        return True
    except Exception:
        failed += 1
        print(f"FAIL  {name}\n{traceback.format_exc(limit=-2)}", flush=True)
        return False


def equal(left, right):
    assert left == right, f"\n{left!r}\n is not\n{right!r}"


# --- The operator's shell ------------------------------------------------------------------


class Shell:
    def __init__(self, directory):
        keep = {"PATH", "NO_PROXY", "no_proxy", "HOME", "TMPDIR", "AWS_CLI"}
        variables = {k: v for k, v in os.environ.items() if k in keep or k.startswith("AWS_")}
        variables |= {
            "PATH": f"{account.WORK / 'bin'}:{variables['PATH']}",
            "AWS_ENDPOINT_URL": account.front.url,
            "AWS_PAGER": "",
            "USHER_HTTP__LISTEN": account.NO_WORKER,
        }
        self.directory = directory
        self.errors = (account.WORK / "log/shell.log").open("a")
        self.child = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], env=variables, cwd=directory,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
        )

    def run(self, command, seconds=300):
        end = "the-end-of-a-command"
        self.child.stdin.write(f"{command}\nprintf '\\n{end} %d\\n' $?\n".encode())
        self.child.stdin.flush()
        output, deadline = b"", time.monotonic() + seconds
        while not (found := re.search(rf"\n{end} (\d+)\n$".encode(), output)):
            ready, _, _ = select.select([self.child.stdout], [], [], deadline - time.monotonic())
            assert ready, f"not done after {seconds} s: {command}"
            more = os.read(self.child.stdout.fileno(), 65536)
            assert more, f"the shell ended: {command}"
            output += more
        printed = output[: found.start()].decode().rstrip("\n")
        status = int(found[1])
        if status:
            printed = f"{printed}\n[exit status {status}]".lstrip("\n")
        return printed

    def end(self):
        self.child.stdin.close()
        self.child.wait(timeout=10)


# --- Comparing output ----------------------------------------------------------------------

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
SHORT_ID = r"\b[0-9a-f]{8}\b"
TIME = r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)| \d\d:\d\d\b)"


def real(text, names):
    """The names of the document as they are in this account."""
    for written, meant in names.items():
        text = text.replace(written, meant)
    return text


def written(text, names):
    for written, meant in names.items():
        text = text.replace(meant, written)
    return text.replace(account.front.url, "https://endpoint")


def plain(line):
    line = re.sub(f"{UUID}|{SHORT_ID}", "ID", line)
    line = re.sub(TIME, "TIME", line)
    return re.sub(r"\s+", " ", line).strip()


def in_any_order(lines):
    """Rows that begin with an id, sorted: SQS promises no order, and neither do our lists."""
    rows = itertools.groupby(lines, key=lambda line: line.startswith("ID "))
    return [line for is_row, run in rows for line in (sorted(run) if is_row else run)]


def matches(expected, actual):
    pattern = ""
    for line in in_any_order(map(plain, expected.splitlines())):
        if line == "…":
            pattern += "(?:.*\n)*"
        else:
            pattern += ".*".join(map(re.escape, line.split("…"))) + "\n"
    actual = in_any_order(map(plain, actual.splitlines()))
    return re.fullmatch(pattern, "".join(line + "\n" for line in actual)) is not None


# --- The document ------------------------------------------------------------------------


def anchor(heading):
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def steps(text):
    """(section, kind, value): a section begins, a situation changes, a command with what it
    prints."""
    section, fence, command, expected = None, None, None, []
    for line in text.splitlines():
        if fence is None:
            if heading := re.match(r"## (.+)", line):
                section = anchor(heading[1])
                yield section, "section", heading[1]
            elif meanwhile := re.fullmatch(r"<!-- test: (\S+) -->", line):
                yield section, "meanwhile", meanwhile[1]
            elif opened := re.match(r"```(\w*)$", line):
                fence, command, expected = opened[1], None, []
            continue
        if fence == "bash" and line != "```":
            command = line if command is None else f"{command}\n{line}"
            continue
        if line == "```" or (fence == "console" and line.startswith("$ ")):
            if command is not None:
                yield section, "command", (command, "\n".join(expected))
            command, expected = line[2:], []
            if line == "```":
                fence = None
        elif fence == "console" and not expected and command.endswith("\\"):
            command += "\n" + line
        else:
            expected.append(line)
    assert fence is None, "a block has no end"


# --- Before the commands: what the document promises without them ------------------------


def anchors_of_alarms():
    named = set(re.findall(r"docs/OPERATIONS\.md#([\w-]+)", account.TEMPLATE.read_text()))
    headings = {anchor(heading) for heading in re.findall(r"^## (.+)$", text, re.M)}
    assert named and named <= headings, f"alarms name {named - headings}"
    # The other way: every alarm is in the table with its section, and nothing else is.
    rows = re.findall(r"^\| `\$\{?Name\}?-([\w-]+)` \|.*\[[^\]]+\]\(#([\w-]+)\) \|$", text, re.M)
    alarms = {
        name: re.search(r"OPERATIONS\.md#([\w-]+)", description)[1]
        for name, description in account.ALARMS.items()
    }
    equal(dict(rows), alarms)
    equal(account.TEMPLATE.read_text().count("AWS::CloudWatch::Alarm"), len(alarms))


def links():
    """Every link inside of a document, and to the files beside it."""
    for document in DOCUMENTS:
        text = document.read_text()
        headings = {anchor(heading) for heading in re.findall(r"^##+ (.+)$", text, re.M)}
        for target in re.findall(r"\]\(([^)]+)\)", text):
            path, _, within = target.partition("#")
            if path.startswith("https://"):
                continue
            if not path:
                assert within in headings, target
            else:
                assert (document.parent / path).exists(), target


def the_arithmetic():
    """Each row of the tables of times is its formula."""
    rows = re.findall(r"^\| ([\d,]+) \| (\d+) \| (\d+) \| (.+) \|$", text, re.M)
    assert len(rows) >= 4, rows
    for messages, groups, rate, said in rows:
        seconds = int(messages.replace(",", "")) * int(groups) / int(rate)
        equal(said, spoken(seconds))
    rows = re.findall(r"^\| ([\d,]+) \| ([\d,]+) \| (\d+) \| (.+) \| (.+) \|$", text, re.M)
    assert len(rows) >= 3, rows
    for users, missing, rate, looking, working in rows:
        number, missing = (int(n.replace(",", "")) for n in (users, missing))
        # Pages of 60 users, at quota.user_list calls a second.
        calls = -(-number // 60)
        equal(looking, spoken(calls / 15))
        equal(working, spoken(missing / int(rate)))


def spoken(seconds):
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def no_command_is_left_out():
    """Commands are in blocks that are run; what is not run says so."""
    every = "".join("\n\n\n" + document.read_text() for document in DOCUMENTS)
    blocks = re.findall(r"((?:.*\n){3})```(\w*)\n", every)
    opened = [(before, kind) for before, kind in blocks if kind]
    for before, kind in opened:
        assert kind in {"bash", "console", "text"}, kind
        if kind == "text":
            assert "Not run by the test" in before, before
    assert sum(kind == "console" for _, kind in opened) > 30
    assert sum(kind == "text" for _, kind in opened) <= 6


check("alarms and sections name each other", anchors_of_alarms)
check("every link leads somewhere", links)
check("the tables of times are their formulas", the_arithmetic)
check("what is not run says so, and is little", no_command_is_left_out)

# --- The commands ------------------------------------------------------------------------

only = set(filter(None, os.environ.get("RUNBOOK_ONLY", "").split(",")))


def function(section):
    """A section's name as its function has it: without the number."""
    return re.sub(r"^[\d-]+", "", section).replace("-", "_")


def run(document, module):
    """Runs every step of a document in its own folder."""
    directory = account.WORK / "shell" / document.stem
    directory.mkdir(parents=True)
    (directory / "deploy").symlink_to(account.PROJECT / "deploy")
    module.shell = shell = Shell(directory)
    ran, begun, recorded = set(), None, []

    def finish(section):
        """Checks what must be true after the commands of a section."""
        if section and (after := getattr(module, f"after_{function(section)}", None)):
            check(f"{section}: {after.__doc__}", after)
        account.stop_workers()
        account.front.repair()

    for section, kind, value in steps(document.read_text()):
        if only and section not in only | {"first-of-all"}:
            continue
        if kind == "section":
            finish(begun)
            begun = section
            if before := getattr(module, function(section), None):
                ran.add(before.__name__)
                check(f"{section}: {before.__doc__}", before)
        elif kind == "meanwhile":
            meanwhile = getattr(module, function(value))
            ran.add(meanwhile.__name__)
            check(f"{section}: {meanwhile.__doc__}", meanwhile)
        else:
            command, expected = value
            actual = None

            def body():
                nonlocal actual
                actual = written(shell.run(real(command, module.NAMES)), module.NAMES)
                if not matches(expected, actual):
                    diff = difflib.unified_diff(
                        expected.splitlines(), actual.splitlines(),
                        "the document", "the command", lineterm="",
                    )
                    raise AssertionError("\n" + "\n".join(diff))

            check(f"{section}: $ {command.splitlines()[0]}", body)
            recorded.append((command, expected, actual))
    finish(begun)
    shell.end()

    if not only:
        unused = {
            name for name, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == module.__name__
            and not name.startswith(("after_", "_"))
        } - ran
        check(f"{document.stem}: every situation is one of a section", lambda: equal(unused, set()))
    if write := os.environ.get("RUNBOOK_WRITE"):
        text = document.read_text()
        for command, expected, actual in recorded:
            if actual is not None and not matches(expected, actual):
                old = f"$ {command}\n" + (f"{expected}\n" if expected else "")
                text = text.replace(old, f"$ {command}\n" + (f"{actual}\n" if actual else ""), 1)
        (Path(write) / document.name).write_text(text)


unknown = set(sys.argv[1:]) - {document.stem for document in DOCUMENTS}
assert not unknown, f"no document has the stem {unknown}"
for document, module in DOCUMENTS.items():
    if not sys.argv[1:] or document.stem in sys.argv[1:]:
        run(document, module)
(account.WORK / "summary").write_text(f"{passed} passed, {failed} failed\n")
sys.exit(1 if failed else 0)
