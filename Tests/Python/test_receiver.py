"""Receivers: the plant's side for a loop that never waits, in C (bindings/c/receiver) and in Python, against the
library."""

import ctypes
import os
import shutil
import signal
import subprocess
import time

import bridging
import efferent
import numpy as np
import pytest
import receiving
from bridging import served, until

STATE = {"state": {"before": "after"}}
WAYS = ("tcp", "ipc", "unix", "shm")
LOCAL = pytest.mark.parametrize("way", ["ipc://", "shm:"], ids=["ipc", "shm"])


@pytest.fixture(params=["c", "python"])
def receiver(request, tmp_path_factory):
    """Makes receivers of a policy with `seen` and `done` numbers and closes them."""
    made = []

    def make(endpoint, name="obs", seen=7, done=3, **options):
        if request.param == "c":
            made.append(
                receiving.CReceiver(
                    receiving.library(tmp_path_factory.mktemp("receiver")), endpoint, seen, done, **options
                )
            )
        else:
            made.append(receiving.PythonReceiver(endpoint, name, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def answer(receiver, observation, seconds=20.0):
    """Posts an observation and waits for its action."""
    before = receiver.stats["actions"]
    receiver.post(observation)
    until(lambda: receiver.stats["actions"] > before, seconds)
    return receiver.latest()


def test_the_options_of_the_tests_are_those_of_the_header():
    import re

    text = re.sub(r"/\*.*?\*/", "", (receiving.ROOT / "include/efferent/receiver.h").read_text(), flags=re.S)
    for struct, fields in (
        ("options", [n for n, _ in receiving.OPTIONS]),
        ("stats", [n for n, _ in receiving.Stats._fields_]),
    ):
        body = re.search(rf"typedef struct eff_receiver_{struct} \{{(.*?)\}} eff_receiver_{struct};", text, re.S).group(
            1
        )
        found = [re.sub(r"\[.*", "", n).strip(" *") for line in body.split(";") if line.strip()
                 for n in re.sub(r"^\s*(const )?\w+", "", line).split(",")]
        assert found == fields


def test_the_constants_of_libzmq_are_those_of_its_header(tmp_path):
    if (
        not shutil.which("cc")
        or subprocess.run(["cc", "-E", "-include", "zmq.h", "-"], input=b"", capture_output=True).returncode
    ):
        pytest.skip("no <zmq.h>")
    source = receiving.FOLDER / "receiver_zeromq.c"
    told = ["-D_POSIX_C_SOURCE=200809L", "-include", "zmq.h", "-c", source, "-o", tmp_path / "r.o"]
    subprocess.run(["cc", *receiving.FLAGS, *told], check=True)


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:*", "ipc://{tmp}/x", "unix:{tmp}/x", "shm:{tmp}/x"], ids=WAYS)
def test_actions_are_bit_identical_to_those_in_process(receiver, endpoint, tmp_path):
    with served("lstm", endpoint.format(tmp=tmp_path)) as bridge:
        made = receiver(bridge.endpoint, seen=5, done=2)
        session = bridging.policy("lstm").session()
        values = np.random.default_rng(1)
        assert made.latest() is None
        for _ in range(3):
            made.reset()
            session.reset()
            assert made.latest() is None, "an action of the episode before"
            for _ in range(20):
                x = values.normal(size=5).astype(np.float32)
                action, age = answer(made, x)
                assert action.tobytes() == session.step(x).tobytes() and 0 <= age < 5
        stats = made.stats
        assert stats["connects"] == 1 and stats["steps"] == stats["actions"] == 60 and stats["resets"] == 3
        made.close()
        until(lambda: bridge.stats["byes"] == 1)
        assert bridge.stats["steps"] == 60 and bridge.stats["drops"] == 0
        made.close = lambda: None


def test_a_third_of_all_frames_may_be_lost_and_nothing_runs_twice(receiver, tmp_path):
    with served("counter", f"ipc://{tmp_path}/far", options=STATE) as bridge:
        middle = receiving.Lossy(f"ipc://{tmp_path}/near", bridge.endpoint, 0.3)
        try:
            made = receiver(f"ipc://{tmp_path}/near", "x", seen=3, done=3, retry=0.005, timeout=5.0, lost=30.0)
            session = bridging.policy("counter", **STATE).session()
            values = np.random.default_rng(1)
            for _ in range(2):
                made.reset()
                session.reset()
                for _ in range(60):
                    x = values.normal(size=3).astype(np.float32)
                    assert answer(made, x)[0].tobytes() == session.step(x).tobytes()
            assert middle.lost > 30 and bridge.stats["retries"] > 10
            assert bridge.stats["steps"] == 120 and bridge.stats["resets"] == 2 and made.stats["connects"] == 1
        finally:
            middle.close()


@LOCAL
def test_a_server_that_stands_still_is_noticed_by_age_and_comes_back(receiver, way, tmp_path):
    server, endpoint = bridging.process(bridging.SERVER, name="mlp", endpoint=f"{way}{tmp_path}/x")
    try:
        made = receiver(endpoint, lost=5.0)
        x = np.ones(7, np.float32)
        first, _ = answer(made, x)
        os.kill(server.pid, signal.SIGSTOP)
        began, ages = time.monotonic(), []
        while time.monotonic() - began < 0.6:
            made.post(x)  # the loop goes on
            action, age = made.latest()
            ages.append(age)
            assert action.tobytes() == first.tobytes()
            time.sleep(0.02)
        assert ages == sorted(ages) and ages[-1] >= 0.5
        os.kill(server.pid, signal.SIGCONT)
        newest = np.full(7, 2.0, np.float32)
        made.post(newest)
        expected = bridging.policy("mlp").session().step(newest)
        until(lambda: made.latest()[0].tobytes() == expected.tobytes())
        assert made.latest()[1] < 0.5
        # given up, not run: the newest alone was asked
        stats = made.stats
        assert stats["connects"] == 1 and stats["given_up"] >= 1 and stats["superseded"] > 10
    finally:
        server.kill()
        server.wait()


@LOCAL
def test_the_newest_observation_is_answered_when_a_server_goes_on_that_had_no_place_for_more(receiver, way, tmp_path):
    server, endpoint = bridging.process(bridging.SERVER, name="mlp", endpoint=f"{way}{tmp_path}/x")
    try:
        made = receiver(endpoint, lost=20.0, timeout=0.03)
        answer(made, np.ones(7))
        os.kill(server.pid, signal.SIGSTOP)
        for i in range(8):  # more than shared memory has slots
            made.post(np.full(7, i, np.float32))
            time.sleep(0.06)
        newest = np.full(7, 2.5, np.float32)
        made.post(newest)
        time.sleep(0.3)
        os.kill(server.pid, signal.SIGCONT)
        expected = bridging.policy("mlp").session().step(newest)
        until(lambda: made.latest()[0].tobytes() == expected.tobytes(), 5.0)
        assert made.stats["connects"] == 1
    finally:
        server.kill()
        server.wait()


@LOCAL
def test_a_server_that_is_killed_and_started_again_is_found(receiver, way, tmp_path):
    endpoint = f"{way}{tmp_path}/x"
    servers = [bridging.process(bridging.SERVER, name="mlp", endpoint=endpoint)[0]]
    try:
        made = receiver(endpoint, lost=0.3)
        x = np.ones(7, np.float32)
        made.reset()
        first = answer(made, x)[0]
        for round in range(2):
            servers[-1].kill()
            servers[-1].wait()
            made.post(x)
            time.sleep(0.5)
            assert made.latest()[1] >= 0.5, "the old action, and its age says so"
            servers.append(bridging.process(bridging.SERVER, name="mlp", endpoint=endpoint)[0])
            until(lambda: made.stats["connects"] == 2 + round)
            assert answer(made, x)[0].tobytes() == first.tobytes()
        assert made.stats["resets"] == 3, "the episode goes on after each"
    finally:
        for server in servers:
            server.kill()
            server.wait()


@LOCAL
def test_nobody_need_listen_when_it_begins(receiver, way, tmp_path):
    made = receiver(f"{way}{tmp_path}/late", lost=0.3)
    made.post(np.ones(7))
    time.sleep(0.7)
    assert made.latest() is None and made.stats["connects"] == 0
    with served("mlp", f"{way}{tmp_path}/late"):
        until(lambda: made.latest() is not None)


@LOCAL
def test_a_bridge_that_closes_says_so(receiver, way, tmp_path):
    endpoint = f"{way}{tmp_path}/x"
    with served("mlp", endpoint) as bridge:
        made = receiver(bridge.endpoint, lost=30.0)
        answer(made, np.ones(7))
    made.post(np.ones(7))
    with served("mlp", endpoint) as bridge:
        until(lambda: made.stats["connects"] == 2, 5.0)  # long before lost
        answer(made, np.ones(7))


@pytest.mark.parametrize("way", ["unix:", "shm:"], ids=["unix", "shm"])
def test_a_frame_that_no_socket_takes_as_a_whole_goes_in_parts_and_holds_nobody_up(way, tmp_path):
    from onnx import TensorProto, helper, save

    count = 500_000  # 2 MB
    nodes = [helper.make_node("ReduceMax", ["obs"], ["action"], axes=[1], keepdims=1)]
    seen, done = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, k]) for n, k in (("obs", count), ("action", 1))
    )
    save(helper.make_model(helper.make_graph(nodes, "g", [seen], [done]), opset_imports=[helper.make_opsetid("", 17)],
                           ir_version=8), tmp_path / "wide.onnx")
    script = bridging.SERVER.replace("bridging.policy({name!r})", "efferent.Policy({name!r})")
    server, endpoint = bridging.process(script, name=str(tmp_path / "wide.onnx"), endpoint=f"{way}{tmp_path}/x")
    made = receiving.CReceiver(receiving.library(tmp_path), endpoint, count, 1, lost=30.0)
    try:
        x = np.zeros(count, np.float32)
        for i in range(5):
            x[1000 * i] = i
            assert answer(made, x)[0] == [i]
        os.kill(server.pid, signal.SIGSTOP)
        for i in range(5, 10):
            x[1000 * i] = i
            made.post(x)
            polls = made.polls
            time.sleep(0.15)
            assert made.polls - polls >= 3, "poll returns while the library stands still"
        os.kill(server.pid, signal.SIGCONT)
        until(lambda: made.latest()[0] == [9])
        stats = made.stats
        assert stats["given_up"] >= 2 and stats["connects"] == 1 and not made.refusal
    finally:
        made.close()
        server.kill()
        server.wait()


