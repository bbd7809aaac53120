"""The site: the admin, the clients' way in, and the page."""

from django.contrib import admin
from django.urls import path
from django.views.generic import TemplateView
from django_app.views import clients

urlpatterns = [
    path("admin/", admin.site.urls),
    path("clients/", clients),
    path("", TemplateView.as_view(template_name="dashboard.html")),
]
