"""The Django application `heliograph`."""

from django.apps import AppConfig


class HeliographConfig(AppConfig):
    """Registers the system checks of the `HELIOGRAPH` setting; the application has no models."""

    name = "heliograph.django"
    label = "heliograph"
    verbose_name = "Heliograph"

    def ready(self) -> None:
        """Import the checks, which registers them."""
        from heliograph.django import checks  # noqa: F401 - imported for its registration
