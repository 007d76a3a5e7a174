"""What is in the image, and what is not."""

import os
import pathlib
import re
import subprocess

from counting import SHIPPED, check
from podman import inspect, podman

IMAGE = "localhost/usher"
LIMIT_MB = 20
FILES = {"usher", "etc/ssl/certs/ca-certificates.crt"}


def check_all():
    found = inspect("image", IMAGE)
    config = found["Config"]
    root = pathlib.Path(podman("image", "mount", IMAGE).stdout.strip())
    try:
        if SHIPPED:
            with check(f"the image is smaller than {LIMIT_MB} MB") as note:
                note(f"{found['Size'] / 1e6:.1f} MB")
                assert found["Size"] < LIMIT_MB * 1e6, found["Size"]

        with check("it holds the program and the CA certificates, and no shell") as note:
            files = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
            assert files == FILES, files
            note(", ".join(sorted(files)))

        with check("the program needs no library and no loader"):
            headers = subprocess.run(
                ["readelf", "--wide", "--program-headers", "--dynamic", root / "usher"],
                check=True, capture_output=True, text=True,
            ).stdout
            assert "LOAD" in headers, headers
            assert "INTERP" not in headers and "NEEDED" not in headers, headers

        with check("the CA certificates are Debian's") as note:
            text = (root / "etc/ssl/certs/ca-certificates.crt").read_text()
            note(f"{text.count('BEGIN CERTIFICATE')} certificates")
            assert text.count("BEGIN CERTIFICATE") > 100

        with check("all users may read it, and only root may write to it"):
            for path in root.rglob("*"):
                found_mode = path.stat().st_mode & 0o777
                mode = 0o755 if path.is_dir() or path.name == "usher" else 0o644
                assert (found_mode, path.stat().st_uid) == (mode, 0), (path, oct(found_mode))
    finally:
        podman("image", "unmount", IMAGE)

    with check("its user is not root") as note:
        note(config["User"])
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config["User"]), config["User"]

    with check("it starts the worker, in exec form, and stops it by SIGTERM"):
        assert config["Entrypoint"] == ["/usher"], config
        assert config["Cmd"] == ["worker"], config
        assert config["StopSignal"] == "SIGTERM", config

    with check("it serves on all addresses, on the ports that it exposes"):
        for setting in ["LISTEN=0.0.0.0:8080", "PUBLIC_LISTEN=0.0.0.0:8081"]:
            assert f"USHER_HTTP__{setting}" in config["Env"], config["Env"]
        assert sorted(config["ExposedPorts"]) == ["8080/tcp", "8081/tcp"], config

    with check("its labels say what it was built from") as note:
        labels = config["Labels"]
        prefix = "org.opencontainers.image."
        assert labels[prefix + "version"] == "0.0.0-test", labels
        assert labels[prefix + "revision"] == os.environ["REVISION"], labels
        note(f"{found['Os']}/{found['Architecture']}")

    with check("the embedded endpoint is not in it: there is no `usher dev`"):
        ended = podman("run", "--rm", "--network", "none", IMAGE, "dev", ok=False)
        assert ended.returncode == 2, ended
        assert "unrecognized subcommand 'dev'" in ended.stderr, ended.stderr
        assert "worker" in podman("run", "--rm", "--network", "none", IMAGE, "--help").stdout
