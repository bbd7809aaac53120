"""A Django site whose one view keeps a core busy. Runs in the application process of the node that is measured."""

import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

BUSY_S = 0.05


def burn(_request):
    """Compute for a while, as a view that renders a large page does."""
    end = time.thread_time() + BUSY_S
    total = 0
    while time.thread_time() < end:
        total += sum(number * number for number in range(1000))
    return HttpResponse(str(total), content_type="text/plain")


if not settings.configured:
    settings.configure(
        SECRET_KEY="benchmarks",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=[],
        LOGGING_CONFIG=None,
    )
urlpatterns = [path("burn", burn)]
application = get_wsgi_application()
