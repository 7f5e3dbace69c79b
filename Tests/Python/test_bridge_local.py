"""Unix sockets and shared memory as ways to a bridge: death is seen, strangers and hostile words are turned away and
counted, nothing is left behind."""

import array
import ctypes
import gc
import mmap
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import bridging
import efferent
import numpy as np
import pytest
from bridging import served, until
from efferent import wire
from efferent.client import Client
from onnx import TensorProto, helper, numpy_helper
from test_bridge_strangers import Server

OBSERVATION = {"obs": np.ones((1, 7), np.float32)}
LENGTH = struct.Struct("<I")


@pytest.fixture(params=["unix", "shm"])
def endpoint(request, tmp_path):
    return f"{request.param}:{tmp_path}/bridge"


def connected(endpoint):
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(10.0)
    path = endpoint.partition(":")[2]
    made.connect("\0" + path[1:] if path.startswith("@") else path)
    return made


def tell(raw, frame):
    raw.sendall(LENGTH.pack(len(frame)) + frame)


def read(raw, count):
    data = b""
    while len(data) < count:
        part = raw.recv(count - len(data))
        if not part:
            return None
        data += part
    return data


def hear(raw):
    """The next frame of a raw connection, or None where that ended."""
    try:
        while (head := read(raw, 4)) is not None:
            if LENGTH.unpack(head)[0]:
                return read(raw, LENGTH.unpack(head)[0])
    except ConnectionResetError:
        pass
    return None


def ended(raw):
    while hear(raw) is not None:
        pass
    raw.close()
    return True


class Words:
    """A plant over shared memory that writes what it likes."""

    def __init__(self, endpoint):
        self.socket = connected(endpoint)
        tell(self.socket, wire.frame(wire.HELLO, wire.hello(checksum="none"), seq=1))
        descriptors = array.array("i")
        head, ancillary, _, _ = self.socket.recvmsg(4, socket.CMSG_SPACE(4))
        for _, _, data in ancillary:
            descriptors.frombytes(data)
        frame = read(self.socket, LENGTH.unpack(head)[0])
        self.welcome, self.header = wire.Welcome(frame[64:]), wire.read_header(frame, False)
        self.descriptor, = descriptors
        self.memory = mmap.mmap(self.descriptor, os.fstat(self.descriptor).st_size)
        self.view = memoryview(self.memory)
        self.plant, self.library = self.view[64:128].cast("I"), self.view[128:192].cast("I")
        self.request_size, = struct.unpack_from("<Q", self.memory, 16)
        self.seq = 1

    def step(self, **fields):
        self.seq += 1
        told = {"session": self.welcome.session, "seq": self.seq, "monotonic_ns": time.monotonic_ns()}
        return wire.frame(wire.STEP, bytes(self.welcome.step_size - 64), False, **{**told, **fields})

    def post(self, frame, slot=0, size=None):
        at = 4096 + slot * self.request_size
        if slot < 4:
            self.view[at:at + len(frame)] = frame
        k = 4 + 2 * (self.plant[0] % 4)
        self.plant[k], self.plant[k + 1] = slot, len(frame) if size is None else size
        self.plant[0] = (self.plant[0] + 1) & 0xFFFFFFFF
        self.socket.sendall(bytes(4))

    def close(self):
        self.plant.release(), self.library.release(), self.view.release()
        self.memory.close()
        os.close(self.descriptor)
        self.socket.close()


# ---- a plant that dies ----


def test_a_killed_plant_frees_its_place_within_a_second(endpoint):
    with served("mlp", endpoint, idle_timeout=None) as bridge:
        plant, _ = bridging.process(bridging.STEPPER, endpoint=bridge.endpoint)
        until(lambda: bridge.stats["steps"] > 10)
        plant.kill()
        plant.wait()
        began = time.monotonic()
        with Client(bridge.endpoint) as client:
            assert time.monotonic() - began < 1.0
            client.step(OBSERVATION)
        assert bridge.stats["hellos"] == 2


