"""safetensors files with numpy alone: 8 bytes of header length, JSON, then the elements."""
import json
import struct

import numpy as np

from ..errors import FormatError, UnsupportedError

KEY = "efferent.architecture"
# bfloat16 travels as its bits, since numpy has no such type
DTYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I64": np.int64, "I32": np.int32,
    "I16": np.int16, "I8": np.int8,
    "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8, "BOOL": np.bool_,
}
NAMES = {np.dtype(v): k for k, v in DTYPES.items() if k != "BF16"}


class Bfloat16(np.ndarray):
    """The bits of bfloat16 numbers, uint16."""

    def widened(self):
        return (np.asarray(self).astype(np.uint32) << 16).view(np.float32)


def dumps(tensors, metadata=None, architecture=None):
    """The bytes of a safetensors file: {name: array}, {key: text} and the architecture that connects the tensors
    (Sources/Safetensors/FORMAT.md)."""
    header = {}
    metadata = dict(metadata or {})
    if architecture is not None:
        metadata[KEY] = json.dumps(architecture, allow_nan=False)
    if metadata:
        header["__metadata__"] = metadata
    parts, at = [], 0
    # wide elements first, so that every tensor lies at a multiple of its element size
    for name, array in sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize):
        dtype = "BF16" if isinstance(array, Bfloat16) else NAMES[array.dtype]
        data = np.ascontiguousarray(array).tobytes()
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + len(data)]}
        at += len(data)
        parts.append(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 64 + 56)  # the elements begin at a multiple of 64 bytes
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def loads(data, name="the file"):
    """{name: array} and {key: text} of the bytes of a safetensors file."""
    if len(data) < 10 or data[8:9] != b"{":
        raise FormatError(f"{name} is not a safetensors file")
    size = struct.unpack("<Q", data[:8])[0]
    if size > len(data) - 8:
        raise FormatError(f"{name} is cut short: its header takes {size} bytes, {len(data) - 8} follow")
    try:
        header = json.loads(bytes(data[8 : 8 + size]))
    except (ValueError, RecursionError) as e:
        raise FormatError(f"{name}: its header is not JSON: {e}") from None
    if not isinstance(header, dict):
        raise FormatError(f"{name}: its header is not an object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict):
        raise FormatError(f"{name}: __metadata__ is not an object")
    return {key: _tensor(f"{name}: tensor '{key}'", entry, memoryview(data)[8 + size :])
            for key, entry in header.items()}, metadata


def _tensor(what, entry, data):
    try:
        dtype, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
    except (TypeError, KeyError, ValueError):
        whole = False
    if not whole:
        raise FormatError(f"{what} has no dtype, shape and data_offsets of whole numbers")
    if dtype not in DTYPES:
        raise UnsupportedError(f"{what} has the dtype {dtype}, expected one of {', '.join(DTYPES)}")
    count = 1
    for n in shape:
        count *= n
    if not begin <= end <= len(data) or count * np.dtype(DTYPES[dtype]).itemsize != end - begin:
        raise FormatError(f"{what}: {dtype} {list(shape)} does not fit bytes {begin} to {end} of {len(data)}")
    array = np.frombuffer(data[begin:end], DTYPES[dtype]).reshape(shape)
    return array.view(Bfloat16) if dtype == "BF16" else array
