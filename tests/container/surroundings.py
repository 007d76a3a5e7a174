"""What is around a container under test: a name server, TLS in front of an endpoint, the
runtime API of Lambda, and a client for the endpoint. All on 127.0.0.1, in threads."""

import fcntl
import http.server
import json
import queue
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request

# One name is known to the name server; the other has to be in /etc/hosts. One certificate
# is good for both.
NAMED, IN_HOSTS = "named.usher.test", "in-hosts.usher.test"
CERTIFIED = "*.usher.test"


def loopback_up():
    """A network namespace begins with its loopback interface down."""
    SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", b"lo", 0)
        _, flags = struct.unpack("16sh22x", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | IFF_UP))


def in_thread(function, *arguments):
    threading.Thread(target=function, args=arguments, daemon=True).start()


class NameServer:
    """Answers 127.0.0.1 for `NAMED`, and that there are no other names."""

    A = 1

    def __init__(self):
        self.asked = set()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # resolv.conf knows no ports.
        self._socket.bind(("127.0.0.1", 53))
        in_thread(self._serve)

    def _serve(self):
        while True:
            query, client = self._socket.recvfrom(4096)
            labels, at = [], 12
            while length := query[at]:
                labels.append(query[at + 1 : at + 1 + length].decode())
                at += length + 1
            question = query[12 : at + 5]
            (kind,) = struct.unpack(">H", query[at + 1 : at + 3])
            name = ".".join(labels).lower()
            self.asked.add(name)
            known = name == NAMED
            answer = b""
            if known and kind == self.A:
                # A pointer to the question's name, class IN, a minute, four bytes.
                answer = struct.pack(">HHHIH4B", 0xC00C, self.A, 1, 60, 4, 127, 0, 0, 1)
            flags = 0x8180 if known else 0x8183
            counts = struct.pack(">HHHHH", flags, 1, 1 if answer else 0, 0, 0)
            self._socket.sendto(query[:2] + counts + question + answer, client)


class TlsFront:
    """Takes TLS connections with a certificate for `CERTIFIED`, whose issuer is in the
    file `issuer`, and hands what is in them on to a port."""

    def __init__(self, folder, port):
        self.issuer = folder / "issuer.pem"
        for command in (
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=usher-test-issuer "
            "-keyout issuer.key -out issuer.pem",
            "req -newkey rsa:2048 -nodes -subj /CN=usher-test -addext "
            f"subjectAltName=DNS:{CERTIFIED} -keyout front.key -out front.csr",
            "x509 -req -in front.csr -CA issuer.pem -CAkey issuer.key -CAcreateserial "
            "-days 2 -copy_extensions copy -out front.pem",
        ):
            subprocess.run(
                ["openssl", *command.split()], cwd=folder, check=True, capture_output=True
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "front.pem", folder / "front.key")
        self._context = context
        self._behind = port
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._socket.getsockname()[1]
        self.refused = 0
        in_thread(self._serve)

    def _serve(self):
        while True:
            client, _ = self._socket.accept()
            in_thread(self._one, client)

    def _one(self, client):
        try:
            client = self._context.wrap_socket(client, server_side=True)
        except (ssl.SSLError, OSError):
            self.refused += 1
            return
        server = socket.create_connection(("127.0.0.1", self._behind))
        in_thread(self._copy, client, server)
        self._copy(server, client)

    @staticmethod
    def _copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, target):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


class RuntimeApi:
    """Lambda's side of a function: hands it events and takes its answers.
    <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>"""

    def __init__(self):
        self.asked = threading.Event()
        self._events = queue.Queue()
        self.answers = queue.Queue()
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                assert self.path == "/2018-06-01/runtime/invocation/next", self.path
                api.asked.set()
                body = api._events.get()
                headers = {
                    "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
                    "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 5000),
                    "Lambda-Runtime-Invoked-Function-Arn":
                        "arn:aws:lambda:us-east-1:123456789012:function:usher-trigger",
                    "Content-Type": "application/json",
                }
                self._send(200, headers, body)

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                api.answers.put((self.path.rsplit("/", 1)[1], body))
                self._send(202, {}, b"")

            def _send(self, status, headers, body):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{server.server_port}"
        in_thread(server.serve_forever)

    def invoke(self, body):
        """What the function answers: "response" or "error", and the body."""
        self._events.put(body)
        return self.answers.get(timeout=20)


