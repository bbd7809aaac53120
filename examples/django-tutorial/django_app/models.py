"""The configuration of each monitored machine, and the signal that announces a change."""

import requests
from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.db.models.signals import post_save
from django.dispatch import receiver
from django.forms.models import model_to_dict


class Client(models.Model):
    """What one machine is asked to report."""

    # Who it is
    ip = models.GenericIPAddressField(unique=True)

    # What it sends to the dashboard
    show_cpus = models.BooleanField(default=True)
    show_memory = models.BooleanField(default=True)
    show_disk = models.BooleanField(default=True)

    # Whether it sends nothing at all
    disabled = models.BooleanField(default=False)

    # How often it sends, in seconds
    frequency = models.IntegerField(default=1, validators=[MinValueValidator(1)])

    def __str__(self) -> str:
        return self.ip


@receiver(post_save, sender=Client, dispatch_uid="server_post_save")
def notify_server_config_changed(sender, instance, **kwargs):
    """Tell the machine, and every open page, what its configuration is now.

    Django speaks no WAMP: a POST to the HTTP bridge becomes the publication. It is sent once the change is
    committed, so nobody hears of a change that is rolled back; `robust` logs a router that is down or says no
    instead of spoiling the save.
    """
    message = {"topic": "clientconfig." + instance.ip, "args": [model_to_dict(instance)]}

    def notify():
        response = requests.post(settings.NOTIFY_URL, json=message, timeout=2)
        response.raise_for_status()
        if "error" in response.json():
            raise RuntimeError(f"the router refused {message['topic']}: {response.json()['error']}")

    transaction.on_commit(notify, robust=True)
