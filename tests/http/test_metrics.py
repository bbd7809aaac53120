"""Counters as Prometheus reads them."""

import re
from typing import Any

import pytest

from heliograph.http.metrics import Metric, exposition
from tests.support.nodes import running_node
from tests.support.websocket import joined, post_json, request

SAMPLE = re.compile(r'heliograph_[a-z_]+(\{([a-z]+="[^"\n]*",?)*\})? -?[0-9]+(\.[0-9]+)?\Z')


def test_metrics_of_one_name_share_their_help() -> None:
    metrics = [
        Metric("sessions", "Sessions open now.", 1, {"realm": "a"}),
        Metric("sessions", "Sessions open now.", 2, {"realm": "b"}),
        Metric("events_total", "Events.", 3),
        Metric("start_time_seconds", "When.", 1.5),
    ]
    assert exposition(metrics) == (
        "# HELP heliograph_sessions Sessions open now.\n"
        "# TYPE heliograph_sessions gauge\n"
        'heliograph_sessions{realm="a"} 1\n'
        'heliograph_sessions{realm="b"} 2\n'
        "# HELP heliograph_events_total Events.\n"
        "# TYPE heliograph_events_total counter\n"
        "heliograph_events_total 3\n"
        "# HELP heliograph_start_time_seconds When.\n"
        "# TYPE heliograph_start_time_seconds gauge\n"
        "heliograph_start_time_seconds 1.500\n"
    )


def test_labels_are_escaped() -> None:
    (*_, line) = exposition([Metric("x", "X.", 1, {"realm": 'a"b\\c\nd'})]).splitlines()
    assert line == r'heliograph_x{realm="a\"b\\c\nd"} 1'


async def test_every_line_is_what_prometheus_reads() -> None:
    async with running_node() as node:
        response = await request(node.address, "GET", "/metrics")
    assert response.status == 200
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    text = response.body.decode()
    assert text.endswith("\n")
    names = set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in names, f"{name} comes in two places"
            names.add(name)
        elif not line.startswith("# TYPE "):
            assert SAMPLE.match(line), line


async def test_they_count_what_happens() -> None:
    async with running_node() as node, joined(node.address) as client:
        await client.ask(32, 1, {}, "com.example.t")
        await post_json(node.address, "/notify", {"topic": "com.example.t", "args": [1]})
        await client.receive()
        await client.ask(48, 2, {}, "com.example.nobody")
        counts: dict[str, Any] = {
            name: node.counter(name)
            for name in (
                "sessions", "sessions_opened_total", "publications_total", "events_total",
                "calls_total", "calls_failed_total", "transport_messages_received_total",
                "transport_frames_sent_total",
            )
        }  # fmt: skip
        assert counts == {
            "sessions": 1,  # those behind publisher and caller do not count
            "sessions_opened_total": 1,
            "publications_total": 1,
            "events_total": 1,
            "calls_total": 1,
            "calls_failed_total": 1,
            "transport_messages_received_total": 3,
            "transport_frames_sent_total": 4,
        }
        assert node.counter("transport_bytes_received_total") > 50
        assert node.counter("transport_bytes_sent_total") > 50


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_they_are_only_read(method: str) -> None:
    async with running_node() as node:
        response = await request(node.address, method, "/metrics")
    assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")
    assert response.body == b"metrics are read with GET\n"
