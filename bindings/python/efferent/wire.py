"""The lock-step protocol of the bridge as bytes: frames, checksums and the handshake. Sources/Bridge/PROTOCOL.md has
the tables."""

import functools
import struct
from typing import NamedTuple

import msgpack
import numpy as np

from .errors import Error, FormatError, MismatchError, ShapeError, TimeoutError_

MAGIC = 0x42464645
VERSION = 2
HEADER = struct.Struct("<IBBHIIQQQQQII")
HELLO, WELCOME, RESET, ACK, STEP, ACT, ERR, BYE, PING = range(1, 10)
FRAMES = ("", "HELLO", "WELCOME", "RESET", "ACK", "STEP", "ACT", "ERR", "BYE", "PING")
REASONS = (
    "ok",
    "malformed",
    "version",
    "checksum",
    "session",
    "schema",
    "episode",
    "sequence",
    "expired",
    "busy",
    "mismatch",
    "run",
    "superseded",
    "flags",
    "numeric",
)
ERROR_HEAD = struct.Struct("<IiII")
TYPES = {
    "f32": np.float32,
    "u8": np.uint8,
    "i8": np.int8,
    "u16": np.uint16,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
    "bool": np.bool_,
    "f16": np.float16,
    "f64": np.float64,
    "u32": np.uint32,
    "u64": np.uint64,
    "bf16": np.uint16,  # numpy has none: its bits
}


class BridgeError(Error):
    """The bridge refused a frame; `reason` is one of `REASONS`, `retry_after` the seconds after which to ask again,
    where it says so."""

    reason = "ok"
    retry_after = 0.0

    def __init__(self, message="", reason=None, retry_after=0.0):
        super().__init__(message)
        self.retry_after = retry_after
        if reason is not None:
            self.reason = reason


class BridgeTimeout(BridgeError, TimeoutError_):
    """The other side did not answer in time."""


class BridgeMismatch(BridgeError, MismatchError):
    """The plant does not fit the policy; the message names the field, what was found and what was expected."""

    reason = "mismatch"


class BridgeLost(BridgeError):
    """The bridge session is over: the other side restarted, closed, or gave it to another plant. Connect again."""

    reason = "session"


class Absent(Exception):
    """Nobody listens at an endpoint, which is told before anything is sent."""


class Header(NamedTuple):
    """The 64 bytes in front of every frame."""

    magic: int = MAGIC
    version: int = VERSION
    type: int = 0
    flags: int = 0
    step_time_us: int = 0
    episode: int = 0
    session: int = 0
    seq: int = 0
    ref_seq: int = 0
    monotonic_ns: int = 0
    simulation_ns: int = 0
    ttl_us: int = 0
    crc32c: int = 0


_CHUNK = 1024


