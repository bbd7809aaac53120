"""Somebody who wants little: `python -m benchmarks.bystander PORT` publishes again and again until a line comes in.

Prints the longest wait for an acknowledgement, in seconds, and how many there were.
"""

import select
import sys
import time

from benchmarks.crowd import Member

PAUSE_S = 0.001


def main() -> int:
    """Publish, and print what was seen."""
    member = Member(("127.0.0.1", int(sys.argv[1])))
    print("ready", flush=True)
    longest_s, count = 0.0, 0
    while not (count % 10 == 0 and count and select.select([sys.stdin], [], [], 0)[0]):
        begun = time.perf_counter()
        member.ask(16, {"acknowledge": True}, "by.stander")
        longest_s = max(longest_s, time.perf_counter() - begun)
        count += 1
        time.sleep(PAUSE_S)
    print(longest_s, count, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
