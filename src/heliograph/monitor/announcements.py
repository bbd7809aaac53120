"""Telling machines and pages about configurations, after the commit."""

from typing import TYPE_CHECKING

from heliograph.django import publish_event
from heliograph.monitor.protocol import configuration, configuration_topic, deletion

if TYPE_CHECKING:
    from heliograph.monitor.models import Client


def announce(client: "Client", former: "Client | None" = None, *, using: str) -> None:
    """Publish the configuration of a machine on its topic; when it had another topic until now, close that one first.

    Args:
        client: the machine as the database has it.
        former: the machine as the database had it before this change, if it was there.
        using: the database whose transaction is waited for.
    """
    topic = configuration_topic(client.name, client.ip)
    if former is not None and configuration_topic(former.name, former.ip) != topic:
        announce_deletion(former, using=using)
    publish_event(topic, [configuration(client)], using=using)


def announce_deletion(former: "Client", *, using: str) -> None:
    """Publish that a machine is gone, on the topic it had."""
    publish_event(configuration_topic(former.name, former.ip), [deletion(former)], using=using)
