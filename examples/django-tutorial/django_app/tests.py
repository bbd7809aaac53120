"""What the site promises. Run with `python manage.py test`; no router is needed."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from django.contrib.auth.models import User
from django.db import transaction
from django.test import TestCase, TransactionTestCase, override_settings

from django_app.models import Client


class Bridge(HTTPServer):
    """Stands in for the router's bridge: keeps what is posted and gives `answer`."""

    def __init__(self, answer):
        self.answer = answer
        self.received = []
        super().__init__(("127.0.0.1", 0), BridgeHandler)

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{self.server_port}/notify"
        self.settings = override_settings(NOTIFY_URL=url)
        self.settings.enable()
        return self

    def __exit__(self, *_):
        self.settings.disable()
        self.shutdown()
        self.server_close()


class BridgeHandler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer).encode())

    def log_message(self, *_):
        """Keep the test's output clean."""


class ClientsViewTests(TestCase):
    def test_a_new_machine_is_recorded_and_gets_the_defaults(self):
        answer = self.client.post("/clients/", {"ip": "192.0.2.7"})

        recorded = Client.objects.get()
        self.assertEqual(
            answer.json(),
            {
                "id": recorded.pk,
                "ip": "192.0.2.7",
                "show_cpus": True,
                "show_memory": True,
                "show_disk": True,
                "disabled": False,
                "frequency": 1,
            },
        )

    def test_a_known_machine_gets_what_the_admin_set(self):
        Client.objects.create(ip="192.0.2.7", frequency=5, show_disk=False)

        answer = self.client.post("/clients/", {"ip": "192.0.2.7"}).json()

        self.assertEqual((answer["frequency"], answer["show_disk"]), (5, False))
        self.assertEqual(Client.objects.count(), 1)

    def test_a_post_without_an_address_is_told_what_is_missing(self):
        answer = self.client.post("/clients/")

        self.assertEqual((answer.status_code, answer.json()), (400, {"error": "ip: This field is required."}))

    def test_what_is_no_address_is_refused_and_not_recorded(self):
        answer = self.client.post("/clients/", {"ip": "<script>"})

        self.assertEqual(answer.status_code, 400)
        self.assertFalse(Client.objects.exists())

    def test_reading_with_get_is_not_allowed(self):
        self.assertEqual(self.client.get("/clients/").status_code, 405)


class PageTests(TestCase):
    def test_the_page_loads_autobahn_from_static(self):
        self.assertContains(self.client.get("/"), 'src="/static/autobahn.min.jgz"')


class NotificationTests(TransactionTestCase):
    def test_saving_in_the_admin_publishes_the_configuration(self):
        self.client.force_login(User.objects.create_superuser("admin"))
        machine = Client.objects.create(ip="192.0.2.7")
        form = f"/admin/django_app/client/{machine.pk}/change/"
        self.assertContains(self.client.get(form), "192.0.2.7")

        with Bridge({"id": 1}) as bridge:
            self.client.post(form, {"ip": "192.0.2.7", "show_cpus": "on", "disabled": "on", "frequency": "3"})

        (message,) = bridge.received
        self.assertEqual(message["topic"], "clientconfig.192.0.2.7")
        self.assertEqual(
            message["args"],
            [
                {
                    "id": machine.pk,
                    "ip": "192.0.2.7",
                    "show_cpus": True,
                    "show_memory": False,
                    "show_disk": False,
                    "disabled": True,
                    "frequency": 3,
                }
            ],
        )

    def test_the_admin_refuses_a_frequency_of_nought(self):
        self.client.force_login(User.objects.create_superuser("admin"))

        answer = self.client.post("/admin/django_app/client/add/", {"ip": "192.0.2.7", "frequency": "0"})

        self.assertContains(answer, "greater than or equal to 1")
        self.assertFalse(Client.objects.exists())

    def test_nothing_is_published_before_the_commit(self):
        with Bridge({"id": 1}) as bridge, transaction.atomic():
            Client.objects.create(ip="192.0.2.7")
            before = list(bridge.received)

        self.assertEqual((len(before), len(bridge.received)), (0, 1))

    def test_a_router_that_is_down_is_logged_and_the_save_holds(self):
        with Bridge({}) as bridge:
            pass  # its port is closed again

        url = f"http://127.0.0.1:{bridge.server_port}/notify"
        log = self.assertLogs("django.db.backends.base", "ERROR")
        with override_settings(NOTIFY_URL=url), log, transaction.atomic():
            Client.objects.create(ip="192.0.2.7")

        self.assertTrue(Client.objects.exists())

    def test_a_refused_publication_is_logged(self):
        refusal = {"error": "wamp.error.not_authorized", "args": [], "kwargs": {}}
        log = self.assertLogs("django.db.backends.base", "ERROR")
        with Bridge(refusal), log as logs, transaction.atomic():
            Client.objects.create(ip="192.0.2.7")

        self.assertIn("wamp.error.not_authorized", logs.output[0])
