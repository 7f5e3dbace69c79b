"""Threads of a bridge: policy, priority, CPUs and name of its own and of ZeroMQ's I/O thread."""
import os
import subprocess
import sys
import time
from pathlib import Path

import bridging
import efferent
import numpy as np
import pytest
from bridging import served
from efferent.client import Client

OBSERVATION = {"obs": np.ones((1, 7), np.float32)}


def allowed():
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return False
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return True


def threads():
    """{name: (policy, real-time priority, CPUs)} of this process."""
    found = {}
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/comm") as file:
            name = file.read().strip()
        found[name] = (
            os.sched_getscheduler(int(task)),
            os.sched_getparam(int(task)).sched_priority,
            os.sched_getaffinity(int(task)),
        )
    return found


@pytest.mark.skipif(not allowed(), reason="needs the right to real-time priorities")
@pytest.mark.parametrize("policy, code", [("fifo", os.SCHED_FIFO), ("rr", os.SCHED_RR)])
def test_both_threads_run_as_they_should(policy, code):
    cpu = max(os.sched_getaffinity(0))
    with served("mlp", thread_policy=policy, thread_priority=7, thread_cpus=[cpu], thread_name="leg"):
        found = threads()
        assert found["leg"] == found["leg-io"] == (code, 7, {cpu})
        # nobody else's changed
        assert sum(p != os.SCHED_OTHER for p, _, _ in found.values()) == 2
    assert "leg-io" not in threads()


def test_left_alone_threads_are_as_their_makers():
    with served("mlp"):
        found = threads()
        assert found["efferent"][:2] == (os.SCHED_OTHER, 0) and found["efferent"][2] == os.sched_getaffinity(0)
    with served("mlp", thread_name="arm"):
        assert {"arm", "arm-io"} <= set(threads())


def test_what_cannot_be_is_refused_by_name():
    session = bridging.policy("mlp").session()
    for wrong, text in [
        (dict(thread_priority=5), "thread_priority is 5 with thread_policy 0, expected 0 to 0"),
        (dict(thread_policy="fifo"), "thread_priority is 0 with thread_policy 1, expected 1 to 99"),
        (dict(thread_policy="rr", thread_priority=100), "expected 1 to 99"),
        (dict(thread_cpus=[-1]), r"thread_cpus\[0\] is -1"),
        (dict(thread_name="thirteen-byte"), "thread_name 'thirteen-byte' has 13 bytes"),
        (dict(thread_policy="idle"), "thread_policy is 'idle'"),
    ]:
        with pytest.raises(efferent.ArgumentError, match=text):
            efferent.Bridge(session, **wrong)
    with pytest.raises(efferent.UnsupportedError, match="thread_cpus: ZeroMQ's I/O thread: .*none of them"):
        efferent.Bridge(session, thread_cpus=[4095])
    efferent.Bridge(session).close()  # nothing is left of these


UNPRIVILEGED = """
import sys; sys.path[:0] = {path!r}
import os, resource
import bridging, efferent
session = bridging.policy("mlp").session()
Bridge, UnsupportedError = efferent.Bridge, efferent.UnsupportedError
resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
if os.geteuid() == 0: os.setuid(65534)
try:
    Bridge(session, thread_policy="fifo", thread_priority=50)
except UnsupportedError as e:
    print(e)
Bridge(session).start()
print("still serves")
sys.stdout.flush(); os._exit(0)
"""


def test_missing_rights_are_named_with_what_to_set():
    script = UNPRIVILEGED.format(path=[str(bridging.PACKAGE), str(Path(__file__).parent)])
    text = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60).stdout
    for word in (
        "ZeroMQ's I/O thread cannot have FIFO with priority 50",
        "may have 0 (RLIMIT_RTPRIO)",
        "LimitRTPRIO=50",
        "limits.conf",
        "CAP_SYS_NICE",
        "still serves",
    ):
        assert word in text, text


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:*", "ipc://@efferent-looks", "shm:@efferent-looks"])
def test_a_slow_plant_costs_little_however_long_the_thread_may_look(endpoint):
    def seconds():
        for task in os.listdir("/proc/self/task"):
            if Path(f"/proc/self/task/{task}/comm").read_text() == "looker\n":
                return int(Path(f"/proc/self/task/{task}/schedstat").read_text().split()[0]) / 1e9

    with served("mlp", endpoint, spin=1e-3, thread_name="looker") as bridge, Client(bridge.endpoint) as client:
        for _ in range(100):
            client.step(OBSERVATION)
            time.sleep(0.003)
        before = seconds()
        for _ in range(200):
            client.step(OBSERVATION)
            time.sleep(0.003)
        # 0.2 s where it looked for every frame
        assert seconds() - before < 0.1
        assert bridge.stats["steps"] == 300


@pytest.mark.parametrize("spin", [0, 1e-3])
@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:*", "ipc://@efferent-looks"])
def test_frames_are_answered_whether_the_thread_looks_or_sleeps(endpoint, spin):
    with served("mlp", endpoint, spin=spin) as bridge, Client(bridge.endpoint) as client:
        first = client.step(OBSERVATION)
        for _ in range(300):
            assert all(np.array_equal(v, first[k]) for k, v in client.step(OBSERVATION).items())
        assert bridge.stats["steps"] == 301
        began = time.monotonic()
        bridge.stop()
        assert time.monotonic() - began < 1.0
