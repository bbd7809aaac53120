"""Limits and timeouts of a client; what differs from one connection to another is an argument of `connect`."""

from msgspec import Struct

KIB = 1024
MIB = 1024 * KIB


class ClientOptions(Struct, frozen=True, kw_only=True):
    """How a client waits, retries and bounds what it holds.

    Attributes:
        open_timeout_s: seconds for DNS, TCP, TLS and the WebSocket handshake together
        join_timeout_s: seconds from the open WebSocket to the router's welcome
        request_timeout_s: seconds for the answer to subscribe, unsubscribe, register, unregister and an acknowledged
            publication. Subscribing and registering may use them to wait for the next join
        call_timeout_s: seconds for the result of a call; `None` waits as long as the connection lives
        close_timeout_s: seconds for a clean goodbye; then the connection is cut
        ping_interval_s: seconds of silence after which the router is pinged
        ping_timeout_s: seconds its pong may take; at most `ping_interval_s`
        backoff_initial_s: upper bound of the first pause before another attempt; it doubles each time
        backoff_max_s: upper bound of every pause. A pause is uniformly random below its bound ("full jitter")
        stable_after_s: a session that lasted this long starts the pauses from the beginning
        max_message_bytes: largest message accepted from the router, after reassembly
        write_high_water_bytes: `await publish(…)` waits while more than this many bytes are unsent
        max_queued_events: events that may wait for who reads a subscription; beyond it the oldest are dropped, counted
        max_queued_results: progressive results of a call that may wait for who reads them; beyond it the call is
            canceled. Also the results of an asynchronous generator that are collected for a caller who takes no
            progress
        max_queued_pieces: pieces of a call that may wait for the procedure; beyond it the caller gets an error
        max_running_calls: calls to this client's procedures at once; beyond it a caller gets an error at once
    """

    open_timeout_s: float = 10.0
    join_timeout_s: float = 10.0
    request_timeout_s: float = 10.0
    call_timeout_s: float | None = None
    close_timeout_s: float = 2.0
    ping_interval_s: float = 10.0
    ping_timeout_s: float = 10.0
    backoff_initial_s: float = 0.2
    backoff_max_s: float = 30.0
    stable_after_s: float = 5.0
    max_message_bytes: int = 16 * MIB
    write_high_water_bytes: int = 256 * KIB
    max_queued_events: int = 1000
    max_queued_results: int = 1000
    max_queued_pieces: int = 1000
    max_running_calls: int = 1000

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0, not {value!r}")
        if self.ping_timeout_s > self.ping_interval_s:
            raise ValueError("ping_timeout_s must be at most ping_interval_s")


class TlsOptions(Struct, frozen=True, kw_only=True):
    """How a server is verified, and by what certificate this client proves who it is.

    Attributes:
        ca_file: a file with the certificates of the authorities to trust; by default those of the system
        cert_file: a file with this client's certificate and the chain above it
        key_file: a file with its private key; by default it stands in `cert_file`
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None

    def __post_init__(self) -> None:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs the cert_file it is the key of")
