"""Bulk changes that machines hear of: Django's own send no signals."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.db import models, transaction

from heliograph.monitor.announcements import announce

if TYPE_CHECKING:
    from heliograph.monitor.models import Client

_BATCH = 500  # rows a statement; SQLite allows a statement 32,766 parameters
_UNPUBLISHED = frozenset({"last_seen"})


class ClientQuerySet(models.QuerySet["Client"]):
    """Machines, with `update`, `bulk_update` and `bulk_create` that publish after the commit as `save` does.

    `delete` sends Django's signals, which publish; raw SQL is the one way that tells nobody.
    """

    def update(self, **kwargs: Any) -> int:
        """Update the rows and publish their configurations; `last_seen` alone publishes nothing.

        Returns:
            How many rows were changed.
        """
        if not kwargs.keys() - _UNPUBLISHED:
            return super().update(**kwargs)
        self._for_write = True
        using = self.db
        changed = 0
        with transaction.atomic(using=using):
            keys = sorted(set(self.values_list("pk", flat=True)))
            for start in range(0, len(keys), _BATCH):
                batch = keys[start : start + _BATCH]
                rows: models.QuerySet[Client] = (
                    models.QuerySet(self.model, using=using).filter(pk__in=batch).order_by("pk")
                )
                former = {client.pk: client for client in rows.select_for_update()}
                changed += super(ClientQuerySet, self.filter(pk__in=batch)).update(**kwargs)
                for client in rows.all():
                    announce(client, former.get(client.pk), using=using)
        return changed

    update.alters_data = True  # type: ignore[attr-defined]  # Django's mark against calls from templates

    def bulk_create(self, objs: Iterable["Client"], *args: Any, **kwargs: Any) -> list["Client"]:
        """Insert the rows and publish their configurations, as the database has them afterwards."""
        self._for_write = True
        using = self.db
        objects = list(objs)
        with transaction.atomic(using=using):
            created = super().bulk_create(objects, *args, **kwargs)
            for start in range(0, len(objects), _BATCH):
                # Read by name and address: with conflicts ignored, Django does not know the keys.
                batch = objects[start : start + _BATCH]
                stored: models.QuerySet[Client] = models.QuerySet(self.model, using=using).filter(
                    models.Q(name__in=[client.name for client in batch if client.name])
                    | models.Q(name__isnull=True, ip__in=[client.ip for client in batch if not client.name])
                )
                for client in stored.order_by("pk"):
                    announce(client, using=using)
        return created

    bulk_create.alters_data = True  # type: ignore[attr-defined]  # as above
