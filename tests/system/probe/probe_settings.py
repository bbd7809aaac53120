"""The tutorial's settings, with a few addresses more."""

from django_project.settings import *  # noqa: F403 - settings are extended so

ROOT_URLCONF = "probe_urls"
