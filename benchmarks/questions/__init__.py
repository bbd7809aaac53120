"""The questions: each is asked with `measure`, and `table` shows the answer."""

from types import ModuleType

from benchmarks.questions import (
    busy_site,
    connect,
    fanout,
    formats,
    growth,
    hostile,
    latency,
    memory,
    patterns,
    post,
    publish_api,
    rpc,
    slow_reader,
    startup,
)

QUESTIONS: dict[str, ModuleType] = {
    "fanout": fanout,
    "formats": formats,
    "patterns": patterns,
    "post": post,
    "latency": latency,
    "rpc": rpc,
    "connect": connect,
    "memory": memory,
    "startup": startup,
    "publish-api": publish_api,
    "busy-site": busy_site,
    "slow-reader": slow_reader,
    "growth": growth,
    "hostile": hostile,
}
