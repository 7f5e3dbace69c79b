"""Reads what torch.save writes (the zip format of torch 1.6 and later) with numpy alone. Tensors stay in the file until
they are asked for."""
import io

import numpy as np

from ..errors import FormatError, UnsupportedError
from .archive import Archive
from .pickles import Name, loads, names, record
from .safetensors import Bfloat16

STORAGES = {
    "FloatStorage": np.float32, "DoubleStorage": np.float64, "HalfStorage": np.float16, "BFloat16Storage": np.uint16,
    "LongStorage": np.int64,
    "IntStorage": np.int32, "ShortStorage": np.int16, "CharStorage": np.int8, "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
OTHERS = ("UntypedStorage", "ComplexFloatStorage", "ComplexDoubleStorage", "QInt8Storage", "QUInt8Storage",
          "QInt32Storage")


class Tensor:
    """A tensor in a file: `shape` is known, `array()` reads it."""

    def __init__(self, storage, offset, shape, stride):
        self.storage, self.offset, self.shape, self.stride = storage, offset, tuple(shape), tuple(stride)

    @classmethod
    def rebuild(cls, storage, offset, shape, stride, *_):
        whole = isinstance(shape, tuple) and isinstance(stride, tuple) and len(shape) == len(stride) <= 64
        if not isinstance(storage, Storage) or not whole or not all(type(n) is int and 0 <= n < 1 << 40
                                                                    for n in (offset, *shape, *stride)):
            raise FormatError("a tensor has no storage, shape or strides")
        count, last = 1, offset
        for n, s in zip(shape, stride):
            count *= n
            last += (n - 1) * s
        if count and (last >= storage.count or count > storage.count):
            raise FormatError(f"a tensor of {list(shape)} does not fit into its storage of {storage.count} elements")
        return cls(storage, offset, shape, stride)

    def array(self):
        flat = self.storage.read()
        if 0 in self.shape:
            return np.zeros(self.shape, flat.dtype)
        strides = [s * flat.itemsize for s in self.stride]
        made = np.ascontiguousarray(np.lib.stride_tricks.as_strided(flat[self.offset:], self.shape,
                                                                    strides)).reshape(self.shape)
        return made.view(Bfloat16) if self.storage.kind == "BFloat16Storage" else made


class Storage:
    def __init__(self, archive, name, kind, count, swapped):
        self.archive, self.name, self.kind, self.count, self.swapped = archive, name, kind, count, swapped
        self.dtype = np.dtype(STORAGES[kind])
        found = archive.entries[name].file_size if name in archive else -1
        if found != count * self.dtype.itemsize:
            raise FormatError(f"the storage '{name}' has {max(found, 0)} bytes, expected {count * self.dtype.itemsize} "
                              f"for {count} elements ({kind})")

    def read(self):
        flat = np.frombuffer(self.archive.read(self.name), self.dtype)
        return flat.byteswap() if self.swapped else flat


ADMITTED = {
    **names("torch._utils", _rebuild_tensor_v2=Tensor.rebuild, _rebuild_tensor=Tensor.rebuild,
            _rebuild_parameter=lambda tensor, *_: tensor),
    **names("torch", **{kind: None for kind in (*STORAGES, *OTHERS)}), **names("torch.storage", UntypedStorage=None),
    **names("torch", Size=lambda items=(): tuple(items)), "torch device": record("torch device"),
    **names("torch",
            **{t: None
               for t in ("float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8",
                         "bool")}),
}


def load(data, what):
    """The object in a torch file as plain containers of `Tensor`."""
    if bytes(data[:2]) == b"\x80\x02" and b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19" in bytes(data[:32]):
        raise UnsupportedError(f"{what} is in torch's format from before 1.6; load it once with torch and save it "
                               f"again")
    archive = Archive(io.BytesIO(data), what)
    roots = sorted((n for n in archive.entries if n == "data.pkl" or n.endswith("/data.pkl")), key=len)
    if not roots:
        raise FormatError(f"{what} has no data.pkl: it was not written by torch.save")
    root = roots[0][: -len("data.pkl")]
    if root + "constants.pkl" in archive:
        raise UnsupportedError(f"{what} is a TorchScript module, which holds a program; give the training checkpoint "
                               f"it was exported from, or its ONNX export")
    order = archive.read(root + "byteorder") if root + "byteorder" in archive else b"little"
    storages = {}

    def storage(key):
        if (
            not isinstance(key, tuple)
            or len(key) < 5
            or key[0] != "storage"
            or not isinstance(key[1], Name)
            or not isinstance(key[2], str)
            or type(key[4]) is not int
            or key[4] < 0
        ):
            raise FormatError("a storage is not named as torch does")
        kind = key[1].text.split()[-1]
        if kind not in STORAGES:
            raise UnsupportedError(f"a tensor of {kind} is not supported, expected real numbers")
        if key[2] not in storages:
            storages[key[2]] = Storage(archive, f"{root}data/{key[2]}", kind, key[4], order != b"little")
        return storages[key[2]]

    return loads(archive.read(root + "data.pkl"), ADMITTED, storage, what)
