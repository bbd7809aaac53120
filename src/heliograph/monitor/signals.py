"""What publishes when a machine is saved or deleted.

The configuration is read from the database, never from the instance: an instance may hold expressions, text in place of
numbers, and changes that `update_fields` leaves out.
"""

from typing import Any

from django.db.models import QuerySet
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.dispatch import receiver

from heliograph.monitor.announcements import announce, announce_deletion
from heliograph.monitor.models import Client


def _stored(pk: int | None, using: str) -> Client | None:
    return QuerySet(Client, using=using).filter(pk=pk).first() if pk is not None else None


@receiver(pre_save, sender=Client, dispatch_uid="heliograph_monitor.before_save")
@receiver(pre_delete, sender=Client, dispatch_uid="heliograph_monitor.before_delete")
def remember_former(instance: Client, using: str, **_kwargs: Any) -> None:
    """Keep the stored row: after a change of name the old topic must be told, and only the old row knows it."""
    instance.former = _stored(instance.pk, using)


@receiver(post_save, sender=Client, dispatch_uid="heliograph_monitor.after_save")
def announce_saved(instance: Client, using: str, **_kwargs: Any) -> None:
    """Publish the configuration after the commit."""
    former, instance.former = instance.former, None
    stored = _stored(instance.pk, using)
    if stored is not None:  # another process may have deleted it since
        announce(stored, former, using=using)


@receiver(post_delete, sender=Client, dispatch_uid="heliograph_monitor.after_delete")
def announce_deleted(instance: Client, using: str, **_kwargs: Any) -> None:
    """Publish the deletion after the commit."""
    former, instance.former = instance.former, None
    if former is not None:
        announce_deletion(former, using=using)
