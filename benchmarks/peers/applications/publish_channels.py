"""publish_channels.py REDIS_PORT SECONDS"""

import json
import os
import sys

import timing
from asgiref.sync import async_to_sync


def main(redis_port, seconds):
    """`async_to_sync(group_send)`, as Channels' documentation has it for synchronous code."""
    os.environ["REDIS_PORT"] = redis_port
    import channels_application
    from channels.layers import get_channel_layer

    send = async_to_sync(get_channel_layer().group_send)
    timing.report(
        lambda event: send(channels_application.GROUP, {"type": "clientstats", "text": json.dumps(event)}),
        seconds,
    )


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
