"""The interface of the endpoint under `/_bench`."""

import http.client
import json
import subprocess
from urllib.parse import urlencode, urlsplit

from .process import Process, clean_environment, start

QUEUE, TABLE, GROUP, POOL = "usher", "UserProfile", "EVERYONE", "eu-west-1_bench"


class Endpoint:
    """The endpoint as its own process. It ends with `close` or with this process."""

    def __init__(self, program):
        self.process = start(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=clean_environment(),
        )
        self.pid = self.process.pid
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            raise SystemExit(f"{program} did not start")

    cpu = Process.cpu

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def reset(self, **settings):
        return self._ask("POST", "reset", body=settings)

    def fill(self, count):
        return self._ask("POST", "fill", count=count)

    def feed(self, count, rate):
        return self._ask("POST", "feed", count=count, rate=rate)

    def wait(self, what, count, seconds):
        return self._ask("GET", "wait", **{"for": what}, count=count, seconds=seconds)

    def report(self):
        return self._ask("GET", "report")

    def queue_url(self, name=QUEUE):
        return f"{self.url}/000000000000/{name}"

    def _ask(self, method, path, body=None, **query):
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=700)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, f"/_bench/{path}?{urlencode(query)}", text)
            answer = connection.getresponse()
            data = json.loads(answer.read())
            if answer.status != 200:
                raise SystemExit(f"the endpoint refused {path}: {data}")
            return data
        finally:
            connection.close()
