"""The plant's end of a bridge: connects, resets and steps. Needs neither libefferent nor an environment."""
from __future__ import annotations

import struct
import time
from typing import Any

import numpy as np

from . import keys, wire
from ._closes import Closes
from ._links import open_link
from .errors import ArgumentError, FormatError, ShapeError
from .wire import Absent, BridgeError, BridgeLost, BridgeTimeout


# what every tick uses, without a look-up in another module
_MAGIC, _VERSION, _STEP, _ACT, _ERR, _BYE = wire.MAGIC, wire.VERSION, wire.STEP, wire.ACT, wire.ERR, wire.BYE
_HEAD, _pack, _now = wire.HEADER.size, wire.HEADER.pack_into, time.monotonic_ns
_ndarray = np.ndarray
# room for an answer: an ERR to a STEP has less
_ROOM = 256
# magic, version, type, session and number of the frame that is answered
_read = struct.Struct("<IBB10xQ8xQ").unpack_from


class Client(Closes):
    """A connected plant of `rows` rows. It keeps asking for `connect_timeout` seconds while nobody listens or another
    plant is connected.

    A frame that is not answered is sent again every `retry` seconds until `timeout` (default: a quarter of it); the
    library answers the same frame with the same bytes and runs it once. What was given up is never run: the next frame
    says so.

        with Client("tcp://127.0.0.1:5555") as client:
            client.reset()
            action = client.step({"obs": observation})["action"]

    A bridge on another machine is reached with keys (`efferent.keys`): `server_key` is the bridge's public key, or its
    name in the list of those that are allowed; `key` is this machine's own, as a file or pair, where it is not in
    EFFERENT_SECRET_KEY or the folder of keys.
    On the bridge's machine "unix:PATH" and "shm:PATH" are the quick ways: a Unix socket, and memory that both share;
    they need no ZeroMQ.

    `expect` holds what the policy must have, as in HELLO: inputs and outputs as lists of {name, dtype, shape, unit},
    observations and joints as lists of names, policy and schema as hashes. One thread at a time.
    """

    def __init__(self, endpoint: str, rows: int = 1, *, timeout: float = 2.0, connect_timeout: float = 10.0,
                 retry: Any = None, aux: Any = False, checksum: Any = None, expect: Any = None,
                 context: Any = None, server_key: str | None = None, key: Any = None) -> None:
        self.endpoint, self.rows, self.timeout, self.connect_timeout = endpoint, rows, timeout, connect_timeout
        self.retry = max(timeout / 4, 0.01) if retry is None else retry
        self._hello = wire.hello(rows, aux, checksum=checksum, **(expect or {}))
        self._keys = None
        if server_key is not None:
            if not endpoint.startswith("tcp://"):
                raise ArgumentError(f"endpoint '{endpoint}': keys are for tcp, found server_key")
            self._keys = keys.server(server_key), keys.load(key)
        elif key is not None:
            raise ArgumentError("key without server_key, expected both")
        elif endpoint.startswith("tcp://") and not keys.is_local(endpoint):
            raise ArgumentError(f"endpoint '{endpoint}' is on another machine, which is reached with keys alone, found "
                                f"no server_key")
        self._context = context
        # called while an answer is awaited, with the seconds that it takes already: true where it is waited for no
        # longer
        self._gives_up = None
        self._link = None
        self.welcome = None
        self.connect()

    # ---- the bridge session ----

    def connect(self, timeout: float | None = None) -> Any:
        """Begins a new bridge session: a new id, recurrent state cleared, episode 0."""
        timeout = self.connect_timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        refused = None
        while True:
            wait = max(min(self.timeout, deadline - time.monotonic()), 0.001)
            try:
                self._open()
                hello = wire.frame(wire.HELLO, self._hello, seq=1, monotonic_ns=time.monotonic_ns(),
                                   ttl_us=min(int(wait * 1e6), 0xFFFFFFFF))
                data = self._ask(hello, wire.WELCOME, wait)
                break
            except (BridgeTimeout, Absent) as e:
                if time.monotonic() >= deadline:
                    self._drop()
                    # of a library that is busy, and then was slow, the first is what helps
                    if refused is not None and not isinstance(e, Absent):
                        raise refused from None
                    raise BridgeTimeout(f"{self.endpoint}: nobody answered HELLO for {timeout:g} s") from None
                if isinstance(e, Absent):
                    time.sleep(0.02)
            except BridgeError as e:
                # lost: an answer to a plant that this socket was before; expired: it waited at a library that stood
                # still
                pause = e.retry_after or 0.05
                if e.reason not in ("busy", "session", "expired") or time.monotonic() + pause >= deadline:
                    self._drop()
                    raise
                refused = e if e.reason == "busy" else refused
                time.sleep(pause)
        header = wire.read_header(data, False)
        self.welcome = welcome = wire.Welcome(data[wire.HEADER.size:])
        if welcome.rows != self.rows or header.session != welcome.session:
            raise FormatError(f"WELCOME: {welcome.rows} rows of session {welcome.session}, expected {self.rows} of "
                              f"{header.session}")
        self._episode = 0
        frames = self._link.buffers(welcome.step_size, welcome.act_size)
        self._session, self._sealed = welcome.session, welcome.sealed
        self._inputs = {f.name: f for f in welcome.inputs}
        # each frame with what is written into it: field, view, and type and shape that need no conversion
        self._frames = [(frame, {f.name: (f, view, view.dtype, view.shape) for f in welcome.inputs
                                 for view in (f.view(frame, self.rows),)}) for frame in frames]
        self._outputs = [(f.name, (self.rows, *f.shape), f.type, f.offset) for f in welcome.outputs]
        self._act_size, self._room = welcome.act_size, max(welcome.act_size, _ROOM)

    @property
    def inputs(self) -> Any:
        """What a step sends, as `wire.Field`s with .name .dtype .shape (of one row)."""
        return self.welcome.inputs

    @property
    def outputs(self) -> Any:
        """What a step returns."""
        return self.welcome.outputs

    @property
    def session(self) -> Any:
        """Id of the bridge session."""
        return self.welcome.session

    @property
    def connected(self) -> bool:
        return self._link is not None

    # ---- the loop ----

    def reset(self, rows: Any = None) -> None:
        """Begins an episode: clears the recurrent state of all rows, or of those that are true in `rows`."""
        body = b""
        if rows is not None:
            mask = np.asarray(rows, bool)
            if mask.shape != (self.rows,):
                raise ShapeError(f"rows: found a mask of shape {list(mask.shape)}, expected [{self.rows}]")
            body = mask.tobytes()
        self._seq += 1
        frame = wire.frame(wire.RESET, body, self.welcome.sealed, session=self.session, episode=self._episode + 1,
                           seq=self._seq, monotonic_ns=time.monotonic_ns())
        self._ask(frame, wire.ACK, self.timeout)
        self._episode += 1

    def step(self, arrays: Any, *, simulation_time: float = 0.0, ttl: Any = 0.0,
             step_time: Any = 0.0) -> dict[str, np.ndarray]:
        """Sends every input, `{name: [rows, ...]}`, and returns the outputs as `{name: [rows, ...]}`.

        `simulation_time` is the plant's own clock in seconds, not negative. `ttl` is the age in seconds at which the
        library refuses the frame; 0: never; at most 4294. `step_time` is the plant's time since the step before, in
        seconds; 0: unknown.
        """
        simulation_ns = ttl_us = step_us = 0
        if simulation_time or ttl or step_time:
            if not 0 <= simulation_time < 1.8e10:
                raise ArgumentError(f"simulation_time is {simulation_time} s, expected 0 to 1.8e10")
            if not 0 <= ttl <= 4294:
                raise ArgumentError(f"ttl is {ttl} s, expected 0 to 4294")
            if not 0 <= step_time <= 4294:
                raise ArgumentError(f"step_time is {step_time} s, expected 0 to 4294")
            simulation_ns, ttl_us, step_us = int(simulation_time * 1e9), int(ttl * 1e6), round(step_time * 1e6)
        link = self._link
        if link is None:
            raise BridgeLost(f"{self.endpoint}: not connected")
        frame, inputs = self._frames[link.free()]
        if len(arrays) != len(inputs):
            self._refuse(arrays)
        for name, value in arrays.items():
            place = inputs.get(name)
            if place is None:
                self._refuse(arrays)
            field, view, dtype, shape = place
            if type(value) is _ndarray and value.dtype is dtype and value.shape == shape:
                view[...] = value
            else:
                field.fill(view, value)
        self._seq = seq = self._seq + 1
        began = _now()
        _pack(frame, 0, _MAGIC, _VERSION, _STEP, 0, step_us, self._episode, self._session, seq, 0, began,
              simulation_ns, ttl_us, 0)
        if self._sealed:
            wire.seal(frame)
        if not link.send(frame):
            raise self._silence(_ACT, self.timeout)
        # made while the library works: what is left to do after its answer came delays the plant
        room, outputs = bytearray(self._room), {}
        for name, shape, dtype, offset in self._outputs:
            outputs[name] = _ndarray(shape, dtype, room, offset)
        wanted = _MAGIC, _VERSION, _ACT, self._session, seq
        wait = self.retry if self.retry < self.timeout else self.timeout
        if self._sealed:
            data = link.receive(wait)  # a checksum needs all of a frame
        else:
            # nearly always the next frame is the answer; anything else is looked at with more care
            size = link.receive(wait, room)
            if size == self._act_size and _read(room) == wanted:
                return outputs
            # of an ERR whose text is too long that much is told
            data = None if size is None else room[:size] if size <= len(room) else room + b"..."
        data = self._answer(frame, _ACT, self.timeout, began / 1e9, data)
        if len(data) != self._act_size:
            raise FormatError(f"ACT of {len(data)} bytes, expected {self._act_size}")
        room[:len(data)] = data
        return outputs

    def _refuse(self, arrays):
        """Says which arrays of a step are not those that the policy wants."""
        expected = self._inputs
        for name in arrays.keys() - expected.keys():
            raise ShapeError(f"input '{name}': unknown, expected {', '.join(map(repr, expected))}")
        for name in expected.keys() - arrays.keys():
            raise ShapeError(f"input '{name}': missing, expected {expected[name]}")

    # ---- the end ----

    def close(self) -> None:
        """Says BYE and closes the socket; never waits longer than 0.1 s."""
        if self._link is None:
            return
        goodbye = None
        if self.welcome is not None:
            self._seq += 1
            goodbye = wire.frame(wire.BYE, b"", self.welcome.sealed, session=self.session, episode=self._episode,
                                 seq=self._seq,
                                 monotonic_ns=time.monotonic_ns())
        self._drop(goodbye)

    def __del__(self):
        if getattr(self, "_link", None) is not None:
            self.close()

    # ---- the socket ----

    @property
    def _socket(self):
        return None if self._link is None else self._link.socket

    def _open(self):
        """A fresh socket: what the old one still had queued is gone, and the library sees its connection end."""
        self._drop()
        self.welcome = None
        self._link = open_link(self.endpoint, self.timeout, self._context, self._keys)
        self._seq = 1

    def _drop(self, goodbye=None):
        # nothing may look into memory that was shared
        self._inputs, self._frames = {}, []
        if self._link is not None:
            self._link.close(goodbye)
            self._link = None

    def _ask(self, frame, wanted, timeout):
        """Sends a frame and returns the one that answers it."""
        if self._link is None:
            raise BridgeLost(f"{self.endpoint}: not connected")
        began = time.monotonic()
        if not self._link.send(frame):
            raise self._silence(wanted, timeout)
        data = self._link.receive(min(self.retry, timeout))
        return self._answer(frame, wanted, timeout, began, data)

    def _answer(self, frame, wanted, timeout, began, data):
        """The frame that answers one that was sent at `began`. `data`: what came first; None: nothing did before a
        retry was due."""
        link, welcome, seq = self._link, self.welcome, self._seq
        # an answer to HELLO is not sealed unless HELLO was; later ones as agreed
        sealed = self._sealed if welcome is not None else True
        again, deadline = began + min(self.retry, timeout), began + timeout
        while True:
            if data is not None:
                if sealed or len(data) < _HEAD:
                    wire.read_header(data, sealed)
                magic, version, kind, session, answered = _read(data)
                if magic != _MAGIC or version != _VERSION:
                    wire.read_header(data, sealed)
                if kind == wanted and answered == seq:
                    return data
                if kind == _BYE and welcome is not None and session == self._session:
                    raise BridgeLost(f"{self.endpoint}: the library said goodbye")
                # anything else is PING, or the late answer to a request that was given up
                if kind == _ERR and answered == seq:
                    raise wire.refusal(data)
            now = time.monotonic()
            if now >= deadline or self._gives_up is not None and self._gives_up(now - began):
                raise self._silence(wanted, timeout)
            if now >= again:
                if not link.send(frame, again=True):
                    raise self._silence(wanted, timeout)
                again = now + self.retry
            data = link.receive(min(deadline, again) - now)

    def _silence(self, wanted, timeout):
        return BridgeTimeout(f"{self.endpoint}: no {wire.FRAMES[wanted]} for {timeout:g} s")
