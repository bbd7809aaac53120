"""A Django project in one file."""

import hashlib
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path, reverse
from django.views.decorators.csrf import csrf_exempt

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    DEBUG=False,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
)


def about(request, name):
    return JsonResponse(
        {
            "name": name,
            "path": request.path,
            "here": reverse("about", args=[name]),
            "url": request.build_absolute_uri(),
            "remote": request.META["REMOTE_ADDR"],
            "secure": request.is_secure(),
            "get": request.GET.dict(),
        }
    )


@csrf_exempt
def upload(request):
    file = request.FILES["file"]
    return JsonResponse({"size": file.size, "sha256": hashlib.sha256(file.read()).hexdigest()})


@csrf_exempt
def body(request):
    return HttpResponse(request.body)


def stream(request):
    def lines():
        for n in range(3):
            yield f"line {n}\n"
            time.sleep(0.01)

    return StreamingHttpResponse(lines(), content_type="text/plain")


urlpatterns = [
    path("about/<str:name>/", about, name="about"),
    path("upload/", upload),
    path("body/", body),
    path("stream/", stream),
]
application = get_wsgi_application()
