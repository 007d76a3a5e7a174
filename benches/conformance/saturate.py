"""How many calls the endpoint can serve, and its cost for each call.

saturate.py PROGRAM: continuous calls on persistent connections, from separate processes.
Each call has the headers that an SDK sends. The endpoint runs on one thread. With more
than one core, it has a core that no caller uses, but other programs may: the load of the
machine is printed with every round. Processor time is that of the endpoint's process by
the kernel's clock. Only this figure does not depend on the callers.
"""

import argparse
import json
import multiprocessing
import os
import re
import select
import socket
import statistics
import time
from pathlib import Path
from urllib.parse import urlsplit

from harness.endpoint import GROUP, POOL, TABLE, Endpoint

CONNECTIONS = 32
USERS = 1000
HEADERS = {
    "user-agent": "aws-sdk-rust/1.3.8 os/linux lang/rust/1.90.0",
    "x-amz-user-agent": "aws-sdk-rust/1.3.8 ua/2.1 api/dynamodb/1.84.0 os/linux lang/rust/1.90.0 "
                        "m/E,b cfg/retry-mode/standard",
    "amz-sdk-invocation-id": "0b3c1f0e-7f4e-4d1c-9f4a-6a1d6f0c2f11",
    "amz-sdk-request": "attempt=1; max=3",
    "x-amz-date": "20260101T000000Z",
    "accept-encoding": "gzip",
    "authorization": "AWS4-HMAC-SHA256 Credential=bench/20260101/eu-west-1/dynamodb/aws4_request, "
                     "SignedHeaders=content-length;content-type;host;x-amz-date;x-amz-target;"
                     "x-amz-user-agent, Signature=" + "0" * 64,
}


class Caller:
    """One connection. Each sends a request before any response is read, so that the
    endpoint always has work."""

    def __init__(self, url):
        self.host = urlsplit(url).netloc
        host, port = self.host.split(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, target, version, body):
        head = {
            "host": self.host, "content-type": f"application/x-amz-json-{version}",
            "x-amz-target": target, "content-length": str(len(body)), **HEADERS,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        return f"POST / HTTP/1.1\r\n{lines}\r\n{body}".encode()

    def answer(self):
        """The body of a complete response with status 200."""
        data = self.socket.recv(65536)
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self.socket.recv(65536)
        if not data.startswith(b"HTTP/1.1 200"):
            raise SystemExit(data)
        length = int(re.search(rb"content-length: (\d+)", data, re.I).group(1))
        while len(data) < end + 4 + length:
            data += self.socket.recv(65536)
        return data[end + 4:]


def puts(caller, number, _users):
    """PutItem"""
    item = {name: {"S": value} for name, value in {
        "id": "%012d", "__typename": "UserProfile", "email": "user@example.com",
        "profileOwner": "%012d::%012d", "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-01T00:00:00.000Z",
    }.items()}
    body = {"TableName": TABLE, "Item": item, "ConditionExpression": "attribute_not_exists(id)"}
    # A formatted `%012d` is longer by 7, and there are three.
    pattern = caller.request("DynamoDB_20120810.PutItem", "1.0", json.dumps(body) + " " * 21)
    pattern = pattern.rstrip(b" ")
    while True:
        caller.socket.sendall(pattern % (number, number, number))
        number += 1
        yield
        caller.answer()
        yield 1


def adds(caller, number, users):
    """AdminAddUserToGroup"""
    requests = [
        caller.request(
            "AWSCognitoIdentityProviderService.AdminAddUserToGroup", "1.1",
            json.dumps({"UserPoolId": POOL, "Username": person, "GroupName": GROUP}))
        for person in users[number % 7::7]
    ]
    while True:
        for request in requests:
            caller.socket.sendall(request)
            yield
            caller.answer()
            yield 1


def receives(caller, _number, _users):
    """DeleteMessageBatch"""
    # Deletes the ten messages that one call received.
    queue = f"http://{caller.host}/000000000000/usher"
    receive = caller.request("AmazonSQS.ReceiveMessage", "1.0", json.dumps({
        "QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0,
        "VisibilityTimeout": 60, "MessageAttributeNames": ["All"],
        "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp"],
    }))
    while True:
        caller.socket.sendall(receive)
        yield
        receipts = re.findall(rb'"ReceiptHandle":"([^"]+)"', caller.answer())
        if not receipts:
            return
        yield
        entries = [{"Id": str(n), "ReceiptHandle": receipt.decode()}
                   for n, receipt in enumerate(receipts)]
        caller.socket.sendall(caller.request(
            "AmazonSQS.DeleteMessageBatch", "1.0",
            json.dumps({"QueueUrl": queue, "Entries": entries})))
        yield
        caller.answer()
        yield 1


def call(kind, url, process, users, seconds, cores, counts):
    """Runs in one process, with several callers."""
    os.sched_setaffinity(0, cores)
    calls = [
        kind(Caller(url), 10**9 * (process * CONNECTIONS + connection), users)
        for connection in range(CONNECTIONS)
    ]
    done, until = 0, time.monotonic() + seconds
    while calls and time.monotonic() < until:
        going = []
        for each in calls:
            try:
                done += next(each) or 0
                going.append(each)
            except StopIteration:
                pass
        calls = going
    counts.put(done)


