"""The admin is the central configuration: saving a client there changes what it sends."""

from django.contrib import admin

from django_app.models import Client

admin.site.register(Client)
