"""The floor: a C program that does nothing but send()."""

import contextlib
import time
from collections.abc import Iterator

from benchmarks.building import certificate, program
from benchmarks.peers.peer import Peer, Server, Wants, await_port, free_port, nothing_to_set_up, running


@contextlib.contextmanager
def _run(wants: Wants) -> Iterator[Server]:
    port = free_port()
    command = [str(program("floor")), str(port)]
    if wants.tls:
        command += [str(path) for path in certificate()]
    started = time.monotonic()
    with running(command) as pid:
        yield Server(port, (pid,), await_port(pid, port, started), tls=wants.tls)


PEER = Peer(
    title=lambda: "C, one send() a delivery",
    absent=lambda: None,
    set_up=nothing_to_set_up,
    run=_run,
    answers=frozenset({"fanout", "formats", "connect", "growth"}),
)
