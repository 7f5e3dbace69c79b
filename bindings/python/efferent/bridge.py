"""Bridge: a session served over ZeroMQ, a Unix socket or shared memory, as in bridge.h. The other side is a plant: see
`efferent.Plant`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import os
import sys
import traceback
from ctypes import byref, c_char_p, c_void_p
from typing import NamedTuple

from ._library import Handle, Owner, check, lib
from ._table_bridge import EVENT_FUNCTION, REASONS, eff_bridge_event, eff_bridge_options, eff_bridge_stats
from .controller import Controller
from .errors import ArgumentError
from .learner import Learner

if TYPE_CHECKING:
    from .session import Session

KINDS = ("none", "hello", "reset", "step", "bye", "drop", "idle", "retry")
CHECKSUMS = {None: 0, "none": 1, "crc32c": 2}
NON_FINITE = {"pass": 0, "refuse": 1}
POLICIES = {None: 0, "fifo": 1, "rr": 2}


class Event(NamedTuple):
    """What became of one frame: the fields of eff_bridge_event, with kind and reason by name."""

    kind: str
    reason: str
    session: int
    episode: int
    seq: int
    simulation_ns: int
    rows: int
    tick_ns: int
    run_ns: int


class Latency(NamedTuple):
    """Durations in nanoseconds; bins[i] counts those from 2**i to 2**(i+1) - 1."""

    count: int
    sum: int
    min: int
    max: int
    bins: list

    @property
    def mean(self) -> float:
        return self.sum / self.count if self.count else 0.0

    def quantile(self, q: float) -> float:
        """The duration that a share `q` of all do not exceed, to within its bin (interpolated in it, and no more than
        max)."""
        left = q * self.count
        for i, n in enumerate(self.bins):
            if n and left <= n:
                low, high = (2**i if i else 0), 2 ** (i + 1)
                return max(self.min, min(self.max, low + (high - low) * left / n))
            left -= n
        return float(self.max)


class Bridge(Owner):
    """Serves a session, a learner or a controller at an endpoint: "tcp://127.0.0.1:*" (any free port),
    "tcp://[::1]:5555", "ipc:///run/robot/policy"; without ZeroMQ on one machine "unix:/run/robot/policy" and, through
    shared memory, "shm:/run/robot/policy" ("@name": a name without a file).

    Call `poll` in a loop, or `start` for a thread of its own. What is served is the bridge's alone until it is closed
    (a second bridge: StateError); closing that closes it too. A learner learns from what the plant tells: see
    `efferent.RemoteLearner` for the other side. A controller takes raw signals and gives targets: see
    `efferent.RemoteController`; rate and names are its own, and after `close` it ticks no more. `close` says goodbye to
    the plant.

    idle_timeout        seconds of silence after which another plant may take over; None for never
    rate                steps per second that the policy was trained for, told to the plant
    observation_names, joint_names   names of the elements of observation and action, compared with those that the plant
                                     sends
    checksum            crc32c of frames where the plant leaves it open: None (on tcp), "none" or "crc32c"
    non_finite          observations with NaN or infinite numbers: "pass" to the policy, or "refuse"
    max_peers           connections that may stand at once; 0 for 32
    thread_policy       of the bridge's thread and of ZeroMQ's I/O thread: None, "fifo" or "rr"; `thread_priority` 1 to
                        99 for these. Both decide the tail of a tick; the rights that this needs are named where they
                        are missing (UnsupportedError)
    thread_cpus         CPUs that both may run on
    thread_name         name of the bridge's thread, at most 12 bytes; the I/O thread's ends in "-io"
    allow_remote        any tcp address, with keys: `efferent keys new`, `efferent keys allow`
    key                 this machine's own key: a file or a pair (`efferent.keys`). With `allow_remote` or `allow` and
                        no key: EFFERENT_SECRET_KEY, or the file in the folder of keys. Plants then get in encrypted,
                        and those that are allowed alone
    allow               who they are: a file, which is read again where it changes, or public keys; None: the file in
                        the folder of keys
    spin                seconds in which the next frame is looked for after an answer, before the thread sleeps; seldom
                        after looks in vain. None: 50e-6 over shm, 200e-6 over tcp, ipc and inproc; 0, and over unix:
                        not at all
    on_event            called with an `Event` after every one, on the thread that polls
    """

    def __init__(
        self,
        served: Session | Learner | Controller,
        endpoint: str = "tcp://127.0.0.1:*",
        *,
        idle_timeout: float = 2.0,
        high_water: int = 0,
        rate: float = 0.0,
        observation_names: Sequence[str] = (),
        joint_names: Sequence[str] = (),
        checksum: bool | str | None = None,
        non_finite: str = "pass",
        max_peers: int = 0,
        thread_policy: str | None = None,
        thread_priority: int = 0,
        thread_cpus: Sequence[int] = (),
        thread_name: str | None = None,
        spin: float | None = None,
        allow_remote: bool = False,
        key: Any = None,
        allow: Any = None,
        on_event: Callable[[Any], None] | None = None,
    ) -> None:
        if thread_policy not in POLICIES:
            raise ArgumentError(f"thread_policy is {thread_policy!r}, expected None, 'fifo' or 'rr'")
        if checksum not in CHECKSUMS:
            raise ArgumentError(f"checksum is {checksum!r}, expected None, 'none' or 'crc32c'")
        if non_finite not in NON_FINITE:
            raise ArgumentError(f"non_finite is {non_finite!r}, expected 'pass' or 'refuse'")
        if spin is not None and not 0 <= spin <= 1e-3:
            raise ArgumentError(f"spin is {spin} s, expected 0 to 0.001, or None")
        options = eff_bridge_options()
        lib.eff_bridge_options_default(byref(options), ctypes.sizeof(options))
        options.endpoint = endpoint.encode()
        options.idle_timeout_ms = -1 if idle_timeout is None else max(1, round(1000 * idle_timeout))
        options.high_water, options.rate = high_water, rate
        options.max_peers = max_peers
        options.thread_policy, options.thread_priority = POLICIES[thread_policy], thread_priority
        options.thread_cpus = (ctypes.c_int32 * len(thread_cpus))(*thread_cpus)
        options.thread_cpu_count = len(thread_cpus)
        options.thread_name = thread_name.encode() if thread_name is not None else None
        options.spin_us = 0 if spin is None else round(1e6 * spin) or -1
        options.checksum, options.non_finite = CHECKSUMS[checksum], NON_FINITE[non_finite]
        options.observation_names, options.observation_count = _strings(observation_names)
        options.joint_names, options.joint_count = _strings(joint_names)
        if on_event is not None:
            options.on_event = EVENT_FUNCTION(lambda user, event: _guarded(on_event, _event(event.contents)))
        options.allow_remote = allow_remote
        if allow_remote or key is not None or allow is not None:
            from . import keys

            options.secret_key = keys.load(key).secret.encode()
            if allow is None or isinstance(allow, (str, os.PathLike)):
                options.allow_file = os.fsencode(keys.folder() / "allowed" if allow is None else allow)
            else:
                options.allowed_keys, options.allowed_key_count = _strings(allow)
        made = c_void_p()
        create = (lib.eff_bridge_create_learner if isinstance(served, Learner)
                  else lib.eff_bridge_create_controller if isinstance(served, Controller) else lib.eff_bridge_create)
        check(create(served._handle.value, byref(options), byref(made)))
        self._handle = Handle(made.value, lib.eff_bridge_destroy, "bridge", kept=options.on_event, after=served._handle)
        self.served = served

    @property
    def endpoint(self) -> str:
        """The address that was really bound."""
        return lib.eff_bridge_endpoint(self._handle.value).decode()

    def poll(self, timeout: float | None = None) -> Any:
        """Waits up to `timeout` seconds (None: without limit) for one frame and handles it; returns its `Event`, of
        kind "none" where nothing came."""
        event = eff_bridge_event.sized()
        check(lib.eff_bridge_poll(self._handle.value, -1 if timeout is None else round(1000 * timeout), byref(event)))
        return _event(event)

    def start(self) -> None:
        """Serves on a thread of its own."""
        check(lib.eff_bridge_start(self._handle.value))

    def stop(self) -> None:
        """Ends that thread; connections stay."""
        check(lib.eff_bridge_stop(self._handle.value))

    @property
    def stats(self) -> dict[str, Any]:
        """Counters since the beginning, {name: count}; `dropped` by reason; `tick`, `run` and `age` are of type
        `Latency`."""
        stats = eff_bridge_stats.sized()
        check(lib.eff_bridge_read_stats(self._handle.value, byref(stats)))
        values = {name: getattr(stats, name) for name, _ in stats._fields_ if name != "struct_size"}
        values["dropped"] = {_reason(i): stats.dropped[i] for i in range(REASONS) if stats.dropped[i]}
        for name in ("tick", "run", "age"):
            of = values[name]
            values[name] = Latency(of.count, of.sum, of.min, of.max, list(of.bins))
        return values


def _strings(names):
    names = [n.encode() for n in names]
    return ((c_char_p * len(names))(*names), len(names)) if names else (None, 0)


def _reason(code):
    return lib.eff_bridge_reason_name(code).decode()


def _event(event):
    kind = KINDS[event.kind] if event.kind < len(KINDS) else str(event.kind)
    return Event(kind, _reason(event.reason), *(getattr(event, name) for name in Event._fields[2:]))


def _guarded(function, event):
    try:
        function(event)
    except Exception:  # there is no caller to tell
        traceback.print_exc(file=sys.stderr)
