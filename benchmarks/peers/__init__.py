"""The servers that are measured, one file each: how it is set up, started, and where it listens."""

from benchmarks.peers import channels, crossbar, floor, heliograph, mosquitto, nchan, nexus, socketio
from benchmarks.peers.peer import Peer

PEERS: dict[str, Peer] = {
    "heliograph": heliograph.PEER,
    "crossbar": crossbar.PEER,
    "nexus": nexus.PEER,
    "nchan": nchan.PEER,
    "channels": channels.PEER,
    "socketio": socketio.PEER,
    "mosquitto": mosquitto.PEER,
    "floor": floor.PEER,
}
