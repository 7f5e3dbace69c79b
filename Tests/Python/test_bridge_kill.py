"""Killing either side at any moment never wedges the other."""
import os
import random
import threading
import time

import bridging
import efferent
import numpy as np
import pytest
from bridging import SERVER, STEPPER, served
from efferent.client import Client

KILLS = int(os.environ.get("EFFERENT_KILLS", "20"))  # of each side, in all
OBSERVATION = {"obs": np.ones((1, 7), np.float32)}


def kills(transport):
    """On each transport: ZeroMQ's threads have more moments to be hit in."""
    return max(KILLS // (2 if transport < 2 else 6), 1)


def endpoints(tmp_path):
    """Addresses of every kind that stay the same when the server restarts."""
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return f"ipc://{tmp_path}/bridge", f"tcp://127.0.0.1:{port}", f"unix:{tmp_path}/bridge", f"shm:{tmp_path}/bridge"


@pytest.mark.parametrize("transport", range(4), ids=["ipc", "tcp", "unix", "shm"])
def test_a_client_outlives_kills_of_the_library(tmp_path, transport):
    endpoint = endpoints(tmp_path)[transport]
    generator = random.Random(transport)
    client, sessions = None, set()
    for _ in range(kills(transport)):
        server, _ = bridging.process(SERVER, name="mlp", endpoint=endpoint)
        if client is None:
            client = Client(endpoint, timeout=1.0, connect_timeout=20.0)
        else:
            client.connect()
        sessions.add(client.session)
        client.reset()
        threading.Timer(generator.uniform(0, 0.05), server.kill).start()
        steps = 0
        with pytest.raises((efferent.BridgeTimeout, efferent.BridgeLost)):
            while True:
                began = time.monotonic()
                client.step(OBSERVATION)
                steps += 1
        assert time.monotonic() - began < 1.0 + 1.0
        server.wait()
    assert len(sessions) == kills(transport)
    client.close()


def test_a_plant_that_reconnects_repeats_its_episode(tmp_path):
    endpoint = endpoints(tmp_path)[0]
    servers = [bridging.process(SERVER, name="mlp", endpoint=endpoint)[0]]

    def on_step(step):
        if step.index in (7, 20):
            servers[-1].kill()
            servers[-1].wait()
            servers.append(bridging.process(SERVER, name="mlp", endpoint=endpoint)[0])

    env = bridging.Walk()
    with efferent.Plant(env, endpoint, timeout=1.0, connect_timeout=20.0, reconnect=20.0) as plant:
        result = plant.run(episodes=4, seed=10, on_step=on_step, record=True)
    servers[-1].kill()
    servers[-1].wait()
    assert result.reconnects == 2 and len(result.episodes) == 4
    # every episode is whole, and begins with its own seed
    assert [e.total for e in result.episodes] == [e.length for e in result.episodes]
    assert sorted(set(env.seeds)) == [10, 11, 12, 13] and len(env.seeds) == 6
    assert result.recording.starts.sum() == 6


def test_without_reconnect_the_run_ends_with_a_timeout(tmp_path):
    endpoint = endpoints(tmp_path)[0]
    server, _ = bridging.process(SERVER, name="mlp", endpoint=endpoint)

    def on_step(step):
        server.kill()
        server.wait()

    with efferent.Plant(bridging.Walk(), endpoint, timeout=0.5, connect_timeout=20.0) as plant:
        began = time.monotonic()
        with pytest.raises(efferent.BridgeTimeout, match="no ACT for 0.5 s"):
            plant.run(on_step=on_step)
        assert time.monotonic() - began < 3.0
    with pytest.raises(TimeoutError, match="nobody answered HELLO for 0.3 s"):
        Client(endpoint, connect_timeout=0.3)


@pytest.mark.parametrize("transport", range(4), ids=["ipc", "tcp", "unix", "shm"])
def test_the_library_outlives_kills_of_its_plants(tmp_path, transport):
    endpoint = endpoints(tmp_path)[transport]
    generator = random.Random(10 + transport)
    with served("mlp", endpoint, idle_timeout=None) as bridge:
        for i in range(kills(transport)):
            plant, _ = bridging.process(STEPPER, endpoint=endpoint)
            time.sleep(generator.uniform(0, 0.05))
            plant.kill()
            plant.wait()
            # never idle: the next one gets in because the connection is gone
            with Client(endpoint, timeout=1.0, connect_timeout=5.0) as client:
                client.reset()
                assert client.step(OBSERVATION)["action"].shape == (1, 1, 3)
            assert bridge.stats["hellos"] == 2 * (i + 1)
        began = time.monotonic()
        bridge.stop()
        assert time.monotonic() - began < 2.0
    assert time.monotonic() - began < 4.0


def test_a_library_that_closes_says_so():
    with served("mlp") as bridge, Client(bridge.endpoint, timeout=5.0) as client:
        client.step(OBSERVATION)
        bridge.close()
        time.sleep(0.2)
        began = time.monotonic()
        with pytest.raises(efferent.BridgeLost, match="said goodbye"):
            client.step(OBSERVATION)
        assert time.monotonic() - began < 2.0
