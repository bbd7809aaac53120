"""The addresses of the stand-alone monitor site."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

admin.site.site_header = "Heliograph monitor"
admin.site.site_title = "Heliograph"
admin.site.index_title = "Central configuration"

urlpatterns = [
    path("admin/", admin.site.urls),
    # Browsers ask for it on the admin's pages, which name no icon.
    path("favicon.ico", RedirectView.as_view(url=static("heliograph_monitor/icon.svg"))),
    path("", include("heliograph.monitor.urls")),
]
