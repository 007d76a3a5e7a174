"""The Lambda: from the start of its process to its first response, and each later response.

This module acts as the Lambda service: the runtime API on loopback returns one event after
the other, and the SQS of the endpoint takes the message.

<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>
"""

import json
import os
import select
import socket
import statistics
import time
import uuid

from .endpoint import POOL, Endpoint
from .process import Process

EVENT = {
    "version": "1",
    "triggerSource": "PostConfirmation_ConfirmSignUp",
    "region": "eu-west-1",
    "userPoolId": POOL,
    "userName": "11111111-2222-4333-8444-555555555555",
    "callerContext": {"awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "1example23456789"},
    "request": {"userAttributes": {
        "sub": "11111111-2222-4333-8444-555555555555", "email_verified": "true",
        "cognito:user_status": "CONFIRMED", "email": "ada@example.com",
    }},
    "response": {},
}


class RuntimeApi:
    """Speaks to one runtime over one or more connections, one request at a time."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(30)
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.streams = []

    def request(self):
        """The next request: its stream, path and body."""
        while True:
            ready, _, _ = select.select([self.listener, *self.streams], [], [], 30)
            if not ready:
                raise SystemExit("the runtime asked for nothing in 30 s")
            for stream in ready:
                if stream is self.listener:
                    connection, _ = self.listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    connection.settimeout(30)
                    self.streams.append(connection)
                    continue
                message = self._read(stream)
                if message:
                    return (stream, *message)
                self.streams.remove(stream)

    @staticmethod
    def _read(stream):
        data = b""
        while b"\r\n\r\n" not in data:
            more = stream.recv(65536)
            if not more:
                return None
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        first, *lines = head.decode().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)
        }
        if headers.get("transfer-encoding") == "chunked":
            while not body.endswith(b"0\r\n\r\n"):
                body += RuntimeApi._more(stream)
        else:
            while len(body) < int(headers.get("content-length", 0)):
                body += RuntimeApi._more(stream)
        return first.split(" ")[1], body

    @staticmethod
    def _more(stream):
        more = stream.recv(65536)
        if not more:
            raise SystemExit("the runtime ended in the middle of a request")
        return more

    @staticmethod
    def answer(stream, status, body, headers=()):
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}",
                 "Content-Type: application/json", *headers]
        stream.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def close(self):
        for stream in [*self.streams, self.listener]:
            stream.close()


def invoke(api, stream):
    """Sends the event; returns the seconds until its response."""
    began = time.perf_counter()
    api.answer(stream, "200 OK", json.dumps(EVENT).encode(), (
        f"Lambda-Runtime-Aws-Request-Id: {uuid.uuid4()}",
        f"Lambda-Runtime-Deadline-Ms: {int(time.time() * 1000) + 5000}",
        "Lambda-Runtime-Invoked-Function-Arn: "
        "arn:aws:lambda:eu-west-1:000000000000:function:trigger",
    ))
    while True:
        stream, path, body = api.request()
        # `/runtime/init/error` and `/error` are responses as well, but failures.
        if not path.endswith("/response"):
            raise SystemExit(f"the handler answered with {path}: {body[:300]!r}")
        took = time.perf_counter() - began
        api.answer(stream, "202 Accepted", b"{}")
        return took


def measure(endpoint_program, name, argv, size_of, log, invokes=200):
    endpoint = Endpoint(endpoint_program)
    api = RuntimeApi()
    process = None
    try:
        endpoint.reset()
        environment = {
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "trigger",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
            "AWS_LAMBDA_LOG_GROUP_NAME": "trigger",
            "AWS_LAMBDA_LOG_STREAM_NAME": "trigger",
            "AWS_ENDPOINT_URL": endpoint.url,
            "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_SESSION_TOKEN": "bench",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "USHER_QUEUE__URL": endpoint.queue_url(),
            "BENCH_QUEUE_URL": endpoint.queue_url(),
            "NODE_ENV": "production",
        }
        began = time.perf_counter()
        process = Process(argv, environment, log)
        stream, path, _ = api.request()
        if not path.endswith("/next"):
            raise SystemExit(f"{name} began with {path}: {log.read_text()[-2000:]}")
        ready = time.perf_counter() - began
        took = [invoke(api, stream)]
        first = ready + took[0]
        for _ in range(invokes):
            stream, _, _ = api.request()
            took.append(invoke(api, stream))
        sent = endpoint.report()["messages"]["sent"]
        if sent != invokes + 1:
            raise SystemExit(f"{name} sent {sent} messages for {invokes + 1} sign-ups")
        later = sorted(1000 * seconds for seconds in took[1:])
        return {
            "first_answer_ms": 1000 * first,
            "ready_ms": 1000 * ready,
            "first_invoke_ms": 1000 * took[0],
            "invoke_p50_ms": statistics.median(later),
            "invoke_p99_ms": later[int(len(later) * 0.99) - 1],
            "peak_mib": process.memory()[1],
            "code_mib": size_of.stat().st_size / 1024 / 1024,
        }
    finally:
        if process is not None:
            process.stop(seconds=1)
        api.close()
        endpoint.close()
