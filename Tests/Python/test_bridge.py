"""The bridge from the plant's end, against the library: lock-step, sessions, what is refused, endpoints."""
import ctypes
import ctypes.util
import itertools
import os
import random
import signal
import struct
import threading
import time

import bridging
import efferent
import numpy as np
import pytest
import zmq
from bridging import served
from efferent import wire
from efferent.client import Client

ENDPOINTS = [
    "tcp://127.0.0.1:*",
    "tcp://[::1]:*",
    "ipc://{tmp}/bridge",
    "ipc://@efferent-{name}",
    "unix:{tmp}/bridge",
    "unix:@efferent-{name}",
    "shm:{tmp}/bridge",
    "shm://@efferent-{name}",
]
numbers = itertools.count()


@pytest.fixture(params=ENDPOINTS)
def endpoint(request, tmp_path):
    # a name of its own for each test: a BYE that lingers when its bridge closes reaches the next bridge of the same
    # name, and counts as a drop there
    return request.param.format(tmp=tmp_path, name=f"{os.getpid()}-{next(numbers)}")


@pytest.fixture(
    params=["tcp://127.0.0.1:*", "unix:@efferent-{name}", "shm:@efferent-{name}"], ids=["tcp", "unix", "shm"]
)
def way(request):
    return request.param.format(name=f"{os.getpid()}-{next(numbers)}")


def step(client, body=None, **fields):
    """Sends a STEP whose header has `fields` instead of the right ones, and returns the header and frame of the
    answer."""
    client._seq += 1
    told = {
        "session": client.session,
        "episode": client._episode,
        "seq": client._seq,
        "monotonic_ns": time.monotonic_ns(),
    }
    frame = wire.frame(wire.STEP, bytes(client.welcome.step_size - 64) if body is None else body, **{**told, **fields})
    client._socket.send(frame)
    data = client._socket.recv()
    return wire.read_header(data, client.welcome.sealed), data


def refused(client, **fields):
    header, data = step(client, **fields)
    assert header.type == wire.ERR
    return wire.refusal(data)


# ---- bytes ----


def test_crc32c_is_that_of_the_definition():
    def slow(data):
        state = 0xFFFFFFFF
        for byte in data:
            state ^= byte
            for _ in range(8):
                state = (state >> 1) ^ (0x82F63B78 if state & 1 else 0)
        return state ^ 0xFFFFFFFF

    assert wire.fast_crc32c() is not None  # the library's
    for crc32c in (wire.crc32c, wire.slow_crc32c):
        assert crc32c(b"123456789") == 0xE3069283 and crc32c(bytes(32)) == 0x8A9136AA and crc32c(b"") == 0
        for n in [*range(40), 1020, 1023, 1024, 1025, 1027, 1028, 2051]:
            data = random.Random(n).randbytes(n)
            assert crc32c(data) == slow(data), n


def test_a_frame_is_the_bytes_of_the_protocol():
    frame = wire.frame(
        wire.STEP,
        b"xyz",
        flags=0x0102,
        step_time_us=3,
        episode=4,
        session=5,
        seq=6,
        ref_seq=7,
        monotonic_ns=8,
        simulation_ns=9,
        ttl_us=10,
    )
    assert len(frame) == 67 and frame[:8] == b"EFFB\x02\x05\x02\x01"
    assert struct.unpack_from("<II5QI", frame, 8)[:8] == (3, 4, 5, 6, 7, 8, 9, 10)
    assert wire.read_header(frame).crc32c == wire.crc32c(frame[:60] + frame[64:])
    for cut in range(64):
        with pytest.raises(efferent.FormatError):
            wire.read_header(frame[:cut])
    with pytest.raises(efferent.FormatError, match="crc32c"):
        wire.read_header(frame[:-1] + b"!")


# ---- lock-step ----


