"""nchan, the pub/sub module of nginx, with one worker process: one core, like the others."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers.debian import absence, install, program_path, version_of
from benchmarks.peers.peer import Peer, Server, Wants, await_websocket, free_port, running, scratch

PACKAGES = ("nginx-light", "libnginx-mod-nchan")
MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

# Nothing is kept for later and nothing is logged, as with the others.
CONFIGURATION = """
load_module {module};
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {directory}/nginx.pid;
error_log {directory}/error.log crit;
events {{ worker_connections 15000; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        nchan_channel_id $arg_topic;
        nchan_store_messages off;
        location = /ws {{ nchan_subscriber websocket; }}
        location = /publish {{ nchan_publisher websocket; }}
        location = /notify {{ nchan_publisher http; }}
    }}
}}
"""


@contextlib.contextmanager
def _run(_wants: Wants) -> Iterator[Server]:
    port = free_port()
    with scratch() as directory:
        path = directory / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        path.write_text(CONFIGURATION.format(module=MODULE, directory=directory, port=port, user=user))
        command = [program_path("nginx") or "nginx", "-c", str(path), "-e", str(directory / "start.log")]
        started = time.monotonic()
        with running(command) as pid:
            ready_s = await_websocket(pid, port, "/ws?topic=first", "", started)
            yield Server(
                port,
                (pid,),
                ready_s,
                dialect="text",
                path="/ws?topic={topic}",
                publish_path="/publish?topic={topic}",
                post_path="/notify?topic={topic}",
                body="plain",
            )


def _absent() -> str | None:
    missing = absence("nginx", *PACKAGES)
    return missing or (None if MODULE.exists() else f"{MODULE} is missing: apt-get install {PACKAGES[1]}")


PEER = Peer(
    title=lambda: f"nchan {version_of('libnginx-mod-nchan')} in nginx {version_of('nginx-light')}",
    absent=_absent,
    set_up=lambda: install(*PACKAGES),
    run=_run,
    answers=frozenset({"fanout", "post", "latency", "connect", "memory", "startup", "slow-reader", "growth"}),
)
