"""Times calls of a function that publishes, as synchronous code sees them. Runs in each peer's own environment."""

import json
import time

EVENT = {"ip": "192.0.2.7", "name": "web-1", "load": 0.25, "uptime": 123456, "pad": "x" * 50}


def report(publish, seconds, finish=lambda: None, most=1_000_000):
    """Call `publish` for some seconds and print the figures as JSON.

    Args:
        publish: takes the event.
        seconds: how long to go on.
        finish: called afterwards and timed as well: it waits for what is still on its way.
        most: calls at most.
    """
    publish(EVENT)  # what the first call sets up is not the question
    took_ns = []
    clock = time.perf_counter_ns
    cpu_s = time.process_time()
    begun = now = clock()
    end = begun + int(seconds * 1e9)
    while now < end and len(took_ns) < most:
        publish(EVENT)
        before, now = now, clock()
        took_ns.append(now - before)
    called = clock()
    finish()
    finished = clock()
    took_ns.sort()
    count = len(took_ns)
    figures = {
        "calls": count,
        "sent": count + 1,
        "mean_us": (called - begun) / count / 1e3,
        "p50_us": took_ns[count // 2] / 1e3,
        "p99_us": took_ns[count * 99 // 100] / 1e3,
        "calls_per_s": count / (finished - begun) * 1e9,
        "caller_cpu_us": (time.process_time() - cpu_s) / count * 1e6,
    }
    print(json.dumps(figures))
