"""The live page, and the address at which machines fetch their configuration."""

import time
from urllib.parse import urlsplit

import msgspec
from django.core.exceptions import SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from heliograph.monitor.enrolment import EnrolmentBusy, EnrolmentFull, InvalidIdentity, enrol
from heliograph.monitor.models import Client
from heliograph.monitor.protocol import REALM, WEBSOCKET_PATH, configuration

MAX_BODY_BYTES = 4096
"""Longest body of an enrolment; a real one has about 60 bytes."""

PAGE_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


class Enrolment(msgspec.Struct, frozen=True):
    """The body of an enrolment as JSON.

    Args:
        ip: the machine's address.
        client: its name; without one it is known by its address.
    """

    ip: str
    client: str | None = None


@require_safe
@never_cache
def dashboard(request: HttpRequest) -> HttpResponse:
    """Return the live page, with every machine of the database in it."""
    clients = [
        {
            **configuration(client),
            "name": str(client),
            "last_seen_s": client.last_seen.timestamp() if client.last_seen else None,
        }
        for client in Client.objects.all()
    ]
    context = {
        "admin_url": _admin_url(),
        "dashboard": {
            "websocket_path": WEBSOCKET_PATH,
            "realm": REALM,
            "server_time_s": time.time(),
            "admin_url": _admin_url(),
            "clients": clients,
        },
    }
    response = render(request, "heliograph_monitor/dashboard.html", context)
    response["Content-Security-Policy"] = PAGE_SECURITY_POLICY
    response["X-Content-Type-Options"] = "nosniff"
    response["X-Frame-Options"] = "DENY"
    response["Referrer-Policy"] = "same-origin"
    response["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


@csrf_exempt  # machines have neither cookies nor tokens; pages of other sites are refused by their Origin
@never_cache
def clients(request: HttpRequest) -> JsonResponse:
    """Answer a machine's `POST` of `ip`, or of `client` and `ip`, with its configuration."""
    if request.method != "POST":
        response = _refuse(405, "POST ip=<address>, or client=<name>&ip=<address>")
        response["Allow"] = "POST"
        return response
    if _is_foreign(request):
        return _refuse(403, "pages of other sites may not enrol machines")
    try:
        if _announced_bytes(request) > MAX_BODY_BYTES or len(request.body) > MAX_BODY_BYTES:
            return _refuse(413, f"the body may have {MAX_BODY_BYTES} bytes; send client=<name>&ip=<address>")
        enrolment = _read(request)
        return JsonResponse(configuration(enrol(enrolment.client, enrolment.ip)))
    except (InvalidIdentity, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return _refuse(400, str(error))
    except (SuspiciousOperation, MultiPartParserError, UnreadablePostError) as error:
        return _refuse(400, f"the body cannot be read ({error}); send client=<name>&ip=<address>")
    except EnrolmentFull as error:
        return _refuse(403, str(error))
    except (EnrolmentBusy, OperationalError) as error:
        response = _refuse(503, f"the database is busy ({error}); try again")
        response["Retry-After"] = "1"
        return response


def _read(request: HttpRequest) -> Enrolment:
    """Return the body's enrolment; wrong JSON raises msgspec's errors, which say where it is wrong."""
    if request.content_type == "application/json":
        return msgspec.json.decode(request.body, type=Enrolment)
    ip = request.POST.get("ip")
    if ip is None:
        raise InvalidIdentity(
            "ip is missing; send a form (or JSON) with ip=<address>, or with client=<name> and ip=<address>"
        )
    return Enrolment(ip=ip, client=request.POST.get("client"))


def _announced_bytes(request: HttpRequest) -> int:
    length = request.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _is_foreign(request: HttpRequest) -> bool:
    """Return whether a browser sends this for a page of another host; machines send no Origin."""
    origin = request.headers.get("Origin")
    return origin is not None and urlsplit(origin).netloc != request.get_host()


def _refuse(status: int, text: str) -> JsonResponse:
    return JsonResponse({"error": text}, status=status)


def _admin_url() -> str:
    """Return the address of the machines in the admin; empty when the project has no admin."""
    try:
        return reverse("admin:heliograph_monitor_client_changelist")
    except NoReverseMatch:
        return ""
