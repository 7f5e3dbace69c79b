"""Strangers cost nothing: connections, queues and descriptors are bounded, and what is turned away is counted."""
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import bridging
import efferent
import numpy as np
import pytest
import zmq
from bridging import served, until
from efferent import wire
from efferent.client import Client

OBSERVATION = {"obs": np.ones((1, 7), np.float32)}

# a server in a process of its own: answers one line with one line
SERVED = """
import os, sys, time
sys.path[:0] = {path!r}
import bridging, efferent, resource
bridge = efferent.Bridge(bridging.policy("mlp").session(), {endpoint!r}, **{options!r})
held = []
print(bridge.endpoint, flush=True)
for line in sys.stdin:
    word, *rest = line.split()
    if word == "start":
        bridge.start()
    elif word == "stop":
        bridge.stop()
    elif word == "fill":  # all descriptors that are left
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(rest[0]), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
    elif word == "free":
        while held:
            os.close(held.pop())
    print(repr(dict(bridge.stats, cpu=time.process_time())), flush=True)
"""


class Server:
    def __init__(self, endpoint, **options):
        script = SERVED.format(
            path=[str(bridging.PACKAGE), str(Path(__file__).parent)], endpoint=endpoint, options=options
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.endpoint = self.process.stdout.readline().strip()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return eval(self.process.stdout.readline(), {"Latency": efferent.bridge.Latency})

    def memory(self):
        """Bytes that are its own."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as file:
            return sum(1024 * int(line.split()[1]) for line in file if line.startswith("Anonymous:"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


@pytest.fixture(params=["tcp://127.0.0.1:*", "ipc://{tmp}/bridge"], ids=["tcp", "ipc"])
def endpoint(request, tmp_path):
    return request.param.format(tmp=tmp_path)


def dealer(endpoint, context=None):
    made = (context or zmq.Context.instance()).socket(zmq.DEALER)
    made.linger = 0
    made.connect(endpoint)
    return made


def raw(endpoint):
    """A connection without ZeroMQ."""
    if endpoint.startswith("ipc://"):
        made = socket.socket(socket.AF_UNIX)
        made.connect(endpoint[6:])
        return made
    return socket.create_connection(("127.0.0.1", int(endpoint.rsplit(":", 1)[1])))


def listens(path):
    """Whether a socket of that path listens: told without a connection."""
    with open("/proc/net/unix") as file:
        return any(line.split()[3] == "00010000" for line in file if line.rstrip().endswith(" " + path))


def test_a_thousand_clients_that_come_and_go_leave_nothing(endpoint):
    with Server(endpoint) as server:
        server.ask("start")
        sizes = []
        for i in range(1, 1001):
            made = dealer(server.endpoint)
            made.send(wire.frame(wire.HELLO, wire.hello(), seq=1))
            made.rcvtimeo = 10000
            header = wire.read_header(made.recv(), True)
            assert header.type in (wire.WELCOME, wire.ERR), i
            made.close()
            if i % 100 == 0:
                sizes.append(server.memory())
        assert sizes[-1] <= 1.05 * sizes[0], sizes
        until(lambda: server.ask("stats")["peers"] == 0)
        assert server.ask("stats")["peers_accepted"] == 1000
        assert server.descriptors() < 64


def test_connections_are_bounded_and_the_connected_plant_keeps_its_own(endpoint):
    with Server(endpoint, max_peers=8) as server:
        server.ask("start")
        with Client(server.endpoint) as client:
            client.reset()
            client.step(OBSERVATION)
            before = server.descriptors()
            strangers = [raw(server.endpoint) for _ in range(100)]
            time.sleep(1.2)  # they have stood for a while: newer ones take their places, never the plant's
            strangers += [raw(server.endpoint) for _ in range(100)]
            until(lambda: server.ask("stats")["peers_accepted"] == 201)
            for _ in range(100):
                client.step(OBSERVATION)
            stats = server.ask("stats")
            assert stats["peers"] == 8 and stats["peers_refused"] == 193 and stats["hellos"] == 1
            assert server.descriptors() <= before + 2 * 8
            for made in strangers:
                made.close()
            until(lambda: server.ask("stats")["peers"] == 1)
            client.step(OBSERVATION)


def test_a_host_that_stands_still_is_not_filled(endpoint):
    with Server(endpoint) as server:
        before = server.memory()
        context = zmq.Context()
        hello = wire.frame(wire.HELLO, bytes(200_000), seq=1)
        strangers = [dealer(server.endpoint, context) for _ in range(100)]
        for made in strangers:
            made.sndhwm = 0
            for _ in range(8):
                made.send(hello, zmq.DONTWAIT)
        time.sleep(2.0)
        assert server.memory() - before < 16e6  # 160 MB wait at their senders
        server.ask("start")
        with Client(server.endpoint, connect_timeout=20.0, timeout=5.0) as client:
            client.step(OBSERVATION)
        # 32 connections of 16 frames of 512 kB at the very most
        assert server.memory() - before < 32 * 16 * 524_288
        context.destroy(linger=0)


def test_without_descriptors_nothing_spins_and_with_them_plants_are_served_again(endpoint):
    with Server(endpoint) as server:
        server.ask("start")
        server.ask(f"fill {server.descriptors() + 20}")
        if endpoint.startswith("ipc"):
            # libzmq 4.3.4 ends the process where an ipc connection comes before the bridge has seen that none is left
            until(lambda: not listens(endpoint[6:]))
        strangers = [dealer(server.endpoint) for _ in range(5)]
        time.sleep(0.5)
        before = server.ask("stats")
        time.sleep(2.0)
        after = server.ask("stats")
        assert after["cpu"] - before["cpu"] < 0.3, "of two seconds"
        assert (after["peers_refused"] > 0) == endpoint.startswith("tcp")  # an ipc address is not bound meanwhile
        server.ask("free")
        with Client(server.endpoint, connect_timeout=10.0) as client:
            client.step(OBSERVATION)
        for made in strangers:
            made.close()


def test_a_frame_above_the_agreed_size_is_refused_and_counted():
    with served("mlp") as bridge, Client(bridge.endpoint, timeout=5.0) as client:
        client.step(OBSERVATION)
        # answered as long as ZeroMQ takes it
        client._seq += 1
        frame = wire.frame(wire.STEP, bytes(300_000), client.welcome.sealed, session=client.session, seq=client._seq)
        with pytest.raises(efferent.BridgeError, match="frame of bytes 300064, expected 262144"):
            client._ask(frame, wire.ACT, 5.0)
        assert bridge.stats["dropped"] == {"malformed": 1} and bridge.stats["peers_cut"] == 0
        # above that the connection ends, which is counted, and comes back as the same plant
        client._socket.send(
            wire.frame(wire.STEP, bytes(1 << 20), client.welcome.sealed, session=client.session, seq=client._seq + 1)
        )
        until(lambda: bridge.stats["peers_cut"] == 1)
        client.step(OBSERVATION)
        assert bridge.stats["hellos"] == 1


def test_what_is_not_zeromq_is_turned_away_and_counted(endpoint):
    with served("mlp", endpoint) as bridge:
        for hello in (
            b"GET / HTTP/1.1\r\n\r\n",
            struct.pack(">BQB", 0xFF, 1, 0x7F) + b"\x01" + bytes(53),
            os.urandom(64),
        ):
            made = raw(bridge.endpoint)
            made.sendall(hello)
            made.settimeout(5.0)
            try:
                while made.recv(4096):
                    pass
            except ConnectionResetError:
                pass
            made.close()
        until(lambda: bridge.stats["peers_accepted"] == 3 and bridge.stats["peers"] == 0)
        assert bridge.stats["peers_cut"] >= 1
        with Client(bridge.endpoint) as client:
            assert client.step(OBSERVATION)


def test_a_limit_of_connections_is_checked():
    session = bridging.policy("mlp").session()
    for wrong in (-1, 1025):
        with pytest.raises(efferent.ArgumentError, match="max_peers"):
            efferent.Bridge(session, max_peers=wrong)
