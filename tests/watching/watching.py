"""Alerts and dashboard with a real Prometheus, which reads the worker of `usher dev`.

A minute of the rules is a second here; nothing else differs."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from run_checks import check, end, results, summary, until

USHER, PROJECT, WORK = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
DASHBOARD = json.loads((PROJECT / "deploy/grafana/usher.json").read_text())
opener = build_opener(ProxyHandler({}))
running = []


def start(name, *command, **variables):
    path = {"PATH": "/usr/bin:/bin", "HOME": str(WORK), "NO_PROXY": "127.0.0.1"}
    with (WORK / f"{name}.out").open("w") as out, (WORK / f"{name}.log").open("w") as log:
        child = subprocess.Popen(
            [str(part) for part in command],
            env=path | variables,
            cwd=WORK,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=log,
        )
    running.append(child)
    return child


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


# --- The dashboard, looked at ------------------------------------------------------------


def lost(before, after, path=""):
    """What is in the first one only, or differs."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            yield from lost(value, after[key], f"{path}/{key}") if key in after else [f"{path}/{key}"]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after)):
            yield from lost(one, other, f"{path}/{index}")
    elif before != after:
        yield path


@check("Grafana's library knows every field of the dashboard")
def _():
    register_default_plugins()
    read = JSONEncoder().encode(Dashboard.from_json(DASHBOARD))
    differ = list(lost(DASHBOARD, json.loads(read)))
    assert differ == [], differ


@check("panels have their own titles and places")
def _():
    panels = DASHBOARD["panels"]
    for key in ["id", "title"]:
        assert len({panel[key] for panel in panels}) == len(panels), key
    places = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in places, panel["title"]
                places.add((x, y))


# --- A worker, and Prometheus ------------------------------------------------------------


class Dev:
    """`usher dev`, with its worker."""

    def __init__(self, name):
        self.child = start(
            name, USHER, "dev", "--port", "0", "--signups", "3", "--output", "json",
            USHER_HTTP__LISTEN="127.0.0.1:0",
            USHER_HTTP__PUBLIC_LISTEN="127.0.0.1:0",
            # A receive of 20 seconds were one of 20 minutes here.
            USHER_QUEUE__WAIT="1s",
        )
        out = WORK / f"{name}.out"
        self.at = until(
            "usher dev is up", lambda: json.loads(out.read_text()), retry_on=json.JSONDecodeError
        )

    def call(self, target, **body):
        headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
        request = Request(self.at["endpoint"], json.dumps(body).encode(), headers)
        return json.loads(opener.open(request, timeout=10).read() or b"{}")

    def table(self, operation, **body):
        return self.call(f"DynamoDB_20120810.{operation}", TableName=self.at["table"], **body)

    def send(self, text):
        self.call("AmazonSQS.SendMessage", QueueUrl=self.at["queue"], MessageBody=text)

    def sign_up(self, name):
        cognito = "AWSCognitoIdentityProviderService"
        email = [{"Name": "email", "Value": f"{name}@example.com"}]
        self.call(
            f"{cognito}.SignUp", ClientId=self.at["client"], Username=name, Password="Pass-word-1",
            UserAttributes=email,
        )
        self.call(f"{cognito}.AdminConfirmSignUp", UserPoolId=self.at["pool"], Username=name)

    def stop(self):
        self.child.send_signal(signal.SIGINT)
        assert self.child.wait(timeout=60) == 0, self.child.returncode


