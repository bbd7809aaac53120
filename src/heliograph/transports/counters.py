"""What transports have carried, counted for metrics."""

from msgspec import Struct


class TransportCounters(Struct):
    """Running totals of one listening transport, and how many connections are open."""

    connections: int = 0
    connections_opened: int = 0
    messages_received: int = 0
    bytes_received: int = 0
    frames_sent: int = 0
    bytes_sent: int = 0
    frames_dropped: int = 0
    """Frames that waited for a receiver which was disconnected for reading too slowly."""
    events_dropped_newest: int = 0
    """Events that did not fit into the outbox of a receiver whose newest events are dropped."""
    events_conflated: int = 0
    """Events replaced by a newer one of their topic before a receiver that was behind got them."""
    events_conflation_dropped: int = 0
    """Events for which a receiver that was behind had no room: of further topics, or longer than the one before."""
    slow_receivers: int = 0
    """Connections closed because more waited for them than their outbox may hold."""
    violations: int = 0
    """Connections closed because the peer broke the protocol of WebSocket or RawSocket."""
    defects: int = 0
    """Connections closed because the router itself failed; the log says where."""
    hello_timeouts: int = 0
    ping_timeouts: int = 0
    messages_too_long: int = 0
    """WAMP messages that were longer than their RawSocket client takes, and were not sent."""
    connections_refused: int = 0
    """Connections closed because as many as allowed were open, or only the reserve of descriptors was left."""
    tls_handshakes_failed: int = 0
    """Connections that ended before their TLS handshake was complete."""
    certificates_reloaded: int = 0
    certificate_reloads_failed: int = 0
    """Times changed certificate files could not be used; the old ones stayed."""
    handshakes_refused: int = 0
    """RawSocket handshakes answered with an error, and connections that spoke another protocol."""
    polling_sessions: int = 0
    """Long-poll sessions open now."""
    polling_sessions_refused: int = 0
    """Long-poll sessions not opened, or dropped before they joined, because there were as many as there may be."""
    polling_sessions_timed_out: int = 0
    """Long-poll sessions that ended because nobody came for their messages."""
    upgrades_refused: int = 0
    """WebSocket handshakes answered with an error."""
    requests_refused: int = 0
    """HTTP requests refused before a path service saw them."""