def test_what_the_library_refuses_is_said(receiver):
    with served("mlp", non_finite="refuse", idle_timeout=None) as bridge:
        with efferent.client.Client(bridge.endpoint):
            waiting = receiver(bridge.endpoint)
            until(lambda: waiting.stats["refused"].get("busy", 0) >= 2)
            assert "another plant is connected" in waiting.refusal[1]
        answer(waiting, np.ones(7))
        waiting.post(np.full(7, np.nan))
        until(lambda: waiting.stats["refused"].get("numeric", 0) == 1)
        assert "numeric: input that is not finite" in waiting.refusal[1]
        answer(waiting, np.ones(7))
        assert waiting.stats["connects"] == 1


def test_a_policy_of_another_size_is_refused_by_name(tmp_path):
    lib = receiving.library(tmp_path)
    with served("mlp") as bridge:
        made = receiving.CReceiver(lib, bridge.endpoint, 8, 3)
        until(lambda: made.refusal is not None)
        made.close()
    status, text = made.refusal
    assert status == -10 and "step_size" in text and "96" in text and "92" in text, text


def test_python_says_what_does_not_fit(tmp_path):
    with served("mlp") as bridge, efferent.Receiver(bridge.endpoint) as made:
        made.post({"obs": np.ones(8)})
        until(lambda: made.stats["steps"] == 1)
        with pytest.raises(efferent.ShapeError, match="input 'obs': found float64 \\[8\\]"):
            until(lambda: made.post({"obs": np.ones(7)}) is not None, 5.0)
        made.post({"obs": np.ones(7)})
        until(lambda: made.latest() is not None)
    for name in ("retry", "timeout", "lost"):
        with pytest.raises(efferent.ArgumentError, match=name):
            efferent.Receiver("tcp://127.0.0.1:1", **{name: 0})