class Prometheus:
    def __init__(self):
        rules = (PROJECT / "deploy/prometheus/alerts.yaml").read_text()
        (WORK / "alerts.yaml").write_text(re.sub(r"(?<=[\[ ])(\d+)m\b", r"\1s", rules))
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yaml"],
            "scrape_configs": [
                {"job_name": "usher", "file_sd_configs": [{"files": ["targets.json"]}]},
            ],
        }
        (WORK / "prometheus.yaml").write_text(json.dumps(config))
        self.url = f"http://127.0.0.1:{free_port()}"
        self.child = start(
            "prometheus", "prometheus", f"--config.file={WORK}/prometheus.yaml",
            f"--storage.tsdb.path={WORK}/data", f"--web.listen-address={self.url[7:]}",
        )
        until(
            "Prometheus is ready",
            lambda: opener.open(f"{self.url}/-/ready", timeout=10),
            retry_on=OSError,
        )

    def read(self, dev):
        """Replaces the targets: a file that is moved is never half written."""
        new = WORK / "targets.new"
        new.write_text(json.dumps([{"targets": [dev.at["health"].removeprefix("http://")]}]))
        new.rename(WORK / "targets.json")

    def ask(self, path, **query):
        answer = opener.open(f"{self.url}/api/v1/{path}?{urlencode(query)}", timeout=10)
        answer = json.loads(answer.read())
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression):
        return self.ask("query", query=expression)["result"]

    def firing(self):
        alerts = self.ask("alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def fires(self, alert):
        until(f"{alert} fires", lambda: alert in self.firing(), retry_on=OSError)

    def ends(self, *alerts):
        until(f"{alerts} end", lambda: not self.firing() & set(alerts), retry_on=OSError)


prometheus = Prometheus()


@check("UsherNoWorker fires before there is a worker")
def _():
    prometheus.fires("UsherNoWorker")


dev = Dev("dev")
prometheus.read(dev)


@check("no alert is on while a worker is healthy")
def _():
    prometheus.ends("UsherNoWorker")
    # Longer than any alert waits, of which the longest is 15 minutes.
    healthy_since = time.monotonic()
    while time.monotonic() < healthy_since + 16:
        assert prometheus.firing() == set(), prometheus.firing()
        time.sleep(0.5)


@check("every query of the dashboard can be evaluated, and shows the worker")
def _():
    empty = set()
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            expression = target["expr"].replace("$job", "usher").replace("$instance", ".*")
            expression = expression.replace("$__rate_interval", "1m")
            assert "$" not in expression, expression
            if not prometheus.query(expression):
                empty.add(panel["title"])
    # No message has failed, and no administrator or guest came.
    assert empty <= {
        "Retries and dead letters by reason, a second", "Failed calls of AWS, a second",
        "HTTP requests by status, a second", "Administrators, an hour",
        "Invitations and sign-ins, an hour",
    }, empty


@check("the variables of the dashboard find the job and the worker")
def _():
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            [found] = re.findall(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            series, label = found[0].replace("$job", "usher"), found[1]
            values = {sample["metric"].get(label) for sample in prometheus.query(series)}
            assert values and None not in values, (variable["name"], values)


@check("UsherBreakerOpen fires in an outage, and ends after it")
def _():
    table = dev.table("DescribeTable")["Table"]
    dev.table("DeleteTable")
    dev.sign_up("zoe")
    prometheus.fires("UsherBreakerOpen")
    # The worker receives nothing because of its breaker, which is one alert.
    assert prometheus.firing() == {"UsherBreakerOpen"}, prometheus.firing()
    dev.table(
        "CreateTable",
        BillingMode="PAY_PER_REQUEST",
        **{key: table[key] for key in ["KeySchema", "AttributeDefinitions"]},
    )
    prometheus.ends("UsherBreakerOpen")


@check("UsherDeadLetters fires for the first dead letter of a reason, and ends")
def _():
    dev.send("{")
    prometheus.fires("UsherDeadLetters")
    [reason] = {
        alert["labels"]["reason"]
        for alert in prometheus.ask("alerts")["alerts"]
        if alert["labels"]["alertname"] == "UsherDeadLetters"
    }
    assert reason == "not_json", reason
    prometheus.ends("UsherDeadLetters")


@check("UsherNoWorker and UsherWorkerDown fire after the last worker ends, and end with a new one")
def _():
    dev.stop()
    prometheus.fires("UsherNoWorker")
    prometheus.fires("UsherWorkerDown")
    prometheus.read(Dev("second-dev"))
    prometheus.ends("UsherNoWorker", "UsherWorkerDown")


for child in running:
    if child.poll() is None:
        child.terminate()
        child.wait(timeout=60)
if results["failed"]:
    for log in sorted(WORK.glob("*.log")):
        print(f"--- {log.name}", *log.read_text().splitlines()[-30:], sep="\n")
print(summary())
end()