def test_death_is_an_event_with_its_reason(endpoint):
    seen = []
    with served("mlp", endpoint, on_event=seen.append) as bridge:
        raw = connected(endpoint)
        tell(raw, wire.frame(wire.HELLO, wire.hello(), seq=1))
        assert hear(raw)
        raw.close()
        until(lambda: bridge.stats["connected"] == 0)
        with Client(bridge.endpoint) as client:
            client.step(OBSERVATION)
        until(lambda: len(seen) == 5)
    assert [(e.kind, e.reason) for e in seen] == [
        ("hello", "ok"),
        ("bye", "session"),
        ("hello", "ok"),
        ("step", "ok"),
        ("bye", "ok"),
    ]


def test_a_plant_sees_at_once_that_the_library_died(endpoint):
    server, _ = bridging.process(bridging.SERVER, name="mlp", endpoint=endpoint)
    with Client(endpoint, timeout=20.0) as client:
        client.step(OBSERVATION)
        server.kill()
        server.wait()
        began = time.monotonic()
        with pytest.raises(efferent.BridgeLost, match="the connection ended"):
            client.step(OBSERVATION)
        assert time.monotonic() - began < 1.0
    with pytest.raises(TimeoutError, match="nobody answered HELLO for 0.2 s"):
        Client(endpoint, connect_timeout=0.2)


# ---- strangers ----


def test_hundreds_of_plants_leave_no_descriptor_and_no_memory(endpoint):
    with Server(endpoint) as server:
        server.ask("start")
        before, sizes = server.descriptors(), []
        for i in range(400):
            with Client(server.endpoint) as client:
                client.step(OBSERVATION)
            if i % 100 == 99:
                sizes.append(server.memory())
        assert sizes[-1] <= 1.05 * sizes[0], sizes
        until(lambda: server.ask("stats")["peers"] == 0)
        stats = server.ask("stats")
        assert (
            stats["peers_accepted"] == stats["hellos"] == stats["byes"] == 400
            and stats["peers_cut"] == stats["drops"] == 0
        )
        assert server.descriptors() == before
        with open(f"/proc/{server.process.pid}/maps") as file:
            assert "memfd:efferent" not in file.read()
        own = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            Client(server.endpoint).close()
        gc.collect()
        assert len(os.listdir("/proc/self/fd")) <= own


def test_connections_are_bounded_and_the_connected_plant_keeps_its_own(endpoint):
    with Server(endpoint, max_peers=8) as server:
        server.ask("start")
        with Client(server.endpoint) as client:
            client.step(OBSERVATION)
            before = server.descriptors()
            strangers = [connected(server.endpoint) for _ in range(50)]
            time.sleep(1.2)
            strangers += [connected(server.endpoint) for _ in range(50)]
            until(lambda: server.ask("stats")["peers_accepted"] == 101)
            for _ in range(100):
                client.step(OBSERVATION)
            stats = server.ask("stats")
            assert stats["peers"] == 8 and stats["peers_refused"] == 93 and stats["hellos"] == 1
            assert server.descriptors() <= before + 8
            for made in strangers:
                made.close()
            until(lambda: server.ask("stats")["peers"] == 1)
            client.step(OBSERVATION)


def test_without_descriptors_nothing_spins_and_with_them_plants_are_served_again(endpoint):
    with Server(endpoint) as server:
        server.ask("start")
        server.ask(f"fill {server.descriptors() + 20}")
        strangers = [connected(server.endpoint) for _ in range(5)]
        time.sleep(0.3)
        before = server.ask("stats")
        time.sleep(1.0)
        assert server.ask("stats")["cpu"] - before["cpu"] < 0.15, "of a second"
        server.ask("free")
        with Client(server.endpoint, connect_timeout=10.0) as client:
            client.step(OBSERVATION)
        for made in strangers:
            made.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize("scheme", ["unix", "shm"])
