"""Round trips of the Python client: bash Tests/Benchmarks/bridge.sh

python bridge_python.py FOLDER [BLOCKS [CALLS]]

Each bridge is a process of its own. Blocks of CALLS steps of each way by turns, medians of the blocks; a policy of 200k
weights, and an image of 640x480x3 bytes of which the policy reads little, so that what is measured is the way. Beside
them a bare DEALER of pyzmq that sends the same frames to the bridge: one with a constant body that looks at no answer,
and one that has the observation in its frame and gives the action as an array, as any plant must. Ends with 1 where a
bar of issue 12 is missed.
"""

import os
import subprocess
import sys
import time

import numpy as np
import zmq

from efferent import wire
from efferent.client import Client

SERVER = """
import sys, efferent
with efferent.Bridge(efferent.Policy(sys.argv[1]).session(), sys.argv[2]) as bridge:
    bridge.start()
    print(bridge.endpoint, flush=True)
    sys.stdin.read()
"""
BARS = {("c", "ipc"): 70.0, ("c", "shm"): 30.0, ("image", "shm"): 2000.0}


class Raw:
    """A DEALER that sends one STEP again and again under new numbers."""

    def __init__(self, endpoint):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.connect(endpoint)
        self.socket.send(wire.frame(wire.HELLO, wire.hello(checksum="none"), False, seq=1))
        welcome = self.socket.recv()
        self.session, self.seq = wire.read_header(welcome, False).session, 1
        self.body = bytes(wire.Welcome(welcome[64:]).step_size - 64)

    def step(self, _):
        self.seq += 1
        head = wire.HEADER.pack(
            wire.MAGIC, wire.VERSION, wire.STEP, 0, 0, 0, self.session, self.seq, 0, time.monotonic_ns(), 0, 0, 0
        )
        return self.exchange(head + self.body)

    def exchange(self, frame):
        self.socket.send(frame)
        answer = self.socket.recv()
        if answer[5] != wire.ACT:
            raise SystemExit("bare pyzmq: refused")
        return answer


class RawArrays(Raw):
    """The same with the observation, and the action as an array."""

    def step(self, arrays):
        self.body = arrays["obs"].tobytes()
        return {"action": np.frombuffer(super().step(arrays), np.float32, 12, 64).reshape(1, 1, 12).copy()}


BARE = {"bare": Raw, "bare, arrays": RawArrays}


def main():
    folder, blocks, calls = sys.argv[1], *(int(v) for v in (*sys.argv[2:], "30", "300")[:2])
    arrays = {
        "c": {"obs": np.random.default_rng(1).normal(size=(1, 1, 48)).astype(np.float32)},
        "image": {"obs": np.zeros((1, 1, 480, 640, 3), np.uint8)},
    }
    processes, plants = [], {}
    for net in arrays:
        for way in (*BARE, "ipc", "unix", "shm"):
            scheme = "ipc://" if way in BARE or way == "ipc" else way + ":"
            endpoint = f"{scheme}@efferent-python-{os.getpid()}-{len(plants)}"
            process = subprocess.Popen(
                [sys.executable, "-c", SERVER, f"{folder}/bridge_{net}.onnx", endpoint],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            processes.append(process)
            process.stdout.readline()
            plants[net, way] = BARE[way](endpoint) if way in BARE else Client(endpoint, timeout=10.0)
    medians = {key: [] for key in plants}
    tails = {key: [] for key in plants}
    for block in range(-1, blocks):
        for key, plant in plants.items():
            step, given, times = plant.step, arrays[key[0]], []
            for _ in range(calls if key[0] == "c" else max(calls // 5, 1)):
                began = time.perf_counter_ns()
                step(given)
                times.append(time.perf_counter_ns() - began)
            if block >= 0:
                medians[key].append(np.median(times) / 1e3)
                tails[key].append(np.percentile(times, 99) / 1e3)
    missed = False
    for (net, way), values in medians.items():
        size = 64 + sum(v.nbytes for v in arrays[net].values())
        print(
            f"Python {way:12} {size:7} B  p50 {np.median(values):7.1f} us, p99 {np.median(tails[net, way]):8.1f} us",
            flush=True,
        )
    for net in arrays:
        for way in BARE:
            ratio = np.median(np.divide(medians[net, "ipc"], medians[net, way]))
            print(f"Python ipc over {way} pyzmq, {net}: {ratio:.3f} (median of the blocks' ratios)")
    for key, limit in BARS.items():
        found = float(np.median(medians[key]))
        missed |= found > limit
        what = "200k policy" if key[0] == "c" else "640x480x3 image"
        verdict = "met" if found <= limit else "MISSED"
        print(f"bar: Python client over {key[1]}, {what}: {found:.1f} us, at most {limit:.0f}: {verdict}")
    for process in processes:
        process.stdin.close()
        process.wait()
    raise SystemExit(missed)


main()
