"""Where a machine announces itself and gets its configuration."""

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import model_to_dict
from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from django_app.models import Client


# The machines have no cookies to be abused, hence no CSRF token. Outside a tutorial they would prove who they are.
@csrf_exempt
@require_POST
def clients(request):
    """Answer the configuration of the machine whose address is sent as `ip`; a new machine gets the defaults."""
    try:
        ip = forms.GenericIPAddressField().clean(request.POST.get("ip"))
    except ValidationError as error:
        return JsonResponse({"error": f"ip: {' '.join(error.messages)}"}, status=400)
    client, _created = Client.objects.get_or_create(ip=ip)
    return JsonResponse(model_to_dict(client))
