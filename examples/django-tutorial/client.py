"""Runs on each machine to watch: publishes its CPU, memory and disk figures, and obeys its configuration.

Start it with `python client.py`; SERVER names another machine's router (`SERVER=192.0.2.10:8080 python client.py`).
"""

import os
import socket

import psutil
import requests
from autobahn.twisted.util import sleep
from autobahn.twisted.wamp import Application
from autobahn.wamp.exception import TransportLost
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.threads import deferToThread

SERVER = os.environ.get("SERVER", "127.0.0.1:8080")


def own_address():
    """The address other machines see: the one this machine would send from. No packet leaves."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 80))
        except OSError:  # no route: a machine without a network watches itself
            return "127.0.0.1"
        return probe.getsockname()[0]


def to_gib(size_bytes):
    """1073741824 -> '1.00GiB'."""
    return f"{size_bytes / 2**30:0.2f}GiB"


def to_text(usage):
    """What psutil says of a memory or a disk -> '1.00GiB/2.00GiB (50.0%)'."""
    return f"{to_gib(usage.used)}/{to_gib(usage.total)} ({usage.percent}%)"


def disk_usages():
    """{mount point: usage as text}, without the disks that are gone or may not be read."""
    usages = {}
    for disk in psutil.disk_partitions():
        try:
            usages[disk.mountpoint] = to_text(psutil.disk_usage(disk.mountpoint))
        except OSError:
            continue
    return usages


def get_stats(configuration):
    """The figures that the configuration asks for, as text for the page."""
    stats = {}
    if configuration["show_cpus"]:
        stats["cpus"] = [f"{percent}%" for percent in psutil.cpu_percent(percpu=True)]
    if configuration["show_memory"]:
        stats["memory"] = to_text(psutil.virtual_memory())
    if configuration["show_disk"]:
        stats["disks"] = disk_usages()
    return stats


# The WAMP client.
app = Application("monitoring")

IP = own_address()
NAME = socket.gethostname()

# What holds until the server has said something else.
configuration = {"show_cpus": True, "show_memory": True, "show_disk": True, "disabled": False, "frequency": 1}


def fetch_configuration():
    """Announce this machine over HTTP, once; the answer is its configuration."""
    response = requests.post(f"http://{SERVER}/clients/", data={"ip": IP}, timeout=10)
    response.raise_for_status()
    return response.json()


@app.signal("onjoined")
@inlineCallbacks
def on_joined():
    """Publish the state of this machine, for ever. Called when the router has welcomed us."""
    print("Connected", flush=True)
    try:
        # In a thread: a blocking call here would stop everything else.
        configuration.update((yield deferToThread(fetch_configuration)))
    except requests.RequestException as error:
        print(f"No configuration from {SERVER}, going on with the defaults: {error}", flush=True)

    while True:
        if not configuration["disabled"]:
            try:
                app.session.publish("clientstats", {"ip": IP, "name": NAME, **get_stats(configuration)})
            except TransportLost:
                break
            except (OSError, psutil.Error) as error:
                print(f"No figures this time: {error}", flush=True)
        yield sleep(configuration["frequency"])
    print("The router is gone.", flush=True)
    reactor.stop()


@app.subscribe("clientconfig." + IP)
def update_configuration(changed):
    """Obey from the next figures on. Called when somebody saves this machine in the admin."""
    configuration.update(changed)


if __name__ == "__main__":
    app.run(url=f"ws://{SERVER}/ws")
