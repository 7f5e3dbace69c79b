"""What the tests of receivers share: the C one and the Python one behind the same few calls, and a link that loses
frames."""

import ctypes
import random
import shutil
import subprocess
import threading
from ctypes import POINTER, byref, c_char_p, c_int32, c_size_t, c_uint64, c_void_p
from pathlib import Path

import efferent
import numpy as np
import pytest
import zmq

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "bindings/c/receiver"
SOURCES = [FOLDER / f"{name}.c" for name in ("receiver", "receiver_local", "receiver_zeromq")]
FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT}/include", f"-I{ROOT}/examples/plants"]
# as in receiver.h, which a test compares with this
OPTIONS = [
    ("struct_size", c_size_t), ("endpoint", c_char_p), ("observation_size", c_size_t), ("action_size", c_size_t),
    ("rows", c_int32), ("aux", c_int32), ("policy", c_uint64), ("schema", c_uint64), ("retry_ms", c_int32),
    ("timeout_ms", c_int32), ("lost_ms", c_int32), ("ttl_ms", c_int32), ("checksum", c_int32), ("reserved", c_int32),
    ("context", c_void_p), ("server_key", c_char_p), ("secret_key", c_char_p), ("key_file", c_char_p),
]
STATS = ("connected", "connects", "losts", "posts", "superseded", "steps", "actions", "resets", "retries", "given_up",
         "ignored")
KINDS = ("none", "connected", "reset", "action", "lost")


class Options(ctypes.Structure):
    _fields_ = OPTIONS


class Stats(ctypes.Structure):
    _fields_ = [("struct_size", c_size_t), *[(n, c_uint64) for n in STATS], ("refused", c_uint64 * 16),
                ("round_trip_ns", c_uint64), ("policy", c_uint64)]


_built = {}


def library(folder):
    """The receiver in C as a shared library, with its types."""
    if "lib" not in _built:
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler")
        made = folder / "libreceiver.so"
        subprocess.run(
            [compiler, *FLAGS, "-O1", "-g", "-shared", "-fPIC", *SOURCES, "-o", made, "-l:libzmq.so.5"], check=True
        )
        lib = ctypes.CDLL(str(made))
        lib.eff_receiver_last_error.restype = c_char_p
        lib.eff_receiver_create.argtypes = [POINTER(Options), POINTER(c_void_p)]
        lib.eff_receiver_options_default.argtypes = [POINTER(Options), c_size_t]
        lib.eff_receiver_poll.argtypes = [c_void_p, c_int32, POINTER(c_int32)]
        lib.eff_receiver_post.argtypes = [c_void_p, c_void_p, c_size_t]
        lib.eff_receiver_latest.argtypes = [c_void_p, c_void_p, c_size_t, POINTER(c_uint64)]
        lib.eff_receiver_reset.argtypes = [c_void_p]
        lib.eff_receiver_read_stats.argtypes = [c_void_p, POINTER(Stats)]
        lib.eff_receiver_destroy.argtypes = [c_void_p]
        lib.eff_receiver_destroy.restype = None
        _built["lib"] = lib
    return _built["lib"]


class CReceiver:
    """The C receiver with a thread that polls, for a policy of one f32 observation and one f32 action."""

    def __init__(self, lib, address, seen, done, retry=0.02, timeout=0.1, lost=1.0, **more):
        self.lib, self.action = lib, np.zeros(done, np.float32)
        options = Options()
        lib.eff_receiver_options_default(byref(options), ctypes.sizeof(options))
        options.endpoint = address.encode()
        options.observation_size, options.action_size = 4 * seen, 4 * done
        options.retry_ms, options.timeout_ms, options.lost_ms = (round(1000 * s) for s in (retry, timeout, lost))
        for name, value in more.items():
            setattr(options, name, value)
        self.handle = c_void_p()
        if lib.eff_receiver_create(byref(options), byref(self.handle)) != 0:
            raise efferent.Error(lib.eff_receiver_last_error().decode())
        self.events, self.refusal, self.closing, self.polls = [], None, False, 0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        kind = c_int32()
        while not self.closing:
            status = self.lib.eff_receiver_poll(self.handle, 20, byref(kind))
            self.polls += 1
            if status != 0:
                self.refusal = (status, self.lib.eff_receiver_last_error().decode())
            elif kind.value:
                self.events.append(KINDS[kind.value])

    def post(self, observation):
        x = np.ascontiguousarray(observation, np.float32)
        assert self.lib.eff_receiver_post(self.handle, x.ctypes.data, x.nbytes) == 0

    def latest(self):
        age = c_uint64()
        status = self.lib.eff_receiver_latest(self.handle, self.action.ctypes.data, self.action.nbytes, byref(age))
        assert status in (0, -2)
        return (self.action.copy(), age.value / 1e9) if status == 0 else None

    def reset(self):
        assert self.lib.eff_receiver_reset(self.handle) == 0

    @property
    def stats(self):
        stats = Stats(struct_size=ctypes.sizeof(Stats))
        assert self.lib.eff_receiver_read_stats(self.handle, byref(stats)) == 0
        return {name: getattr(stats, name) for name in STATS} | {
            "refused": {efferent.wire.REASONS[i]: n for i, n in enumerate(stats.refused) if n}}

    def close(self):
        self.closing = True
        self.thread.join()
        self.lib.eff_receiver_destroy(self.handle)


class PythonReceiver:
    """efferent.Receiver under the same calls."""

    def __init__(self, endpoint, name, **more):
        self.name, self.made = name, efferent.Receiver(endpoint, **more)

    def post(self, observation):
        self.made.post({self.name: np.asarray(observation, np.float32)})

    def latest(self):
        newest = self.made.latest()
        return newest and (newest[0]["action"].ravel(), newest[1])

    @property
    def refusal(self):
        return self.made.refusal and (0, str(self.made.refusal))

    def reset(self):
        self.made.reset()

    @property
    def stats(self):
        return self.made.stats

    def close(self):
        self.made.close()


class Lossy:
    """A ROUTER between plants and a bridge that drops a share of all frames, both ways."""

    def __init__(self, near, far, share, seed=5):
        self.lost, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._run, args=(near, far, share, random.Random(seed)))
        self._thread.start()

    def _run(self, near_address, far_address, share, generator):
        context = zmq.Context.instance()
        near, far, plants = context.socket(zmq.ROUTER), {}, {}
        near.bind(near_address)
        poller = zmq.Poller()
        poller.register(near, zmq.POLLIN)
        while not self._stop.is_set():
            for socket, _ in poller.poll(20):
                if socket is near:
                    plant, frame = near.recv_multipart()
                    if plant not in far:
                        made = far[plant] = context.socket(zmq.DEALER)
                        plants[made] = plant
                        made.routing_id = plant
                        made.connect(far_address)
                        poller.register(made, zmq.POLLIN)
                    to, parts = far[plant], [frame]
                else:
                    to, parts = near, [plants[socket], socket.recv()]
                if generator.random() < share:
                    self.lost += 1
                else:
                    to.send_multipart(parts)
        for socket in (near, *far.values()):
            socket.close(0)

    def close(self):
        self._stop.set()
        self._thread.join()