@pytest.mark.parametrize("name", ["mlp", "lstm", "several", "every_type"])
def test_actions_are_bit_identical_to_those_in_process(name, endpoint):
    rows = 1 if name == "lstm" else 3
    generator = np.random.default_rng(1)
    with served(name, endpoint, rows=rows) as bridge, Client(bridge.endpoint, rows, aux=True) as client:
        session = bridging.policy(name).session(rows=rows)
        assert [f.name for f in client.inputs] == [t.name for t in session.policy.inputs if t.role == "observation"]
        for episode in range(2):
            client.reset()
            session.reset()
            for _ in range(40):
                arrays = {
                    f.name: (
                        generator.integers(0, 2, (rows, *f.shape)).astype(f.type)
                        if f.type.kind in "biu" and f.dtype != "bf16"
                        else generator.normal(size=(rows, *f.shape)).astype(np.float32)
                    )
                    for f in client.inputs
                }
                found = client.step({k: v for k, v in arrays.items()})
                inputs = {f.name: client._frames[0][1][f.name][1].copy() for f in client.inputs}  # as sent: bf16 is bits
                for t, f in zip(session.policy.inputs, client.inputs):
                    inputs[t.name] = inputs[t.name].reshape(rows, *t.shape)
                wanted = session.run(inputs)
                assert found
                for key, value in found.items():
                    assert value.tobytes() == wanted[key].tobytes(), key
        bridging.until(lambda: bridge.stats["tick"].count == 80)
        stats = bridge.stats
    assert stats["dropped"] == {}
    assert (
        stats["steps"] == 80
        and stats["rows"] == 80 * rows
        and stats["resets"] == 2
        and stats["drops"] == 0
        and stats["connected"] == 1
    )
    assert (
        stats["tick"].count == stats["run"].count == stats["age"].count == 80
        and stats["tick"].min >= stats["run"].min > 0
    )


def test_a_reset_of_some_rows_keeps_the_others(way):
    with served("counter", way, rows=3, options={"state": {"before": "after"}}) as bridge, Client(
        bridge.endpoint, 3
    ) as client:
        one = {"x": np.ones((3, 1, 3), np.float32)}
        client.step(one)
        client.step(one)
        client.reset([False, True, False])
        assert client.step(one)["action"][:, 0, 0].tolist() == [6, 2, 6]
        client.reset()
        assert client.step(one)["action"][:, 0, 0].tolist() == [2, 2, 2]


def test_a_reconnect_is_a_new_session_with_its_state_cleared(way):
    with served("counter", way, options={"state": {"before": "after"}}) as bridge, Client(bridge.endpoint) as client:
        one = {"x": np.ones((1, 3), np.float32)}
        client.step(one)
        first = client.session
        client.connect()
        assert client.session != first and client.step(one)["action"][0, 0, 0] == 2
        assert refused(client, session=first).reason == "session"
        assert bridge.stats["hellos"] == 2


def test_events_tell_what_became_of_each_frame(tmp_path):
    session = bridging.policy("mlp").session()
    with efferent.Bridge(session, f"ipc://{tmp_path}/x") as bridge:
        seen = []

        def serve():
            while not seen or seen[-1].kind != "bye":
                seen.append(bridge.poll(5.0))

        thread = threading.Thread(target=serve)
        thread.start()
        with Client(bridge.endpoint) as client:
            client.reset()
            client.step({"obs": np.zeros((1, 7))}, simulation_time=1.5)
        thread.join(10)
        assert [e.kind for e in seen] == ["hello", "reset", "step", "bye"]
        assert (
            seen[2].simulation_ns == 1_500_000_000
            and seen[2].rows == 1
            and seen[2].episode == 1
            and 0 < seen[2].run_ns <= seen[2].tick_ns
        )
        began = time.monotonic()
        assert bridge.poll(0.1).kind == "none" and time.monotonic() - began >= 0.09


# ---- what is refused ----


