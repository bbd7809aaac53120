"""A WSGI application that shows what it was given and misbehaves on demand; each path is a function."""

import hashlib
import json
import os
import sys
import threading
import time
from urllib.parse import parse_qs

print("sample application imported", flush=True)


def application(environ, start_response):
    environ["sample.query"] = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    name = environ["PATH_INFO"].strip("/").partition("/")[0]
    return PATHS.get(name, show)(environ, start_response)


def answer(start_response, body, *headers, status="200 OK"):
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
    return [body]


def show(environ, start_response):
    """The environment as JSON, and something of the process."""
    shown = {key: value for key, value in environ.items() if isinstance(value, (str, bool, int))}
    shown["process"] = {
        "cwd": os.getcwd(),
        "path": sys.path,
        "niceness": os.nice(0),
        "pid": os.getpid(),
        "stdin": sys.stdin.read(),
        "argv": sys.argv,
        "environment": sorted(os.environ),
    }
    return answer(start_response, json.dumps(shown).encode())


def upload(environ, start_response):
    """Length and hash of the body, read as Django reads it: as much as CONTENT_LENGTH says."""
    left = int(environ.get("CONTENT_LENGTH") or 0)
    digest, size = hashlib.sha256(), 0
    while left > 0 and (block := environ["wsgi.input"].read(min(left, 65536))):
        digest.update(block)
        size += len(block)
        left -= len(block)
    return answer(start_response, json.dumps({"size": size, "sha256": digest.hexdigest()}).encode())


def ignore(environ, start_response):
    return answer(start_response, b"did not look")


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.005)


def stream(environ, start_response):
    """Two events; the second when the file `gate` exists."""
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    yield b"data: first\n\n"
    wait_for(environ["sample.query"]["gate"])
    yield b"data: second\n\n"


def endless(environ, start_response):
    """Blocks for ever; makes the file `closed` when nobody listens any more."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    try:
        while True:
            yield b"x" * 65536
            time.sleep(0.005)
    finally:
        with open(environ["sample.query"]["closed"], "w") as file:
            file.write("closed")


def gate(environ, start_response):
    """Answer when the file `gate` exists."""
    with open(environ["sample.query"]["seen"], "a") as file:
        file.write(environ["REQUEST_METHOD"] + "\n")
    wait_for(environ["sample.query"]["gate"])
    return answer(start_response, b"passed")


def crash(environ, start_response):
    with open(environ["sample.query"]["seen"], "a") as file:
        file.write(environ["REQUEST_METHOD"] + "\n")
    os._exit(9)


def error(environ, start_response):
    raise ValueError("a mistake in the application")


def half(environ, start_response):
    """Less than announced, then an error."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "100")])
    yield b"half"
    raise ValueError("a mistake in the middle")


def headers(environ, start_response):
    own = [
        ("Set-Cookie", "a=1; Path=/"),
        ("Set-Cookie", "b=2"),
        ("X-Custom-Header", "kept; as=it-is"),
        ("Cache-Control", "private"),
        ("X-Latin", "caf\xe9"),
        ("X-Long", "y" * 20000),
    ]
    return answer(start_response, b"ok", *own)


def gzipped(environ, start_response):
    """Not gzip at all: nobody on the way may look."""
    return answer(start_response, b"not really gzip", ("Content-Encoding", "gzip"))


def status(environ, start_response):
    text = environ["sample.query"]["line"]
    start_response(text, [("ETag", '"x"')] + ([("Content-Length", "77")] if text.startswith("304") else []))
    return []


def large(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(8 << 20))])
    return (bytes([n % 251]) * 65536 for n in range(128))


def chunked(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"%d," % n for n in range(1000))


def file(environ, start_response):
    """A file through wsgi.file_wrapper."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](open(__file__, "rb"))


def burn(environ, start_response):
    """Use the CPU in four threads for a while."""

    def work(until):
        while time.monotonic() < until:
            sum(range(1000))

    until = time.monotonic() + float(environ["sample.query"]["seconds"])
    threads = [threading.Thread(target=work, args=(until,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answer(start_response, b"burnt")


def stderr(environ, start_response):
    environ["wsgi.errors"].write("written to wsgi.errors\n")
    print("printed by the application", flush=True)
    return answer(start_response, b"ok")


PATHS = {
    each.__name__: each
    for each in (
        upload, ignore, stream, endless, gate, crash, error, half, headers, gzipped, status, large,
        chunked, file, burn, stderr,
    )
}  # fmt: skip
