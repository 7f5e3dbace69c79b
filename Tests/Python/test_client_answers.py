"""What a client of a bridge makes of the frames that come instead of its answer, or before it."""

import threading

import bridging
import numpy as np
import pytest
import zmq
from bridging import served

from efferent import wire
from efferent.client import Client

OBSERVATION = {"obs": np.ones((1, 7), np.float32)}


class Between:
    """Hands the frames of one plant to a bridge. `change` makes the frames that the plant gets of each ACT."""

    def __init__(self, bridge, path):
        self.endpoint = f"ipc://{path}"
        self.change = lambda act: [act]
        self._context = zmq.Context()
        self._near, self._far = self._context.socket(zmq.ROUTER), self._context.socket(zmq.DEALER)
        self._near.linger = self._far.linger = 0
        self._near.bind(self.endpoint)
        self._far.connect(bridge.endpoint)
        self._ends = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._ends:
            if not self._near.poll(20):
                continue
            plant, frame = self._near.recv_multipart()
            self._far.send(frame)
            if frame[5] == wire.BYE:
                continue
            answer = self._far.recv()
            for made in self.change(answer) if answer[5] == wire.ACT else [answer]:
                self._near.send_multipart([plant, made])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ends = True
        self._thread.join()
        self._context.destroy(0)


@pytest.fixture(params=["recv_into", "recv"])
def link(request, tmp_path):
    """A client, and what stands between it and its bridge; with a pyzmq that reads into memory, and one that cannot."""
    with served("mlp", f"ipc://{tmp_path}/bridge") as bridge, Between(bridge, tmp_path / "between") as between:
        with Client(between.endpoint, timeout=5.0) as client:
            assert hasattr(client._link, "_receive_into")
            if request.param == "recv":
                client._link._receive_into = None
            client.reset()
            yield client, between


def header(act, kind, **fields):
    found = wire.read_header(act, False)
    return wire.frame(kind, sealed=False, **{"session": found.session, "ref_seq": found.ref_seq, **fields})


def test_actions_are_the_callers_own(link):
    client, _ = link
    session = bridging.policy("mlp").session()
    kept = []
    for i in range(5):
        observation = np.full((1, 7), i, np.float32)
        action, = client.step({"obs": observation}).values()
        expected = session.step(observation[0]).reshape(action.shape)
        np.testing.assert_array_equal(action, expected)
        kept.append((action, expected.copy()))
    for action, expected in kept:
        np.testing.assert_array_equal(action, expected)
        action += 1  # the caller's, to write into


def test_frames_that_come_before_the_answer_are_passed_over_whatever_their_length(link):
    client, between = link
    expected, = client.step(OBSERVATION).values()
    for size in (0, 8, 300, 5000, 200_000):
        late = lambda act, size=size: header(act, wire.WELCOME, ref_seq=1) + bytes(size)
        between.change = lambda act: [late(act), header(act, wire.PING, ref_seq=0), act]
        action, = client.step(OBSERVATION).values()
        np.testing.assert_array_equal(action, expected)


@pytest.mark.parametrize("length", [10, 90, 5000])
def test_a_refusal_is_told_however_long_its_text(link, length):
    client, between = link
    text = ("expired: " + "x" * length)[:length].encode()
    body = wire.ERROR_HEAD.pack(wire.REASONS.index("expired"), 0, 40, 0) + text
    between.change = lambda act: [header(act, wire.ERR) + body]
    with pytest.raises(wire.BridgeError) as told:
        client.step(OBSERVATION)
    assert told.value.reason == "expired" and told.value.retry_after == 0.04
    found = str(told.value)
    assert found == text.decode() or length == 5000 and text.decode().startswith(found.removesuffix("...")[:90])
    between.change = lambda act: [act]
    assert client.step(OBSERVATION)


@pytest.mark.parametrize("cut", [1, 60])
def test_an_answer_of_another_length_is_refused(link, cut):
    client, between = link
    between.change = lambda act: [act[:-cut]]
    with pytest.raises(wire.FormatError, match=r"bytes, expected"):
        client.step(OBSERVATION)


def test_a_step_after_the_end_says_that_nothing_is_connected(link):
    client, _ = link
    client.close()
    with pytest.raises(wire.BridgeLost, match="not connected"):
        client.step(OBSERVATION)
