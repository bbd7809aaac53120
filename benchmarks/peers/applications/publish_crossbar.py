"""publish_crossbar.py post|session URL SECONDS"""

import sys

import requests
import timing


def main(mode, url, seconds):
    """Post with requests, as Crossbar.io's documentation does, or over a connection that is kept."""
    post = requests.Session().post if mode == "session" else requests.post

    def publish(event):
        answer = post(url, json={"topic": "clientstats", "args": [event]}, timeout=10)
        answer.raise_for_status()
        answer.json()["id"]

    timing.report(publish, seconds)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