def test_frames_that_are_too_old_are_refused_and_counted(way):
    with served("mlp", way, checksum="crc32c") as bridge, Client(bridge.endpoint) as client:
        client.reset()
        client.reset()
        assert "step of 1, expected 2" in str(refused(client, episode=1))
        assert refused(client, seq=1).reason == "sequence"
        assert refused(client, ttl_us=1000, monotonic_ns=time.monotonic_ns() - 2_000_000).reason == "expired"
        assert refused(client, flags=0x0400).reason == "flags"
        assert refused(client, session=client.session + 1).reason == "session"
        assert refused(client, body=bytes(10)).reason == "malformed"
        client._seq += 1
        broken = bytearray(wire.frame(wire.STEP, session=client.session, episode=2, seq=client._seq))
        broken[9] ^= 1
        client._socket.send(broken)
        assert wire.refusal(client._socket.recv()).reason == "checksum"
        assert step(client, ttl_us=10_000_000)[0].type == wire.ACT
        dropped = bridge.stats["dropped"]
        assert dropped == {
            k: 1 for k in ("episode", "sequence", "expired", "flags", "session", "malformed", "checksum")
        }


def test_random_bytes_never_stop_the_library(way):
    with served("mlp", way) as bridge, Client(bridge.endpoint, timeout=10.0) as client:
        if way.startswith("tcp"):
            client._socket.rcvhwm = 0
        generator = random.Random(4)
        whole = [
            wire.frame(wire.HELLO, wire.hello(), seq=1),
            wire.frame(wire.STEP, bytes(client.welcome.step_size - 64), session=client.session, seq=5),
        ]
        for i in range(2000):
            frame = bytearray(generator.choice(whole))
            for _ in range(generator.randrange(1, 4)):
                frame[generator.randrange(len(frame))] = generator.randrange(256)
            frame = frame[:generator.randrange(len(frame) + 1)] if i % 3 == 0 else frame
            if i % 2 and len(frame) >= 64:
                wire.seal(frame)
            client._socket.send(frame)
            while client._socket.poll(0):
                client._socket.recv()
        client.connect()
        assert client.step({"obs": np.zeros((1, 7))})["action"].shape == (1, 1, 3)


def test_a_mismatch_names_the_field():
    with served("mlp", joint_names=["hip", "knee", "ankle"]) as bridge:
        for expect, text in [
            ({"joints": ["hip", "ankle", "knee"]}, r"joints\[1\]: plant has 'ankle', expected 'knee'"),
            ({"inputs": [{"name": "obs", "shape": [1, 9]}]}, r"input 'obs': plant has \[1, 9\], expected f32 \[1, 7\]"),
            ({"outputs": [{"name": "torque"}]}, "output 'torque': unknown, expected 'action'"),
            ({"policy": 5}, "policy: plant expects 5, found"),
        ]:
            with pytest.raises(efferent.BridgeMismatch, match=text):
                Client(bridge.endpoint, expect=expect)
        with pytest.raises(efferent.BridgeMismatch, match="rows: plant has 2, expected 1 to 1"):
            Client(bridge.endpoint, rows=2)
        with Client(
            bridge.endpoint,
            expect={"joints": ["hip", "knee", "ankle"], "inputs": [{"name": "obs", "dtype": "f32", "shape": [1, 7]}]},
        ) as client:
            assert client.welcome.joints == ["hip", "knee", "ankle"]
            with pytest.raises(
                efferent.ShapeError, match=r"input 'obs': found float64 \[1, 8\], expected f32 \[1, 1, 7\]"
            ):
                client.step({"obs": np.zeros((1, 8))})
            with pytest.raises(efferent.ShapeError, match="input 'x': unknown, expected 'obs'"):
                client.step({"x": 0})
            assert client.step({"obs": np.zeros((1, 7))})


def test_a_second_plant_is_busy_until_the_first_leaves(way):
    with served("mlp", way, idle_timeout=None) as bridge, Client(bridge.endpoint) as first:
        with pytest.raises(efferent.BridgeError, match="busy: another plant is connected"):
            Client(bridge.endpoint, connect_timeout=1.0)
        assert first.step({"obs": np.zeros((1, 7))})
        first.close()
        with Client(bridge.endpoint) as second:
            assert second.step({"obs": np.zeros((1, 7))})


