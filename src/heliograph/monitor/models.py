"""The machines and what they are told to measure."""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from heliograph.monitor.protocol import (
    CLIENT_NAME_PATTERN,
    CLIENT_NAME_RULE,
    MAX_FREQUENCY_S,
    MAX_NAME_CHARACTERS,
    MIN_FREQUENCY_S,
)
from heliograph.monitor.querysets import ClientQuerySet


class Client(models.Model):
    """One machine. Agents enrol themselves by their name; the tutorial's own clients have none and go by their ip.

    Saving, deleting and the query set's bulk methods publish the configuration after the commit.
    """

    name = models.CharField(
        "client name",
        max_length=MAX_NAME_CHARACTERS,
        unique=True,
        null=True,
        blank=True,
        validators=[RegexValidator(CLIENT_NAME_PATTERN, f"A client name has {CLIENT_NAME_RULE}.")],
        help_text=(
            f"The agent's --client, by default its host name: {CLIENT_NAME_RULE}."
            " Empty for clients that are known by their IP address."
        ),
        error_messages={"unique": "There is a machine with this client name already."},
    )
    ip = models.GenericIPAddressField(
        "IP address",
        unpack_ipv4=True,
        help_text="IPv4 or IPv6; agents with a name bring it up to date when they connect.",
    )
    show_cpus = models.BooleanField("show CPUs", default=True, help_text="Measure load and each core.")
    show_memory = models.BooleanField(default=True, help_text="Measure memory and swap.")
    show_disk = models.BooleanField("show disks", default=True, help_text="Measure the mounted file systems.")
    disabled = models.BooleanField(
        default=False,
        help_text="The machine sends nothing and has no card on the page until this is unticked.",
    )
    frequency = models.PositiveSmallIntegerField(
        "seconds between samples",
        default=1,
        validators=[MinValueValidator(MIN_FREQUENCY_S), MaxValueValidator(MAX_FREQUENCY_S)],
        help_text=f"{MIN_FREQUENCY_S} to {MAX_FREQUENCY_S} seconds.",
    )
    last_seen = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When the machine last fetched its configuration."
    )

    objects = models.Manager.from_queryset(ClientQuerySet)()

    former: "Client | None" = None
    """While a save or a deletion runs: the machine as the database had it before."""

    class Meta:
        ordering = ["name", "ip", "pk"]
        verbose_name = "machine"
        constraints = [
            models.UniqueConstraint(
                fields=["ip"],
                condition=models.Q(name__isnull=True),
                name="heliograph_monitor_ip_without_name",
                violation_error_message="There is a machine without a client name at this IP address already.",
            ),
            models.CheckConstraint(
                condition=models.Q(frequency__range=(MIN_FREQUENCY_S, MAX_FREQUENCY_S)),
                name="heliograph_monitor_frequency",
                violation_error_message=f"The frequency is {MIN_FREQUENCY_S} to {MAX_FREQUENCY_S} seconds.",
            ),
            models.CheckConstraint(
                condition=~models.Q(name=""),
                name="heliograph_monitor_name_not_empty",
                violation_error_message="A machine has a client name, or None.",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.ip

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; an empty name is none."""
        self.name = self.name or None
        super().save(*args, **kwargs)