def test_another_user_stays_out(scheme, tmp_path):
    server = f"""
import os, sys; sys.path[:0] = {[str(bridging.PACKAGE), str(Path(__file__).parent)]!r}
import bridging, efferent
session = bridging.policy("mlp").session()
os.setresuid(12345, 12345, 12345)
with efferent.Bridge(session, "{scheme}:@efferent-user-{os.getpid()}") as bridge:
    print(bridge.endpoint, flush=True)
    while True:
        bridge.poll(1.0)
        print(bridge.stats["peers_refused"], flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", server], stdout=subprocess.PIPE, text=True)
    endpoint = process.stdout.readline().strip()
    try:
        stranger = f"import os, socket; os.setresuid(54321, 54321, 54321); s = socket.socket(socket.AF_UNIX); s.connect('\\0' + {endpoint.partition(':@')[2]!r}); s.settimeout(5); print(s.recv(1))"
        run = subprocess.run([sys.executable, "-c", stranger], capture_output=True, text=True, timeout=30)
        assert run.stdout.strip() == "b''", run.stderr
        assert process.stdout.readline().strip() == "1"
        with Client(endpoint) as client:  # root
            client.step(OBSERVATION)
    finally:
        process.kill()
        process.communicate()


# ---- hostile bytes ----


def test_lengths_that_no_frame_has_end_the_connection_and_cost_nobody_else(endpoint):
    with served("mlp", endpoint) as bridge, Client(bridge.endpoint) as client:
        for length in (0xFFFFFFFF, 0x80000000, 2 * (1 << 18) + 1):
            raw = connected(endpoint)
            raw.sendall(LENGTH.pack(length) + bytes(100))
            assert ended(raw)
            client.step(OBSERVATION)
        until(lambda: bridge.stats["peers_cut"] == 3)
        # longer than any, but not by far: refused by name, and the connection goes on
        raw = connected(endpoint)
        for size in (300_000, 400_000, 2 * (1 << 18)):
            tell(raw, wire.frame(wire.HELLO, bytes(size - 64), False, seq=1))
            assert wire.refusal(hear(raw)).reason == "busy"
            tell(raw, wire.frame(wire.STEP, bytes(size - 64), False, seq=1))
            assert wire.refusal(hear(raw)).reason == "session"
        # frames of nothing, frames of a few bytes, half of one and the end
        raw.sendall(bytes(4000) + LENGTH.pack(3) + b"abc" + LENGTH.pack(63) + bytes(63))
        raw.sendall(LENGTH.pack(1000) + bytes(500))
        raw.close()
        client.step(OBSERVATION)
        until(lambda: bridge.stats["peers"] == 1)
        assert bridge.stats["dropped"] == {"busy": 3, "session": 3, "malformed": 2} and bridge.stats["peers_cut"] == 3
        client.close()
        raw = connected(endpoint)
        tell(raw, wire.frame(wire.HELLO, bytes(300_000), False, seq=1))
        assert wire.refusal(hear(raw)).reason == "malformed"
        # a byte at a time is a frame too
        hello = wire.frame(wire.HELLO, wire.hello(), seq=2)
        for byte in LENGTH.pack(len(hello)) + hello:
            raw.sendall(bytes([byte]))
        assert wire.read_header(hear(raw)).type == wire.WELCOME


def test_the_library_knows_its_memory_by_heart(tmp_path):
    """Words of a hostile plant: each end its connection or nothing, and the next plant gets in."""
    endpoint = f"shm:{tmp_path}/bridge"
    with served("mlp", endpoint) as bridge:
        cuts = 0

        def plant():
            made = Words(endpoint)
            made.post(made.step())
            until(lambda: made.library[0] == 1)
            return made

        def posted(n):
            return lambda w: (w.plant.__setitem__(0, (w.plant[0] + n) & 0xFFFFFFFF), w.socket.sendall(bytes(4)))

        hostile = [
            *(posted(n) for n in (5, 1000, 0x7FFFFFFF, 0xFFFFFFFF)),
            *(lambda w, slot=slot: w.post(b"", slot=slot, size=64) for slot in (4, 5, 0x7FFFFFFF, 0xFFFFFFFF)),
            *(
                lambda w, size=size: w.post(w.step(), size=size)
                for size in (w_size + 1 for w_size in (4096, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFE))
            ),
        ]
        for act in hostile:
            made = plant()
            act(made)
            assert ended(made.socket)
            cuts += 1
            until(lambda: bridge.stats["peers_cut"] == cuts)
            made.close()
        # it says that it took answers that were never sent: it gets no more
        for i, taken in enumerate((2, 0x80000000, 0xFFFFFFF0)):
            made = plant()
            made.plant[1] = taken
            made.post(made.step())
            until(lambda: bridge.stats["unsent"] == i + 1)
            made.close()
        # the head is what the library wrote, not what it reads
        made = plant()
        made.view[0:64] = os.urandom(64)
        made.view[128:192] = os.urandom(64)
        made.post(made.step())
        until(lambda: bridge.stats["steps"] == len(hostile) + 3 * 2 + 2)
        made.close()
        with Client(endpoint) as client:
            client.step(OBSERVATION)


def test_the_memory_cannot_be_cut_or_grown_by_the_plant(tmp_path):
    with served("mlp", f"shm:{tmp_path}/bridge") as bridge:
        made = Words(bridge.endpoint)
        size = os.fstat(made.descriptor).st_size
        for wrong in (0, 4096, size - 1, size + 4096):
            with pytest.raises(OSError):
                os.ftruncate(made.descriptor, wrong)
        assert os.readlink(f"/proc/self/fd/{made.descriptor}") == "/memfd:efferent (deleted)"
        made.close()


def test_a_client_trusts_no_word_of_the_library(tmp_path):
    """A library that passes memory that could be cut, of the wrong size, or without any."""
    with served("mlp", f"shm:{tmp_path}/good") as bridge:
        made = Words(bridge.endpoint)
        head = bytes(made.view[:4096])
        total = os.fstat(made.descriptor).st_size
        made.close()
        raw = connected(bridge.endpoint)
        tell(raw, wire.frame(wire.HELLO, wire.hello(checksum="none"), seq=1))
        welcome = bytearray(hear(raw))
        raw.close()

    def memory(content=head, size=total, seals=7):
        descriptor = os.memfd_create("x", os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, size)
        os.pwrite(descriptor, content[:size], 0)
        if seals:
            import fcntl

            fcntl.fcntl(descriptor, 1033, seals)
        return descriptor

    def changed(at, form, value):
        content = bytearray(head)
        struct.pack_into(form, content, at, value)
        return bytes(content)

    cases = [
        (lambda: None, "without shared memory"),
        (lambda: memory(seals=0), "not sealed"),
        (lambda: memory(size=100), "of 100 bytes"),
        (lambda: memory(changed(0, "<I", 1)), "of form"),
        (lambda: memory(changed(4, "<I", 2)), "of form"),
        (lambda: memory(changed(8, "<I", 8)), "of form"),
        (lambda: memory(changed(16, "<Q", 1 << 40)), "slots of"),
        (lambda: memory(changed(24, "<Q", 64)), "slots of"),
        (lambda: memory(size=total - 4096), "slots of"),
    ]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "bad"))
    listener.listen(16)
    for make, text in cases:
        pid = os.fork()
        if pid == 0:
            try:
                peer, _ = listener.accept()
                hello = wire.read_header(hear(peer))
                fields = list(wire.HEADER.unpack_from(welcome))
                fields[8], fields[12] = hello.seq, 0
                wire.HEADER.pack_into(welcome, 0, *fields)
                wire.seal(welcome)
                passed = make()
                peer.sendmsg(
                    [LENGTH.pack(len(welcome)), welcome],
                    [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [passed]))] if passed is not None else [],
                )
                peer.recv(1)
            finally:
                os._exit(0)
        with pytest.raises(efferent.FormatError, match=text):
            Client(f"shm:{tmp_path}/bad", connect_timeout=5.0)
        gc.collect()
        os.waitpid(pid, 0)
    listener.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_random_frames_and_words_stop_nobody(endpoint, seed):
    generator = random.Random(seed)
    with served("mlp", endpoint, idle_timeout=None) as bridge:
        for _ in range(15):
            if endpoint.startswith("shm"):
                made = Words(endpoint)
                raw, session = made.socket, made.welcome.session
            else:
                made, raw = None, connected(endpoint)
                tell(raw, wire.frame(wire.HELLO, wire.hello(checksum="none"), seq=1))
                session = wire.read_header(hear(raw), False).session
            whole = [
                wire.frame(wire.HELLO, wire.hello(), seq=1),
                wire.frame(wire.STEP, bytes(64), False, session=session, seq=5),
            ]
            raw.setblocking(False)
            try:
                for i in range(300):
                    frame = bytearray(generator.choice(whole))
                    for _ in range(generator.randrange(0, 4)):
                        frame[generator.randrange(len(frame))] = generator.randrange(256)
                    if made is not None and i % 3:
                        at = 4096 + generator.randrange(4) * made.request_size
                        made.view[at:at + len(frame)] = frame
                        for _ in range(generator.randrange(1, 6)):
                            made.plant[generator.randrange(12)] = generator.choice(
                                [0, 1, 2, 3, 4, 64, len(frame), generator.randrange(1 << 32)]
                            )
                        raw.send(bytes(4))
                    else:
                        raw.send(
                            LENGTH.pack(
                                generator.choice(
                                    [
                                        len(frame),
                                        len(frame),
                                        len(frame),
                                        generator.randrange(1 << generator.randrange(1, 20)),
                                    ]
                                )
                            )
                            + frame
                        )
                    try:
                        while raw.recv(1 << 16):
                            pass
                    except BlockingIOError:
                        pass
            except OSError:
                pass
            raw.close()
        with Client(endpoint, connect_timeout=5.0) as client:
            client.reset()
            client.step(OBSERVATION)


# ---- frames that are large ----


def identity(shape):
    graph = helper.make_graph(
        [helper.make_node("Mul", ["obs", "one"], ["action"])],
        "g",
        [helper.make_tensor_value_info("obs", TensorProto.FLOAT, [1, *shape])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, [1, *shape])],
        [numpy_helper.from_array(np.float32(2), "one")],
    )
    return efferent.Policy(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )


def test_a_megabyte_goes_both_ways(endpoint):
    image = np.random.default_rng(1).normal(size=(1, 480, 640, 3)).astype(np.float32)
    with efferent.Bridge(identity(image.shape[1:]).session(), endpoint) as bridge:
        bridge.start()
        with Client(endpoint, timeout=10.0) as client:
            for i in range(5):
                image[0, 0, 0, 0] = i
                assert np.array_equal(client.step({"obs": image})["action"].reshape(image.shape), 2 * image)
            assert bridge.stats["unsent"] == 0 and bridge.stats["drops"] == 0


def test_an_answer_that_nobody_reads_costs_that_plant_alone(tmp_path):
    """Over unix the socket is full: the answer waits in part, the next is not sent, and the frame that comes again gets
    it."""
    image = np.ones((1, 480, 640, 3), np.float32)
    with efferent.Bridge(identity(image.shape[1:]).session(), f"unix:{tmp_path}/bridge") as bridge:
        bridge.start()
        raw = connected(bridge.endpoint)
        tell(raw, wire.frame(wire.HELLO, wire.hello(checksum="none"), seq=1))
        session = wire.read_header(hear(raw), False).session
        frames = [wire.frame(wire.STEP, image.tobytes(), False, session=session, seq=2 + i) for i in range(3)]
        for i, frame in enumerate(frames):
            tell(raw, frame)
            until(lambda i=i: bridge.stats["steps"] == i + 1)
        assert bridge.stats["unsent"] >= 1
        found = hear(raw)
        assert wire.read_header(found, False).ref_seq == 2 and np.all(np.frombuffer(found[64:], np.float32) == 2)
        tell(raw, frames[2])
        seen = [wire.read_header(hear(raw), False).ref_seq]
        while seen[-1] != 4:
            seen.append(wire.read_header(hear(raw), False).ref_seq)
        assert bridge.stats["steps"] == 3
        raw.close()


# ---- frames that were given up ----


def test_frames_that_were_given_up_while_the_library_stood_still_do_not_run(endpoint):
    session = bridging.policy("counter", state={"before": "after"}).session()
    with efferent.Bridge(session, endpoint) as bridge:
        bridge.start()
        with Client(endpoint, timeout=0.05, retry=0.02) as client:
            one = {"x": np.ones((1, 1, 3), np.float32)}
            client.reset()
            assert client.step(one)["action"][0, 0, 0] == 2
            bridge.stop()
            for _ in range(3):
                with pytest.raises(efferent.BridgeTimeout):
                    client.step(one)
            client.timeout = 5.0
            later = threading.Timer(0.1, bridge.start)
            later.start()
            assert client.step(one)["action"][0, 0, 0] == 4
            later.join()
            until(lambda: bridge.stats["tick"].count == 2)
            assert bridge.stats["dropped"].get("superseded", 0) >= 3


# ---- addresses ----


def test_nothing_is_left_behind(endpoint, tmp_path):
    names = set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()
    with served("mlp", endpoint) as bridge:
        assert bridge.endpoint == endpoint and os.stat(tmp_path / "bridge").st_mode & 0o777 == 0o600
        with Client(endpoint) as client:
            client.step(OBSERVATION)
            assert sorted(os.listdir(tmp_path)) == ["bridge", "bridge.lock"]
    assert os.listdir(tmp_path) == [] and (not names or set(os.listdir("/dev/shm")) <= names)


def test_only_a_dead_socket_is_replaced(endpoint, tmp_path):
    path = tmp_path / "bridge"
    session = bridging.policy("mlp").session()
    path.write_text("policy")
    with pytest.raises(efferent.FileError, match="is no socket"):
        efferent.Bridge(session, endpoint)
    assert path.read_text() == "policy"
    path.unlink()
    server, _ = bridging.process(bridging.SERVER, name="mlp", endpoint=endpoint)
    with pytest.raises(efferent.FileError, match="somebody listens there"):
        efferent.Bridge(session, endpoint)
    server.kill()
    server.wait()
    assert path.exists()
    with efferent.Bridge(session, endpoint):
        pass
    assert not path.exists()


def test_addresses_and_options_are_checked():
    from efferent._library import lib

    session = bridging.policy("mlp").session()
    for wrong, text in [
        ("unix:", "a path of 0 bytes"),
        ("shm:", "a path of 0 bytes"),
        ("unix:@", "a path of 1 bytes"),
        ("shm:/" + 107 * "x", "a path of 108 bytes, expected 1 to 107"),
        ("unix://", "a path of 0 bytes"),
    ]:
        with pytest.raises(efferent.ArgumentError, match=text):
            efferent.Bridge(session, wrong)
    with pytest.raises(efferent.FileError, match="No such file"):
        efferent.Bridge(session, "unix:/no/such/folder/bridge")
    for spin in (-1e-6, 0.0011):
        with pytest.raises(efferent.ArgumentError, match="spin"):
            efferent.Bridge(session, "shm:@x", spin=spin)
    options, made = efferent.bridge.eff_bridge_options(), ctypes.c_void_p()
    lib.eff_bridge_options_default(ctypes.byref(options), ctypes.sizeof(options))
    options.endpoint, options.context = b"unix:@efferent-context", 1
    assert lib.eff_bridge_create(session._handle.value, ctypes.byref(options), ctypes.byref(made)) == -1
    assert b"do without ZeroMQ, found a context" in lib.eff_last_error()
    for wrong in ("unix:", "shm://"):
        with pytest.raises(efferent.BridgeError, match="has no path"):
            Client(wrong)


def test_a_thread_that_does_not_spin_serves_too(tmp_path):
    with served("mlp", f"shm:{tmp_path}/bridge", spin=0) as bridge, Client(bridge.endpoint) as client:
        for _ in range(100):
            client.step(OBSERVATION)
        assert bridge.stats["steps"] == 100
