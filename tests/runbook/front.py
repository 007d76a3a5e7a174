"""Stands between usher and moto, and lets some calls fail as AWS would."""

import http.client
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOO_MANY = "TooManyRequestsException", "Rate exceeded"


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that disconnects, such as a stopped worker, is not an error."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Front:
    def __init__(self, behind):
        host, port = behind.removeprefix("http://").rsplit(":", 1)
        self.faults = {}
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                operation = self.headers.get("X-Amz-Target", "").rsplit(".", 1)[-1]
                fault = front.faults.get(operation)
                if failure := fault and fault():
                    kind, message = failure
                    body = json.dumps({"__type": kind, "message": message}).encode()
                    return self.answer(400, [("Content-Type", "application/x-amz-json-1.1")], body)
                connection = http.client.HTTPConnection(host, int(port))
                connection.request(self.command, self.path, body, dict(self.headers))
                response = connection.getresponse()
                body = response.read()
                passed = [(k, v) for k, v in response.getheaders() if k.lower() not in HOP_BY_HOP]
                connection.close()
                self.answer(response.status, passed, body)

            def answer(self, status, headers, body):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_HEAD = pass_on

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        # moto takes a template from its own S3 when the host has this name.
        return f"http://localhost:{self.server.server_port}"

    def refuse(self, operation, message):
        """Every such call lacks a permission."""
        self.faults[operation] = lambda: ("AccessDeniedException", message)

    def throttle(self, operation, rate):
        """No more than so many calls a second, with a burst of as many."""
        lock, state = threading.Lock(), {"left": rate, "at": time.monotonic()}

        def fault():
            with lock:
                now = time.monotonic()
                state["left"] = min(rate, state["left"] + (now - state["at"]) * rate)
                state["at"] = now
                if state["left"] < 1:
                    return TOO_MANY
                state["left"] -= 1
                return None

        self.faults[operation] = fault

    def repair(self):
        self.faults.clear()


HOP_BY_HOP = {"content-length", "connection", "transfer-encoding", "keep-alive", "server", "date"}