@functools.cache
def _tables():
    """What byte b adds to the checksum when k bytes follow it, [k, b] flat, and where the k of each place of a chunk
    begins."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> 1) ^ np.where(table & 1, np.uint32(0x82F63B78), np.uint32(0))
    rows = [table]
    for _ in range(_CHUNK - 1):
        rows.append((rows[-1] >> 8) ^ table[rows[-1] & 0xFF])
    return np.concatenate(rows), 256 * np.arange(_CHUNK - 1, -1, -1, dtype=np.intp)


def slow_crc32c(data):
    """CRC-32C (Castagnoli) of bytes.

    The checksum is linear over XOR, so that a chunk is one gather and one reduction instead of a loop in Python.
    """
    table, places = _tables()
    data = np.frombuffer(data, np.uint8)
    state = 0xFFFFFFFF
    for start in range(0, data.size, _CHUNK):
        chunk = data[start:start + _CHUNK]
        if chunk.size < 4:  # a state of four bytes covers more than what is left
            for byte in chunk.tolist():
                state = (state >> 8) ^ int(table[(state ^ byte) & 0xFF])
            continue
        index = places[_CHUNK - chunk.size:] + chunk
        for i in range(4):
            index[i] ^= (state >> 8 * i) & 0xFF
        state = int(np.bitwise_xor.reduce(table[index]))
    return state ^ 0xFFFFFFFF


@functools.cache
def fast_crc32c():
    """A function (crc, bytes) -> crc that uses the processor's instruction, or None: from google-crc32c or from
    libefferent."""
    try:
        from google_crc32c import extend

        return extend
    except ImportError:
        pass
    try:
        from ._library import lib

        extend = lib.eff_bridge_crc32c
    except (ImportError, OSError, AttributeError, Error):
        return None

    def by_library(crc, data):
        view = np.frombuffer(data, np.uint8)
        return extend(crc, view.ctypes.data, view.size)

    return by_library


def crc32c(data, crc=0):
    """CRC-32C (Castagnoli) of bytes, going on from `crc`."""
    fast = fast_crc32c()
    if fast is not None:
        return fast(crc, bytes(data) if isinstance(data, (bytearray, memoryview)) else data)
    if crc:
        raise NotImplementedError("without google-crc32c or libefferent a checksum cannot be continued")
    return slow_crc32c(data)


def checksum(frame):
    """Checksum of a frame: all of it but the last four bytes of the header."""
    view = memoryview(frame)
    if fast_crc32c() is None:
        return slow_crc32c(bytes(view[:60]) + bytes(view[64:]))
    return crc32c(bytes(view[64:]), crc32c(bytes(view[:60])))


def seal(frame):
    """Writes the checksum into the header of a writable frame."""
    struct.pack_into("<I", frame, 60, 0)
    struct.pack_into("<I", frame, 60, checksum(frame))
    return frame


def frame(type, body=b"", sealed=True, **fields):
    """A whole frame as bytes, with its checksum unless `sealed` is false."""
    out = bytearray(HEADER.pack(*Header(type=type, **fields)))
    out += body
    return bytes(seal(out) if sealed else out)


def read_header(data, sealed=True):
    """The header of a frame whose magic and version are right, and its checksum too where frames are `sealed`."""
    if len(data) < HEADER.size:
        raise FormatError(f"frame of {len(data)} bytes, expected at least {HEADER.size}")
    header = Header(*HEADER.unpack_from(data))
    if header.magic != MAGIC:
        raise FormatError(f"frame starts with {header.magic:#x}, expected {MAGIC:#x}")
    if header.version != VERSION:
        raise BridgeMismatch(f"protocol version {header.version}, expected {VERSION}", "version")
    if sealed and header.crc32c != (wanted := checksum(data)):
        raise FormatError(f"crc32c is {header.crc32c:#x}, expected {wanted:#x}")
    return header


def refusal(data):
    """The exception of an ERR frame."""
    if len(data) < HEADER.size + ERROR_HEAD.size:
        return FormatError(f"ERR frame of {len(data)} bytes")
    code, _, wait, _ = ERROR_HEAD.unpack_from(data, HEADER.size)
    reason = REASONS[code] if code < len(REASONS) else "unknown"
    text = bytes(data[HEADER.size + ERROR_HEAD.size:]).decode("utf-8", "replace")
    if reason in ("mismatch", "version"):
        return BridgeMismatch(text, reason)
    if reason in ("session", "schema"):
        return BridgeLost(text, reason)
    return BridgeError(text, reason, wait / 1000)


def fnv1a(data):
    """FNV-1a, 64 bits."""
    state = 0xCBF29CE484222325
    for byte in data:
        state = (state ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return state


class Field(NamedTuple):
    """One array of a frame: `[rows, *shape]` of `dtype` at `offset`."""

    name: str
    role: str
    dtype: str
    shape: tuple
    offset: int
    unit: str = ""        # what its numbers are measured in; "": any
    elements: tuple = ()  # names of its elements; (): unknown

    @property
    def count(self):
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def type(self):
        return np.dtype(TYPES[self.dtype])

    def __str__(self):
        return f"{self.dtype} {list(self.shape)}"

    def view(self, frame, rows):
        """The array inside a frame, without a copy."""
        return np.ndarray((rows, *self.shape), self.type, frame, self.offset)

    def fill(self, view, value):
        """Writes `value` into a view; dimensions of 1 may be missing. Floats may be narrowed, integers become floats,
        but no float becomes an integer."""
        value = np.asarray(value)
        if [d for d in value.shape if d != 1] == [d for d in view.shape if d != 1]:
            value = value.reshape(view.shape)
        else:
            raise ShapeError(
                f"input '{self.name}': found {value.dtype} {list(value.shape)}, "
                f"expected {self.dtype} {list(view.shape)}"
            )
        if self.dtype == "bf16" and value.dtype != np.uint16:
            bits = value.astype(np.float32).view(np.uint32)
            value = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)  # to nearest, ties to even
        if not np.can_cast(value.dtype, view.dtype, "same_kind"):
            raise ShapeError(f"input '{self.name}': {value.dtype} does not become {self.dtype}, expected {self}")
        np.copyto(view, value, casting="same_kind")


class Welcome:
    """What the library says of itself and its policy."""

    def __init__(self, body):
        told = unpack(body)
        try:
            self.session, self.schema, self.policy_hash, self.library = (
                told["session"],
                told["schema"],
                told["policy"],
                told["library"],
            )
            self.max_rows, self.rate, self.idle_timeout = told["max_rows"], told["rate"], told["idle_timeout_ms"] / 1000
            self.observations, self.joints = told["observations"], told["joints"]
            self.sealed, self.clock = told["checksum"] == "crc32c", told["clock"]
            self.fingerprint = told.get("fingerprint")  # of the bridge's key; None: nothing is encrypted
            layout = told["layout"]
            self.rows, self.step_size, self.act_size = layout["rows"], layout["step_size"], layout["act_size"]
            self.inputs, self.outputs = ([Field(f["name"], f["role"], f["dtype"], tuple(f["shape"]), f["offset"],
                                                f.get("unit", ""), tuple(f.get("elements", ()))) for f in layout[k]]
                                         for k in ("inputs", "outputs"))
            self.robot = told.get("robot")  # of a controller: pose, kp, kd and fallback, in the order of joints
        except (KeyError, TypeError, AttributeError) as e:
            raise FormatError(f"WELCOME: {type(e).__name__} {e}") from None
        for field in self.inputs + self.outputs:
            if field.dtype not in TYPES:
                raise MismatchError(f"'{field.name}' is of type {field.dtype}, which this client does not know")
        for fields, size, what in ((self.inputs, self.step_size, "STEP"), (self.outputs, self.act_size, "ACT")):
            for f in fields:
                if f.offset < HEADER.size or f.offset + self.rows * f.count * f.type.itemsize > size:
                    raise FormatError(f"WELCOME: '{f.name}' lies outside the {size} bytes of {what}")
        if fnv1a(msgpack.packb(layout)) != self.schema:
            raise FormatError("WELCOME: the schema hash is not that of its layout")


@functools.cache
def boot():
    """Tells the boot of this machine, where its monotonic clock begins; "" where it cannot be told."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def hello(rows=1, aux=False, policy=0, checksum=None, schema=0, **names):
    """The body of HELLO. `names`: inputs, outputs (lists of {name, dtype, shape, unit}), observations, joints (lists of
    names). `schema`: the hash of the only layout that is meant, units and order included. `checksum`: "crc32c",
    "none" or "any", which leaves it to the library; left out, "any" where this machine has a fast one."""
    checksum = checksum or ("any" if fast_crc32c() else "none")
    told = {
        "version": [VERSION, VERSION],
        "rows": rows,
        "aux": aux,
        "policy": policy,
        "checksum": checksum,
        "boot": boot(),
    }
    if schema:
        told["schema"] = schema
    for key, value in names.items():
        if key not in ("inputs", "outputs", "observations", "joints"):
            raise TypeError(f"HELLO has no '{key}'")
        if value is not None:
            told[key] = [{**v, "shape": list(v["shape"])} if isinstance(v, dict) and "shape" in v else v for v in value]
    return msgpack.packb(told)


