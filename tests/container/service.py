"""The image at work: a sign-up's walk from the trigger to the profile, and the way out."""

import json
import os
import pathlib
import subprocess
import urllib.request
from contextlib import contextmanager

from counting import WORK, check, until
from image import IMAGE
from lambda_function import function
from podman import NETWORK, environment, podman, running
from surroundings import IN_HOSTS, NAMED, Account, NameServer, TlsFront

# The default of ECS.
STOP_TIMEOUT = 30
AT_ONCE = 200
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
BASIC = {
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def endpoint():
    """`usher dev` of the machine, until the block ends: the JSON that it prints."""
    log, result = (WORK / "log" / name for name in ("dev.log", "dev.json"))
    # The worker in the container takes the default ports.
    ports = ["--port", "0", "--set", "http.listen=127.0.0.1:0",
             "--set", "http.public_listen=127.0.0.1:0"]
    with log.open("w") as errors, result.open("w") as output:
        dev = subprocess.Popen(
            [os.environ["USHER"], "dev", *ports, "--signups", "0", "--output", "json"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
        )
    try:
        def ready():
            assert dev.poll() is None, "usher dev ended by itself"
            return result.read_text().endswith("}\n")

        until("usher dev is ready", ready)
        yield json.loads(result.read_text())
    finally:
        dev.kill()
        dev.wait()


def check_all():
    names = NameServer()
    with endpoint() as dev:
        account = Account(dev)
        front = TlsFront(WORK, account.port)
        url = f"https://{NAMED}:{front.port}"
        settings = BASIC | {
            "AWS_ENDPOINT_URL": url,
            "USHER_QUEUE__URL": f"{url}/{account.queue.split('/', 3)[3]}",
            "USHER_POOLS__ALLOWED": account.pool,
            "USHER_PROFILES__TABLE": account.TABLE,
            # Slow enough to be stopped in the middle.
            "USHER_QUOTA__USER_UPDATE": "5",
        }
        trust = ["--volume", f"{front.issuer}:{CERTIFICATES}:ro"]

        with check("it trusts only the CA certificates in it"):
            command = ["run", "--rm", "--read-only", *NETWORK, *environment(settings)]
            refused = podman(*command, IMAGE, "check", ok=False)
            assert refused.returncode == 1, refused
            assert "TLS failed" in " ".join(refused.stdout.split()), refused.stdout
            assert front.refused > 0
            trusted = podman(*command, *trust, IMAGE, "check", ok=False)
            assert "cannot reach" not in trusted.stdout, trusted.stdout

        names.asked.clear()
        with running("worker", *environment(settings), *trust, IMAGE) as worker:
            check_process(worker)
            with check("it found the endpoint through the name server of /etc/resolv.conf"):
                assert NAMED in names.asked, names.asked
            check_sign_up(account, settings, front)
            with check("the trigger found it in /etc/hosts, and asked no name server"):
                assert IN_HOSTS not in names.asked, names.asked
            check_end(account, worker)


def check_process(worker):
    with check("it is healthy for others, and `usher health` in it says so"):
        until("/healthz", lambda: asked("/healthz") == 200)
        ended = worker.exec("/usher", "health")
        assert ended.returncode == 0, ended

    process = pathlib.Path("/proc", str(worker.state()["Pid"]))
    status = dict(
        line.split(":\t", 1) for line in (process / "status").read_text().splitlines()
    )

    with check("the program is process 1 of the container, and not root"):
        assert status["NSpid"].split()[1:] == ["1"], status["NSpid"]
        assert (process / "exe").readlink().name == "usher"
        assert (process / "cmdline").read_bytes() == b"/usher\0worker\0"
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"65532"}, status
        assert int(status["CapEff"], 16) == 0, status["CapEff"]

    with check("there is no file system that it could write to"):
        writable = []
        for line in (process / "mountinfo").read_text().splitlines():
            fields, kind = line.split(" - ")
            point, options = fields.split()[4:6]
            if "rw" in options.split(",") and not point.startswith(("/proc", "/dev", "/sys")):
                writable.append((point, kind))
        assert not writable, writable


def asked(path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:8080{path}", timeout=5) as answer:
            return answer.status
    except OSError as error:
        return getattr(error, "code", None)


def check_sign_up(account, settings, front):
    sub, event = account.sign_up("ada")
    settings = {name: value.replace(NAMED, IN_HOSTS) for name, value in settings.items()}

    with check("the trigger, as a Lambda function, forwards and returns the event"):
        with function(settings, front.issuer) as lambda_api:
            answer = lambda_api.invoke(event)
            assert answer == ("response", event), answer

    with check("the worker adds the user to their group and writes the profile"):
        until("the profile", lambda: account.profiles() == [sub])
        until("the group", lambda: account.groups("ada") == ["EVERYONE"])
        # Only a poll that has come home makes it so.
        assert asked("/readyz") == 200


def check_end(account, worker):
    people = {name: account.sign_up(name) for name in (f"person-{n}" for n in range(AT_ONCE))}

    def finished():
        profiles = set(account.profiles())
        return sum(
            sub in profiles and account.groups(name) == ["EVERYONE"]
            for name, (sub, _) in people.items()
        )

    with check("it stops at SIGTERM before an orchestrator would kill it, and exits with 0") as note:
        account.send([event for _, event in people.values()])
        until("some are through", lambda: finished() >= 5)
        seconds = worker.stop(STOP_TIMEOUT)
        note(f"{seconds:.1f} s of {STOP_TIMEOUT} s")
        state = worker.state()
        assert (state["Status"], state["ExitCode"]) == ("exited", 0), state
        assert seconds < STOP_TIMEOUT
        last = json.loads(worker.logs().splitlines()[-1])
        assert last["message"] == "worker stopped", last

    with check("every sign-up of that moment is finished, or waits for another worker") as note:
        done, (visible, hidden) = finished(), account.waiting(account.queue)
        note(f"{done} finished, {visible} waiting")
        assert (done + visible, hidden) == (AT_ONCE, 0), (done, visible, hidden)
        assert account.waiting(account.dead_letter_queue) == (0, 0)