def test_a_silent_plant_is_replaced_and_told_so(way):
    with served("mlp", way, idle_timeout=0.2) as bridge, Client(bridge.endpoint) as first:
        bridging.until(lambda: bridge.stats["idles"] == 1)
        with Client(bridge.endpoint, connect_timeout=5.0) as second:
            assert second.session != first.session
            with pytest.raises(efferent.BridgeLost):
                first.step({"obs": np.zeros((1, 7))})
            assert second.step({"obs": np.zeros((1, 7))})


def test_a_frame_that_comes_again_runs_once(way):
    with served("counter", way, options={"state": {"before": "after"}}) as bridge, Client(bridge.endpoint) as client:
        client.reset()
        client._seq += 1
        body = np.ones((1, 1, 3), np.float32).tobytes()
        frame = wire.frame(
            wire.STEP, body, session=client.session, episode=1, seq=client._seq, monotonic_ns=time.monotonic_ns()
        )
        answers = []
        for _ in range(3):
            client._socket.send(frame)
            answers.append(client._socket.recv())
        assert answers[0] == answers[1] == answers[2] and bridge.stats["retries"] == 2 and bridge.stats["steps"] == 1
        assert client.step({"x": np.ones((1, 1, 3))})["action"][0, 0, 0] == 4


def test_lock_step_works_where_a_third_of_all_frames_is_lost(tmp_path):
    """Both ways, through a middle that drops at random: actions are those in process, and nothing runs twice."""
    generator = random.Random(5)
    lost = [0]
    with served("counter", f"ipc://{tmp_path}/far", options={"state": {"before": "after"}}) as bridge:
        context = zmq.Context.instance()
        near, far = context.socket(zmq.ROUTER), {}
        near.bind(f"ipc://{tmp_path}/near")
        stop = threading.Event()

        def middle():
            poller = zmq.Poller()
            poller.register(near, zmq.POLLIN)
            while not stop.is_set():
                for socket, _ in poller.poll(20):
                    if socket is near:
                        plant, frame = near.recv_multipart()
                        if plant not in far:
                            far[plant] = context.socket(zmq.DEALER)
                            far[plant].routing_id = plant
                            far[plant].connect(bridge.endpoint)
                            poller.register(far[plant], zmq.POLLIN)
                        to, parts = far[plant], [frame]
                    else:
                        plant = next(k for k, v in far.items() if v is socket)
                        to, parts = near, [plant, socket.recv()]
                    if generator.random() < 0.3:
                        lost[0] += 1
                    else:
                        to.send_multipart(parts)

        thread = threading.Thread(target=middle)
        thread.start()
        try:
            with Client(f"ipc://{tmp_path}/near", timeout=30.0, retry=0.01, connect_timeout=60.0) as client:
                session = bridging.policy("counter", state={"before": "after"}).session()
                values = np.random.default_rng(1)
                for episode in range(4):
                    client.reset()
                    session.reset()
                    for _ in range(100):
                        x = values.normal(size=(1, 1, 3)).astype(np.float32)
                        assert (
                            client.step({"x": x})["action"].tobytes()
                            == session.run({"x": x.reshape(session.policy.inputs[0].shape)[None]})["action"].tobytes()
                        )
            stats = bridge.stats
        finally:
            stop.set()
            thread.join()
            for socket in (near, *far.values()):
                socket.close(0)
    assert lost[0] > 100 and stats["retries"] > 50 and stats["steps"] == 400 and stats["resets"] == 4


