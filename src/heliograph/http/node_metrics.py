"""What a node counts, as metrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from heliograph.http.metrics import Metric
from heliograph.routing.counters import Counters
from heliograph.routing.router import Router
from heliograph.transports.counters import TransportCounters

if TYPE_CHECKING:
    from heliograph.http.bridge import BridgeCounters
    from heliograph.http.wsgi import WsgiSnapshot
    from heliograph.logs.handler import LogCounters
    from heliograph.processes.child import ChildSnapshot

_ROUTER_HELP = {
    "sessions_opened": "Sessions that joined a realm.",
    "sessions_closed": "Sessions that left.",
    "sessions_refused": "HELLOs answered with ABORT.",
    "authentications_failed": "Joins refused because the client did not prove who it is.",
    "authentications_throttled": "Joins refused because too many from that address have failed.",
    "authenticators_failed": "Joins refused because who decides about them could not be asked.",
    "violations": "Sessions aborted because the peer broke the protocol.",
    "publications": "Events published.",
    "events": "Events handed to subscribers.",
    "events_dropped": "Retained events a subscriber's serializer could not express.",
    "session_limits_reached": "Requests refused because the session has as much as it may.",
    "publications_refused": "Publications refused.",
    "calls": "Calls made.",
    "calls_failed": "Calls answered with an error.",
    "answers_dropped": "Answers of callees whose caller had gone.",
}

_TRANSPORT_HELP = {
    "connections": "Connections open now.",
    "connections_opened": "Connections opened.",
    "messages_received": "WAMP messages received.",
    "bytes_received": "Bytes of WAMP messages received.",
    "frames_sent": "WAMP messages sent.",
    "bytes_sent": "Bytes of WAMP messages sent, with their frames.",
    "frames_dropped": "WAMP messages dropped with a receiver that read too slowly.",
    "events_dropped_newest": "Events dropped because they did not fit (policy drop-newest).",
    "events_conflated": "Events replaced by a newer one of their topic (policy conflate).",
    "events_conflation_dropped": "Events of further topics dropped for want of room (policy conflate).",
    "slow_receivers": "Connections closed because they read too slowly.",
    "violations": "Connections closed because the peer broke the protocol of WebSocket or RawSocket.",
    "defects": "Connections closed because the router itself failed.",
    "hello_timeouts": "Connections closed because no HELLO came in time.",
    "ping_timeouts": "Connections dropped because a ping was not answered.",
    "messages_too_long": "WAMP messages not sent because they were longer than their RawSocket client takes.",
    "connections_refused": "Connections closed because as many as allowed were open, or descriptors were short.",
    "tls_handshakes_failed": "Connections that ended before their TLS handshake was complete.",
    "certificates_reloaded": "Times changed certificate files were taken into use.",
    "certificate_reloads_failed": "Times changed certificate files could not be used, so that the old ones stayed.",
    "handshakes_refused": "RawSocket handshakes refused, and connections that spoke another protocol.",
    "polling_sessions": "Long-poll sessions open now.",
    "polling_sessions_refused": "Long-poll sessions refused because there were too many.",
    "polling_sessions_timed_out": "Long-poll sessions that ended because nobody came for their messages.",
    "upgrades_refused": "WebSocket handshakes refused.",
    "requests_refused": "HTTP requests refused before a service saw them.",
}

_BRIDGE_HELP = {
    "requests": "Requests whose body was read.",
    "requests_refused": "Requests answered with an error.",
    "requests_unauthorized": "Requests without the path's token, or with another one.",
    "batches": "Bodies of many events.",
    "events": "Events published out of such bodies.",
    "events_refused": "Events in such bodies that were answered with an error.",
}

_GAUGES = ("connections", "polling_sessions")


def router_metrics(routers: Sequence[tuple[str, Router]]) -> Iterator[Metric]:
    """Return the counters of routers, by the name of their worker."""
    for worker, router in routers:
        for realm in router.realms.values():
            labels = {"worker": worker, "realm": realm.name}
            yield Metric("sessions", "Sessions open now.", len(realm.sessions), labels)
    for worker, router in routers:
        for realm in router.realms.values():
            labels = {"worker": worker, "realm": realm.name}
            yield Metric(
                "kept_bytes",
                "Bytes that retained events and event history take.",
                realm.broker.kept_bytes,
                labels,
            )
    for field in Counters.__struct_fields__:
        for worker, router in routers:
            yield Metric(
                f"{field}_total", _ROUTER_HELP[field], getattr(router.counters, field), {"worker": worker}
            )


def transport_metrics(ports: Sequence[tuple[str, TransportCounters]]) -> Iterator[Metric]:
    """Return the counters of listening transports, by name."""
    for field in TransportCounters.__struct_fields__:
        name = f"transport_{field}" if field in _GAUGES else f"transport_{field}_total"
        for port, counters in ports:
            yield Metric(name, _TRANSPORT_HELP[field], getattr(counters, field), {"transport": port})


def bridge_metrics(paths: Sequence[tuple[str, BridgeCounters]]) -> Iterator[Metric]:
    """Return the counters of the bridge's paths, by name."""
    for field, text in _BRIDGE_HELP.items():
        for path, counters in paths:
            yield Metric(f"bridge_{field}_total", text, getattr(counters, field), {"path": path})


def wsgi_metrics(services: Sequence[WsgiSnapshot]) -> Iterator[Metric]:
    """Return the counters of WSGI applications and whether their processes are well."""
    by_name: dict[str, list[Metric]] = {}

    def add(name: str, help_text: str, value: float, **labels: str) -> None:
        by_name.setdefault(name, []).append(Metric(name, help_text, value, labels))

    for service in services:
        name = service.child.name
        add(
            "wsgi_ready",
            "Whether the application answers.",
            int(service.child.state == "ready"),
            service=name,
        )
        add(
            "wsgi_restarts_total",
            "Times its process was started again.",
            service.child.restarts,
            service=name,
        )
        add("wsgi_requests_total", "Requests received.", service.requests, service=name)
        add("wsgi_active_requests", "Requests the application works on.", service.active, service=name)
        add("wsgi_waiting_requests", "Requests that wait for a free thread.", service.waiting, service=name)
        add("wsgi_disconnected_total", "Requests whose client went away.", service.disconnected, service=name)
        add("wsgi_cut_total", "Responses that could not be completed.", service.cut, service=name)
    for service in services:
        for reason, count in service.refused.items():
            text = "Requests the router answered with an error."
            add("wsgi_refused_total", text, count, service=service.child.name, reason=reason)
    for metrics in by_name.values():
        yield from metrics


def log_metrics(counters: LogCounters) -> Iterator[Metric]:
    """Return what this process has not logged."""
    dropped = counters.dropped + counters.unwritten
    yield Metric("log_records_dropped_total", "Log records dropped because nobody reads the log.", dropped)
    text = "Log records left out because one place in the code logged too many."
    yield Metric("log_records_suppressed_total", text, counters.suppressed)


def authenticator_metrics(children: Sequence[ChildSnapshot]) -> Iterator[Metric]:
    """Return whether the processes of authenticator functions are well."""
    for child in children:
        yield Metric(
            "authenticator_ready",
            "Whether the function can be asked.",
            int(child.state == "ready"),
            {"authenticator": child.name},
        )
    for child in children:
        yield Metric(
            "authenticator_restarts_total",
            "Times its process was started again.",
            child.restarts,
            {"authenticator": child.name},
        )
