"""The Django application `heliograph_monitor`."""

from django.apps import AppConfig


class MonitorConfig(AppConfig):
    """Connects the signals that publish configurations."""

    name = "heliograph.monitor"
    label = "heliograph_monitor"
    verbose_name = "Fleet monitor"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the signal receivers, which connects them."""
        from heliograph.monitor import signals  # noqa: F401 - imported for its receivers
