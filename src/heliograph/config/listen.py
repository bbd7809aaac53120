"""`--listen HOST:PORT`: another endpoint for the first web transport."""

from copy import deepcopy

from heliograph.config.problems import ConfigError, Problem


def parse_listen(text: str) -> tuple[str, int]:
    """Read `HOST:PORT`, `[IPV6]:PORT` or `:PORT` (every interface).

    Raises ValueError, whose text says what was expected.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address goes in brackets, such as [::1]:8080, got {text!r}")
    if not colon or not (port.isascii() and port.isdigit()) or len(port) > 5 or int(port) > 65535:
        raise ValueError(
            f"expected HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:8080, got {text!r}"
        )
    return host, int(port)


def with_listen(node: object, host: str, port: int, *, source: str) -> object:
    """Put a TCP endpoint in place of the first web transport's; its TLS stays.

    Arguments:
        node: plain values in today's form; not changed
        host: an address or a name; empty means every interface
        port: 0 takes a free one
        source: the configuration's name in messages

    Raises ConfigError when there is no web transport.
    """
    changed = deepcopy(node)
    for worker in _dicts(changed, "workers"):
        for transport in _dicts(worker, "transports"):
            if transport.get("type") == "web":
                endpoint: dict[str, object] = {
                    "type": "tcp",
                    "interface": host,
                    "port": port,
                    "version": 6 if ":" in host else 4,
                }
                replaced = transport.get("endpoint")
                if isinstance(replaced, dict) and "tls" in replaced:
                    # Another address must not mean that everything is said in the clear.
                    endpoint["tls"] = replaced["tls"]
                transport["endpoint"] = endpoint
                return changed
    message = "there is no web transport in the configuration whose endpoint it could replace"
    raise ConfigError([Problem("--listen", message)], source=source)


def _dicts(value: object, key: str) -> list[dict[str, object]]:
    items = value.get(key) if isinstance(value, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