def test_steps_that_were_given_up_never_run(tmp_path):
    endpoint = f"ipc://{tmp_path}/x"
    server, _ = bridging.process(bridging.SERVER, name="mlp", endpoint=endpoint)
    try:
        with Client(endpoint, timeout=0.1) as client:
            client.reset()
            observation = {"obs": np.zeros((1, 7))}
            client.step(observation)
            os.kill(server.pid, signal.SIGSTOP)
            for _ in range(4):
                with pytest.raises(efferent.BridgeTimeout):
                    client.step(observation)
            os.kill(server.pid, signal.SIGCONT)
            client.timeout = 5.0
            answered = client.step({"obs": np.ones((1, 7))})["action"]
            assert (
                answered.tobytes()
                == bridging.policy("mlp").session().step(np.ones((1, 7), np.float32)).reshape(answered.shape).tobytes()
            )
    finally:
        server.kill()
        server.wait()


def test_numbers_that_a_frame_cannot_hold_are_refused_by_name():
    with served("mlp") as bridge, Client(bridge.endpoint) as client:
        for told in (
            {"simulation_time": -1.0},
            {"simulation_time": float("nan")},
            {"ttl": 4295.0},
            {"ttl": -1.0},
            {"step_time": -0.1},
        ):
            with pytest.raises(efferent.ArgumentError, match=next(iter(told))):
                client.step({"obs": np.zeros((1, 7))}, **told)
        assert client.step({"obs": np.zeros((1, 7))}, ttl=4294.0, simulation_time=1e9)


def test_observations_that_are_not_finite_are_refused_where_asked(way):
    with served("mlp", way, non_finite="refuse") as bridge, Client(bridge.endpoint) as client:
        with pytest.raises(efferent.BridgeError, match="not finite") as caught:
            client.step({"obs": np.full((1, 7), np.nan)})
        assert caught.value.reason == "numeric"
        assert client.step({"obs": np.zeros((1, 7))}) and bridge.stats["dropped"] == {"numeric": 1}


def test_a_child_of_fork_leaves_its_parents_bridge_alone(way):
    with served("mlp", way) as bridge, Client(bridge.endpoint) as client:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                bridge.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert client.step({"obs": np.zeros((1, 7))})


@pytest.mark.parametrize("name", ["session", "learner"])
def test_two_bridges_never_serve_one_thing(name):
    one = bridging.policy("mlp").session() if name == "session" else efferent.Learner(3, 1)
    other = bridging.policy("mlp").session() if name == "session" else efferent.Learner(3, 1)
    with efferent.Bridge(one) as first, efferent.Bridge(other):
        with pytest.raises(efferent.StateError, match=f"{name}: another bridge serves it"):
            efferent.Bridge(one)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                efferent.Bridge(one).close()  # the parent's claim is not the child's
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert first.poll(0.0).kind == "none"


def test_what_a_bridge_served_may_be_served_again():
    from efferent._library import check, lib

    session = bridging.policy("mlp").session()
    for endpoint in ("tcp://127.0.0.1:*", "tcp://0.0.0.0:*", "ipc:///no/such/folder", "tcp://127.0.0.1:*"):
        made = ctypes.c_void_p()
        options = efferent.bridge.eff_bridge_options()
        lib.eff_bridge_options_default(ctypes.byref(options), ctypes.sizeof(options))
        options.endpoint = endpoint.encode()
        status = lib.eff_bridge_create(session._handle.value, ctypes.byref(options), ctypes.byref(made))
        assert (status == 0) == endpoint.endswith("127.0.0.1:*")
        lib.eff_bridge_destroy(made)


# ---- endpoints ----


def test_only_this_machine_is_served():
    session = bridging.policy("mlp").session()
    for endpoint, error in [
        ("tcp://0.0.0.0:*", efferent.ArgumentError),
        ("tcp://*:0", efferent.ArgumentError),
        ("http://127.0.0.1:1", efferent.ArgumentError),
        ("inproc://x", efferent.ArgumentError),
        ("ipc:///no/such/folder", efferent.FileError),
    ]:
        with pytest.raises(error, match="endpoint '"):
            efferent.Bridge(session, endpoint)
    with efferent.Bridge(session) as bridge, pytest.raises(efferent.FileError, match="Address already in use"):
        efferent.Bridge(session.policy.session(), bridge.endpoint)


