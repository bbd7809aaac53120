"""The monitor's addresses, for `include()` at a project's root."""

from django.urls import path

from heliograph.monitor import views

app_name = "heliograph_monitor"
urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("clients/", views.clients, name="clients"),
]