@pytest.mark.parametrize(
    "options, text",
    [
        ({"rows": -1}, "rows is -1, expected 1 to 65536"),
        ({"action_size": 0}, "action_size is 0, expected 1 to 268435456"),
        ({"endpoint": b"nowhere"}, "endpoint 'nowhere': Invalid argument"),
        ({"endpoint": None}, "endpoint is NULL"),
        ({"endpoint": b"inproc://x"}, "inproc needs the bridge's ZeroMQ context"),
        ({"retry_ms": -5}, "retry_ms is -5"),
        ({"reserved": 1}, "reserved is 1, expected 0 to 0"),
        ({"struct_size": 3}, "struct_size is 3"),
    ],
)
def test_options_are_checked_by_name(tmp_path, options, text):
    lib = receiving.library(tmp_path)
    with pytest.raises(efferent.Error, match=text):
        receiving.CReceiver(lib, "tcp://127.0.0.1:1", 1, 1, **options)


def test_sizes_and_handles_are_checked(tmp_path):
    lib = receiving.library(tmp_path)
    made = receiving.CReceiver(lib, "tcp://127.0.0.1:1", 7, 3)
    try:
        x = np.ones(8, np.float32)
        for size in (0, 4, 27, 29, 2**63):
            assert lib.eff_receiver_post(made.handle, x.ctypes.data, size) == -1
            assert lib.eff_receiver_latest(made.handle, x.ctypes.data, size, None) == -1
        assert lib.eff_receiver_post(None, x.ctypes.data, 28) == -1 and lib.eff_receiver_reset(None) == -1
        assert lib.eff_receiver_poll(None, 0, None) == -1 and b"NULL" in lib.eff_receiver_last_error()
        pid = os.fork()
        if pid == 0:
            os._exit(lib.eff_receiver_poll(made.handle, 0, None) & 0xFF)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0xFE  # EFF_E_STATE
    finally:
        made.close()