def round_of(kind, program, seconds, processes, backlog=0):
    cores = sorted(os.sched_getaffinity(0))
    rest = set(cores[1:]) or set(cores)
    endpoint = Endpoint(program)
    os.sched_setaffinity(endpoint.pid, cores[:1])
    try:
        endpoint.reset()
        users = sign_up_users(endpoint)
        if backlog:
            endpoint.fill(backlog)
        counts = multiprocessing.Queue()
        workers = [
            multiprocessing.Process(
                target=call, args=(kind, endpoint.url, n, users, seconds, rest, counts))
            for n in range(processes)
        ]
        cpu, began = endpoint.cpu(), time.monotonic()
        for worker in workers:
            worker.start()
        done = sum(counts.get() for _ in workers)
        # Before the last processes end: their connections are still open.
        cpu, passed = endpoint.cpu() - cpu, time.monotonic() - began
        for worker in workers:
            worker.join()
        counted = endpoint.report()["calls"]["bench"][kind.__doc__]["ok"]
        # Only the endpoint counts calls that were in progress at the end.
        assert 0 <= counted - done <= processes * CONNECTIONS, (counted, done)
        return {"a_second": done / passed, "micros": 1e6 * cpu / done, "busy": cpu / passed,
                "load": os.getloadavg()[0]}
    finally:
        endpoint.close()


def sign_up_users(endpoint):
    """The names of users whose messages are deleted."""
    endpoint.fill(USERS)
    caller, users = Caller(endpoint.url), []
    queue = f"http://{caller.host}/000000000000/usher"
    request = caller.request("AmazonSQS.ReceiveMessage", "1.0", json.dumps(
        {"QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 43_200}))
    while len(users) < USERS:
        caller.socket.sendall(request)
        messages = json.loads(caller.answer())["Messages"]
        users += [json.loads(message["Body"])["userName"] for message in messages]
    return users


def size(program, count):
    """The cost of a backlog, and of long polls while messages arrive one by one."""
    endpoint = Endpoint(program)

    def resident():
        status = Path(f"/proc/{endpoint.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def timed(what):
        began = time.monotonic()
        what()
        return time.monotonic() - began

    try:
        before = resident()
        filled = timed(lambda: endpoint.fill(count))
        print(f"{count:,} messages: filled in {filled:.2f} s, {resident() - before:.0f} MiB, "
              f"a report takes {1000 * timed(endpoint.report):.1f} ms")
        endpoint.reset()
        cpu = endpoint.cpu()
        time.sleep(2)
        print(f"nothing to do: {1000 * (endpoint.cpu() - cpu) / 2:.2f} ms CPU a second")
        for pollers in (1, 64):
            endpoint.reset()
            callers = [Caller(endpoint.url) for _ in range(pollers)]
            for caller in callers:
                poll(caller)
            endpoint.wait("receives", pollers, 10)
            cpu = endpoint.cpu()
            time.sleep(2)
            idle = (endpoint.cpu() - cpu) / 2
            cpu, sent = endpoint.cpu(), 500
            sender = Caller(endpoint.url)
            by_socket = {caller.socket: caller for caller in callers}
            for _ in range(sent):
                sender.socket.sendall(sender.request("AmazonSQS.SendMessage", "1.0", json.dumps(
                    {"QueueUrl": f"{endpoint.url}/000000000000/usher", "MessageBody": "x"})))
                sender.answer()
                for receiver in select.select(by_socket, [], [])[0]:
                    if b"MessageId" in by_socket[receiver].answer():
                        poll(by_socket[receiver])
            used = endpoint.cpu() - cpu
            assert endpoint.report()["delivered"] == sent
            print(f"{pollers} long polls: {1000 * idle:.2f} ms CPU a second while nothing comes, "
                  f"{1e6 * used / sent:.0f} µs for a message that is sent and received")
    finally:
        endpoint.close()


def poll(caller):
    caller.socket.sendall(caller.request("AmazonSQS.ReceiveMessage", "1.0", json.dumps({
        "QueueUrl": f"http://{caller.host}/000000000000/usher", "WaitTimeSeconds": 20})))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2, help="that call")
    options = parser.parse_args()
    for name, kind, seconds, backlog in (
        ("PutItem", puts, options.seconds, 0),
        ("AdminAddUserToGroup", adds, options.seconds, 0),
        # Ends early when no messages are left.
        ("ReceiveMessage and DeleteMessageBatch of 10", receives, 1, 100_000),
    ):
        rounds = [
            round_of(kind, options.program, seconds, options.processes, backlog)
            for _ in range(options.rounds)
        ]
        for each in rounds:
            print(f"  {name}: {each['a_second']:,.0f}/s, {each['micros']:.1f} µs CPU each, "
                  f"{100 * each['busy']:.0f} % of a core, load {each['load']:.1f}", flush=True)
        micros = statistics.median(each["micros"] for each in rounds)
        best = max(each["a_second"] for each in rounds)
        print(f"{name}: {best:,.0f}/s at best, {micros:.1f} µs CPU each (median); "
              f"a core has room for {1e6 / micros:,.0f}/s")
    size(options.program, 100_000)


if __name__ == "__main__":
    main()
