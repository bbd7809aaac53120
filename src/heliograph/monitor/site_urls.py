"""The addresses of the stand-alone monitor site."""

from django.contrib import admin
from django.urls import include, path

admin.site.site_header = "Heliograph monitor"
admin.site.site_title = "Heliograph"
admin.site.index_title = "Central configuration"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("heliograph.monitor.urls")),
]
