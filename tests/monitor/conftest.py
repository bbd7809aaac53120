from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser

from heliograph.django import capture_events
from heliograph.django.testing import CapturedEvents


@pytest.fixture
def events(db: None) -> Iterator[CapturedEvents]:
    """What the test publishes, once committed."""
    with capture_events() as captured:
        yield captured


@pytest.fixture
def browser(db: None) -> Browser:
    """A browser with an administrator logged in."""
    browser = Browser()
    browser.force_login(User.objects.create_superuser("admin", password="admin"))
    return browser
