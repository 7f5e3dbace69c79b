"""How few bits each layer of a policy may have: chosen by the action error over recorded observations, which is
measured and never assumed."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .errors import ArgumentError, FormatError
from .policy import Policy
from ._types import StrPath

if TYPE_CHECKING:
    from .policy import Policy

KEY = "efferent.weights"  # metadata of a file: storage of each layer, in order
FORMATS = ("i8", "bf16", "f16", "f32")  # from the smallest to the exact one


class Recording(NamedTuple):
    """Observations in order of time: {input name: [steps, ...]}, and where an episode begins [steps]."""

    inputs: dict
    starts: np.ndarray

    @staticmethod
    def load(path: StrPath, policy: Policy) -> Recording:
        """Reads an .npz with one array [steps, ...] per input (one of any name where the policy has one observation)
        and `starts` where given."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        starts = arrays.pop("starts", None)
        wanted = [t for t in policy.inputs if t.role == "observation"]
        if len(wanted) == 1 and len(arrays) == 1:
            arrays = {wanted[0].name: next(iter(arrays.values()))}
        for t in wanted:
            if t.name not in arrays:
                raise ArgumentError(f"{path}: found {', '.join(arrays) or 'no array'}, expected an array for the input "
                                    f"{t}")
            if arrays[t.name].size == 0:
                raise ArgumentError(f"{path}: the array of {t} is empty, expected at least one step")
        inputs = {t.name: arrays[t.name].reshape(-1, *t.shape).astype(t.dtype) for t in wanted}
        counts = {len(a) for a in inputs.values()} | ({len(starts)} if starts is not None else set())
        if len(counts) != 1:
            raise ArgumentError(f"{path}: the arrays have {sorted(counts)} steps, expected the same number in all")
        return Recording(inputs, np.asarray(starts, bool) if starts is not None else np.arange(counts.pop()) == 0)

    def save(self, path: StrPath) -> None:
        np.savez_compressed(path, starts=self.starts, **self.inputs)


def actions(policy: Policy, recording: Recording) -> np.ndarray:
    """The actions [steps, ...] of a policy over a recording; recurrent state is cleared where an episode begins."""
    name = policy._decided_action().name
    session = policy.session()
    found = []
    for i, start in enumerate(recording.starts):
        if start:
            session.reset()
        found.append(session.run({k: v[i] for k, v in recording.inputs.items()})[name])
    return np.asarray(found, np.float64)


class Choice(NamedTuple):
    weights: list  # storage of each layer
    error: float  # largest |action - f32 action| over the recording
    bytes: int  # of all weights
    layers: list


class Quantizer:
    """Measures a policy in any mix of storage. `open` makes the policy: open(layer_weights=[...])."""

    def __init__(self, open: Callable[..., Policy], recording: Recording) -> None:
        self.open, self.recording = open, recording
        exact = open(weights="f32")
        self.layers = exact.layers
        if not any(layer.bytes for layer in self.layers):
            raise ArgumentError("the policy has no dense or recurrent layer that could be stored in fewer bits")
        self.exact = actions(exact, recording)
        self.exact_bytes = exact.info.weight_bytes
        self.known = {}

    def measure(self, weights: Sequence[str]) -> Any:
        key = tuple(weights)
        if key not in self.known:
            policy = self.open(layer_weights=list(key))
            error = np.abs(actions(policy, self.recording) - self.exact)
            self.known[key] = Choice(list(key), float(np.nan_to_num(error, nan=np.inf).max()), policy.info.weight_bytes,
                                     policy.layers)
        return self.known[key]

    def alone(self, layer: int, weights: str) -> Any:
        """The error of one layer stored in fewer bits, the others in f32."""
        return self.measure([weights if i == layer else "f32" for i in range(len(self.layers))]).error

    def choose(self, bound: float) -> Any:
        """The smallest storage found whose measured error is within the bound: from i8 everywhere, the layer that alone
        errs most per byte is raised until the whole is within it, then whatever can be lowered again is."""
        weights = ["i8" if layer.bytes else "f32" for layer in self.layers]
        while self.measure(weights).error > bound:
            i = max((i for i, w in enumerate(weights) if w != "f32"),
                    key=lambda i: self.alone(i, weights[i]) / self.layers[i].bytes)
            weights[i] = FORMATS[FORMATS.index(weights[i]) + 1]
        for i in sorted(range(len(weights)), key=lambda i: -self.layers[i].bytes):
            for lower in FORMATS[: FORMATS.index(weights[i])] if self.layers[i].bytes else ():
                if self.measure(weights[:i] + [lower] + weights[i + 1:]).error <= bound:
                    weights[i] = lower
                    break
        return self.measure(weights)


def with_metadata(model: bytes, key: str, value: str) -> bytes:
    """The bytes of an ONNX model with one metadata entry set: ModelProto.metadata_props is field 14, its key 1 and its
    value 2."""
    if model[8:9] == b"{":
        raise FormatError("a safetensors file has no ONNX metadata: give the storage at load, layer_weights=[...]")
    kept, at = [], 0
    while at < len(model):
        begin = at
        tag, at = _varint(model, at)
        kind = tag & 7
        if kind == 0:
            _, at = _varint(model, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            size, at = _varint(model, at)
            at += size
        else:
            raise FormatError(f"the model has wire type {kind} at byte {begin}, expected 0, 1, 2 or 5")
        if not (tag == 14 << 3 | 2 and _field(1, key) in model[begin:at]):
            kept.append(model[begin:at])
    entry = _field(1, key) + _field(2, value)
    return b"".join(kept) + bytes([14 << 3 | 2]) + _size(len(entry)) + entry


def _varint(data, at):
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise FormatError(f"the model ends inside a number at byte {at}")
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def _size(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def _field(number, text):
    data = text.encode()
    return bytes([number << 3 | 2]) + _size(len(data)) + data


def record(policy: Policy, env: Any, steps: int, seed: int = 0) -> Recording:
    """A recording of `steps` steps of a policy in a gymnasium environment; episodes begin at `seed`, `seed` + 1, ..."""
    from ._spaces import actor, observer

    seen = [_Field.of(t) for t in policy.inputs if t.role == "observation"]
    done = policy._decided_action()
    observe, act = observer(env.observation_space, seen, {}), actor(env.action_space, _Field.of(done), clip=True)
    session, kept, starts, over, episode = policy.session(), {f.name: [] for f in seen}, [], True, 0
    for _ in range(steps):
        starts.append(over)
        if over:
            observation, _ = env.reset(seed=seed + episode)
            session.reset()
            episode += 1
        inputs = observe(observation)
        for name, value in inputs.items():
            kept[name].append(np.asarray(value, policy.inputs[name].dtype)[0])
        action = session.run({k: v[0] for k, v in inputs.items()})[done.name]
        observation, _, terminated, truncated, _ = env.step(act(action[None])[0])
        over = terminated or truncated
    return Recording({k: np.asarray(v) for k, v in kept.items()}, np.asarray(starts))


class _Field(NamedTuple):
    """A tensor as the converters of `_spaces` see it."""

    name: str
    shape: tuple
    type: np.dtype
    dtype: str
    count: int

    @staticmethod
    def of(tensor):
        return _Field(tensor.name, tensor.shape, tensor.dtype, tensor.type, int(np.prod(tensor.shape, dtype=np.int64)))

    def __str__(self):
        return f"{self.name} {self.dtype}{list(self.shape)}"
