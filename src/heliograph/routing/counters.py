"""What the router has done, counted for metrics."""

from msgspec import Struct


class Counters(Struct):
    """Running totals since the start."""

    sessions_opened: int = 0
    sessions_closed: int = 0
    sessions_refused: int = 0
    """HELLOs answered with ABORT."""
    authentications_failed: int = 0
    """Joins refused because the client did not prove who it is."""
    authentications_throttled: int = 0
    """Joins refused because too many from that address have failed."""
    authenticators_failed: int = 0
    """Joins refused because a dynamic authenticator was not there, too slow, or answered something else."""
    violations: int = 0
    """Sessions or connections aborted because the peer broke the protocol."""
    publications: int = 0
    events: int = 0
    """Events handed to receivers; one publication makes one for each."""
    events_dropped: int = 0
    """Retained events a subscriber's serializer could not express."""
    publications_refused: int = 0
    session_limits_reached: int = 0
    """Requests refused because the session has as many subscriptions, registrations or waiting calls as it may."""
    calls: int = 0
    calls_failed: int = 0
    """Calls answered with ERROR, by the router or by the callee."""
    answers_dropped: int = 0
    """Results and errors of callees whose caller had gone."""
