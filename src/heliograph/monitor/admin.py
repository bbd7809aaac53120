"""The admin as the fleet's central configuration."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import ngettext

from heliograph.monitor.models import Client

if TYPE_CHECKING:
    _ClientAdmin = admin.ModelAdmin[Client]
else:
    _ClientAdmin = admin.ModelAdmin


@admin.register(Client)
class ClientAdmin(_ClientAdmin):
    """Machines; every change made here is published after its commit, and obeyed at once."""

    list_display = (
        "machine",
        "ip",
        "show_cpus",
        "show_memory",
        "show_disk",
        "frequency",
        "disabled",
        "last_seen",
    )
    list_display_links = ("machine",)
    list_editable = ("show_cpus", "show_memory", "show_disk", "frequency", "disabled")
    list_filter = ("disabled", "show_cpus", "show_memory", "show_disk")
    list_per_page = 100
    search_fields = ("name", "ip")
    search_help_text = "Part of a client name or of an IP address."
    readonly_fields = ("last_seen",)
    actions = ("disable", "enable")
    fieldsets = (
        (None, {"fields": ("name", "ip", "last_seen")}),
        ("What it measures", {"fields": ("show_cpus", "show_memory", "show_disk", "frequency")}),
        ("Whether it sends", {"fields": ("disabled",)}),
    )

    @admin.display(description="machine", ordering="name")
    def machine(self, client: Client) -> str:
        """The client name, or the address of a client without one."""
        return str(client)

    @admin.action(description="Disable the selected machines", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        """Make the machines stop sending; they hear of it at once."""
        self._set_disabled(request, queryset, disabled=True)

    @admin.action(description="Enable the selected machines", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[Client]) -> None:
        """Make the machines send again; they hear of it at once."""
        self._set_disabled(request, queryset, disabled=False)

    def _set_disabled(self, request: HttpRequest, queryset: QuerySet[Client], *, disabled: bool) -> None:
        number = queryset.update(disabled=disabled)  # ClientQuerySet's: it publishes
        done = "disabled" if disabled else "enabled"
        text = ngettext("%(number)d machine was %(done)s.", "%(number)d machines were %(done)s.", number)
        self.message_user(request, text % {"number": number, "done": done}, messages.SUCCESS)