FIXED = 0x0100  # flag of HELLO and WELCOME: the body is the fixed one
AUX, CRC32C, NO_CHECKSUM, SHARED_CLOCK = 1, 2, 4, 8  # options of the fixed bodies
_FIXED_HELLO, _FIXED_WELCOME = struct.Struct("<BBHIQQII16s16x"), struct.Struct("<BBHIQQIIIIdQI4x")


class FixedHello(NamedTuple):
    """The fixed body of HELLO, for plants that know the layout; 0 for what does not matter."""

    oldest: int = VERSION
    newest: int = VERSION
    options: int = 0
    rows: int = 1
    policy: int = 0
    schema: int = 0
    step_size: int = 0
    act_size: int = 0
    boot: bytes = bytes(16)

    def pack(self):
        return _FIXED_HELLO.pack(*self)


class FixedWelcome(NamedTuple):
    """The fixed body of WELCOME."""

    oldest: int
    newest: int
    options: int
    rows: int
    policy: int
    schema: int
    step_size: int
    act_size: int
    idle_timeout_ms: int
    max_rows: int
    rate: float
    received_ns: int
    library: int

    @classmethod
    def unpack(cls, body):
        if len(body) != _FIXED_WELCOME.size:
            raise FormatError(f"WELCOME: fixed body of {len(body)} bytes, expected {_FIXED_WELCOME.size}")
        return cls(*_FIXED_WELCOME.unpack(body))


def unpack(body):
    """A MessagePack map."""
    try:
        told = msgpack.unpackb(body, strict_map_key=True)
    except (ValueError, msgpack.UnpackException) as e:
        raise FormatError(f"handshake is not MessagePack: {e}") from None
    if not isinstance(told, dict):
        raise FormatError(f"handshake is a {type(told).__name__}, expected a map")
    return told
