"""The file that the target `trigger` leaves, as a Lambda function."""

import re
import subprocess
from contextlib import contextmanager

from counting import SHIPPED, WORK, check, until
from podman import environment, running
from surroundings import IN_HOSTS, RuntimeApi

BOOTSTRAP = WORK / "lambda" / "bootstrap"
LIMIT_MIB = 6
# What Amazon Linux 2023 has.
GLIBC = (2, 34)
LIBRARIES = r"lib(c|m|gcc_s)\.so\.\d|ld-linux-[\w-]+\.so\.\d"
# A system with a glibc, which has its certificates where rustls looks first.
SYSTEM = "localhost/usher-builder"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def elf(*what):
    return subprocess.run(
        ["readelf", "--wide", *what, BOOTSTRAP], check=True, capture_output=True, text=True
    ).stdout


def check_file():
    with check("the target `trigger` leaves one program, called bootstrap"):
        assert [path.name for path in BOOTSTRAP.parent.iterdir()] == [BOOTSTRAP.name]
        assert BOOTSTRAP.stat().st_mode & 0o777 == 0o755

    if SHIPPED:
        with check(f"it is smaller than {LIMIT_MIB} MiB") as note:
            note(f"{BOOTSTRAP.stat().st_size / 2**20:.2f} MiB")
            assert BOOTSTRAP.stat().st_size < LIMIT_MIB * 2**20

    with check("it exports no traces, and holds no code for it"):
        assert b"/v1/traces" not in BOOTSTRAP.read_bytes()

    with check("it needs no library, and no newer glibc, than Amazon Linux 2023 has") as note:
        libraries = re.findall(r"NEEDED.*\[(.*)\]", elf("--dynamic"))
        assert libraries, "a static program would load modules of another glibc"
        assert all(re.fullmatch(LIBRARIES, library) for library in libraries), libraries
        versions = re.findall(r"Name: GLIBC_(\S+)", elf("--version-info"))
        newest = max(tuple(map(int, version.split("."))) for version in versions)
        note(f"glibc {newest[0]}.{newest[1]}")
        assert newest <= GLIBC, newest


@contextmanager
def function(settings, issuer):
    """The program on a small system, with what Lambda gives a function in its
    environment."""
    api = RuntimeApi()
    variables = settings | {
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": "usher-trigger",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    }
    arguments = [
        *environment(variables),
        f"--add-host={IN_HOSTS}:127.0.0.1",
        f"--volume={issuer}:{CERTIFICATES}:ro",
        f"--volume={BOOTSTRAP}:/var/task/bootstrap:ro",
        "--user=65532:65532",
    ]
    with running("trigger", *arguments, SYSTEM, "/var/task/bootstrap"):
        until("the function asks for an event", api.asked.is_set)
        yield api
