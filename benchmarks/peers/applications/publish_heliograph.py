"""publish_heliograph.py publisher|pipelined|django URL SECONDS"""

import sys

import timing

from heliograph import Publisher


def publisher(url, seconds):
    """Each call waits for the router's acknowledgement."""
    with Publisher(url) as connection:
        timing.report(lambda event: connection.publish("clientstats", event), seconds)


def pipelined(url, seconds):
    """Calls wait for nothing, or for room in a full queue; the end waits for every acknowledgement."""
    with Publisher(url) as connection:
        timing.report(
            lambda event: connection.publish_soon("clientstats", event),
            seconds,
            lambda: connection.flush(60.0),
        )


def django(url, seconds):
    """`heliograph.django.publish` outside a transaction: a thread delivers, the end waits for it."""
    from django.conf import settings

    settings.configure(
        HELIOGRAPH={"default": {"BACKEND": "heliograph.django.backends.http.HttpBackend", "LOCATION": url}},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=["heliograph.django"],
    )
    import django as django_itself

    import heliograph.django

    django_itself.setup()
    # No more than may wait: what is above it would be dropped.
    timing.report(
        lambda event: heliograph.django.publish("clientstats", event),
        seconds,
        lambda: heliograph.django.flush(60.0),
        most=5_000,
    )


if __name__ == "__main__":
    {"publisher": publisher, "pipelined": pipelined, "django": django}[sys.argv[1]](
        sys.argv[2], float(sys.argv[3])
    )