def test_one_checksum_is_kept_on_both_sides(tmp_path):
    with served("mlp") as bridge:
        made = receiving.CReceiver(receiving.library(tmp_path), bridge.endpoint, 7, 3, checksum=1)
        action, _ = answer(made, np.ones(7))
        made.close()
    assert action.tobytes() == bridging.policy("mlp").session().step(np.ones(7)).tobytes() and made.refusal is None


def test_an_option_of_a_newer_header_is_refused(tmp_path):
    lib = receiving.library(tmp_path)

    class Newer(ctypes.Structure):
        _fields_ = [*receiving.OPTIONS, ("later", ctypes.c_uint64)]

    options, handle = Newer(), ctypes.c_void_p()
    lib.eff_receiver_options_default(
        ctypes.cast(ctypes.byref(options), ctypes.POINTER(receiving.Options)), ctypes.sizeof(options)
    )
    options.endpoint, options.observation_size, options.action_size, options.later = b"tcp://127.0.0.1:1", 4, 4, 1
    given = ctypes.cast(ctypes.byref(options), ctypes.POINTER(receiving.Options))
    assert lib.eff_receiver_create(given, ctypes.byref(handle)) == -1 and b"newer" in lib.eff_receiver_last_error()
    options.later = 0
    assert lib.eff_receiver_create(given, ctypes.byref(handle)) == 0
    lib.eff_receiver_destroy(handle)