def test_a_live_ipc_endpoint_is_not_taken_and_a_dead_one_is(tmp_path):
    session = bridging.policy("mlp").session()
    endpoint = f"ipc://{tmp_path}/x"
    with efferent.Bridge(session, endpoint), pytest.raises(efferent.FileError, match="somebody listens there"):
        efferent.Bridge(session.policy.session(), endpoint)
    server, _ = bridging.process(bridging.SERVER, name="mlp", endpoint=endpoint)
    server.kill()
    server.wait()
    assert (tmp_path / "x").exists()
    with efferent.Bridge(session, endpoint) as bridge:
        bridge.start()
        with Client(endpoint) as client:
            assert client.step({"obs": np.zeros((1, 7))})


def test_inproc_through_a_context_of_the_caller():
    from efferent._library import check, lib
    from efferent._table_bridge import eff_bridge_options

    path = ctypes.util.find_library("zmq")
    if path is None:
        pytest.skip("no libzmq")
    z = ctypes.CDLL(path)
    for name in ("zmq_ctx_new", "zmq_socket"):
        getattr(z, name).restype = ctypes.c_void_p
    context = ctypes.c_void_p(z.zmq_ctx_new())
    session = bridging.policy("mlp").session()
    options = eff_bridge_options()
    lib.eff_bridge_options_default(ctypes.byref(options), ctypes.sizeof(options))
    options.endpoint, options.context = b"inproc://policy", context.value
    bridge = ctypes.c_void_p()
    check(lib.eff_bridge_create(session._handle.value, ctypes.byref(options), ctypes.byref(bridge)))
    assert lib.eff_bridge_endpoint(bridge) == b"inproc://policy"
    check(lib.eff_bridge_start(bridge))
    socket = ctypes.c_void_p(z.zmq_socket(context, zmq.DEALER))
    assert z.zmq_connect(socket, b"inproc://policy") == 0
    data = ctypes.create_string_buffer(1 << 16)

    def ask(frame):
        assert z.zmq_send(socket, frame, ctypes.c_size_t(len(frame)), 0) == len(frame)
        count = z.zmq_recv(socket, data, ctypes.c_size_t(len(data)), 0)
        assert count >= 64, (count, z.zmq_errno())
        return data.raw[:count]

    welcome = wire.Welcome(ask(wire.frame(wire.HELLO, wire.hello(), seq=1))[64:])
    observation = np.linspace(-1, 1, 7, dtype=np.float32)
    answer = ask(
        wire.frame(wire.STEP, observation.tobytes(), session=welcome.session, seq=2, monotonic_ns=time.monotonic_ns())
    )
    lib.eff_bridge_destroy(bridge)
    z.zmq_close(socket)
    assert z.zmq_ctx_term(context) == 0
    assert welcome.outputs[0].view(answer, 1).tobytes() == session.policy.session().step(observation).tobytes()


def test_a_signal_ends_the_wait_for_a_plants_next_frame(tmp_path):
    with served(endpoint=f"ipc://{tmp_path}/bridge") as bridge:
        bridge.stop()
        count = 20

        def walk():
            with Client(bridge.endpoint, timeout=10.0) as client:
                for _ in range(count):
                    client.step({"obs": np.ones((1, 7), np.float32)})
                    time.sleep(0.07)  # in all more than the second in which nobody else comes
                gone.wait()

        gone = threading.Event()
        plant = threading.Thread(target=walk)
        plant.start()
        try:
            while bridge.stats["steps"] < count:
                bridge.poll(1.0)
            rung = []
            before = signal.signal(signal.SIGALRM, lambda *_: rung.append(time.monotonic()))
            signal.setitimer(signal.ITIMER_REAL, 0.003)
            began = time.monotonic()
            event = bridge.poll(20.0)
            assert event.kind == "none"
            assert time.monotonic() - began < 5.0 and rung
            signal.signal(signal.SIGALRM, before)
        finally:
            gone.set()
            while plant.is_alive():
                bridge.poll(0.02)