class Aws:
    """Calls of the AWS JSON protocols. The endpoint looks at no signature."""

    PREFIX = {
        "sqs": "AmazonSQS.",
        "cognito": "AWSCognitoIdentityProviderService.",
        "dynamodb": "DynamoDB_20120810.",
    }

    def __init__(self, url):
        self.url = url

    def call(self, service, operation, **parameters):
        request = urllib.request.Request(
            self.url,
            json.dumps(parameters).encode(),
            {
                "X-Amz-Target": self.PREFIX[service] + operation,
                "Content-Type": "application/x-amz-json-1.0",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{operation}: {error.read().decode()}") from None


class Account:
    """The account of a running `usher dev`, with a queue and a table of their own, which
    the worker of `usher dev` knows nothing of."""

    TABLE = "Container"
    PASSWORD = "Passw0rd-1"

    def __init__(self, dev):
        url = dev["endpoint"]
        self.port = int(url.rsplit(":", 1)[1])
        self.client = dev["client"]
        self.pool = dev["pool"]
        self.call = Aws(url).call
        self.dead_letter_queue = self.call(
            "sqs", "CreateQueue", QueueName="container-dead-letters"
        )["QueueUrl"]
        redrive = {"deadLetterTargetArn": self._arn(self.dead_letter_queue), "maxReceiveCount": "1000"}
        self.queue = self.call(
            "sqs",
            "CreateQueue",
            QueueName="container",
            Attributes={"RedrivePolicy": json.dumps(redrive)},
        )["QueueUrl"]
        self.call(
            "dynamodb",
            "CreateTable",
            TableName=self.TABLE,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def _arn(self, queue):
        answer = self.call("sqs", "GetQueueAttributes", QueueUrl=queue, AttributeNames=["QueueArn"])
        return answer["Attributes"]["QueueArn"]

    def waiting(self, queue):
        """How many messages are on a queue: visible, hidden."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.call("sqs", "GetQueueAttributes", QueueUrl=queue, AttributeNames=names)
        return tuple(int(answer["Attributes"][name]) for name in names)

    def sign_up(self, name):
        """A new user, and the event that Cognito would make of their confirmation."""
        email = f"{name}@example.com"
        sub = self.call(
            "cognito",
            "SignUp",
            ClientId=self.client,
            Username=name,
            Password=self.PASSWORD,
            UserAttributes=[{"Name": "email", "Value": email}],
        )["UserSub"]
        event = {
            "version": "1",
            "region": "us-east-1",
            "userPoolId": self.pool,
            "userName": name,
            "callerContext": {"awsSdkVersion": "container-test", "clientId": self.client},
            "triggerSource": "PostConfirmation_ConfirmSignUp",
            "request": {
                "userAttributes": {
                    "sub": sub,
                    "email": email,
                    "email_verified": "true",
                    "cognito:user_status": "CONFIRMED",
                }
            },
            "response": {},
        }
        return sub, json.dumps(event).encode()

    def send(self, events):
        for begin in range(0, len(events), 10):
            entries = [
                {"Id": str(index), "MessageBody": event.decode()}
                for index, event in enumerate(events[begin : begin + 10])
            ]
            answer = self.call("sqs", "SendMessageBatch", QueueUrl=self.queue, Entries=entries)
            assert not answer.get("Failed"), answer

    def groups(self, name):
        answer = self.call(
            "cognito", "AdminListGroupsForUser", UserPoolId=self.pool, Username=name
        )
        return sorted(group["GroupName"] for group in answer["Groups"])

    def profiles(self):
        """The `sub` of everybody who has a profile."""
        items = self.call("dynamodb", "Scan", TableName=self.TABLE)["Items"]
        return sorted(item["id"]["S"] for item in items)
