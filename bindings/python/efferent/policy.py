"""Policy: what a trainer exported, ready to run."""
from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from ctypes import byref, c_char_p, c_void_p
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ._library import Handle, Owner, check, lib
from ._table import (
    MAX_RANK,
    eff_constant_binding,
    eff_dim_binding,
    eff_layer,
    eff_policy_info,
    eff_policy_options,
    eff_state_pair,
    eff_tensor_spec,
)
from ._types import StrPath
from .errors import ArgumentError, MismatchError, StateError

if TYPE_CHECKING:
    from .session import Session

ROLES = ("observation", "action", "state", "aux")

# name in the C header (lower case) -> code, numpy type; numpy has no bfloat16: its bits travel as uint16
TYPES = {
    "f32": (1, np.float32), "u8": (2, np.uint8), "i8": (3, np.int8), "u16": (4, np.uint16), "i16": (5, np.int16),
    "i32": (6, np.int32),
    "i64": (7, np.int64), "bool": (9, np.bool_), "f16": (10, np.float16), "f64": (11, np.float64),
    "u32": (12, np.uint32), "u64": (13, np.uint64),
    "bf16": (16, np.uint16),
}
NAMES = {code: name for name, (code, _) in TYPES.items()}
CODES = {np.dtype(kind): code for name, (code, kind) in TYPES.items() if name != "bf16"}
WEIGHTS = ("f32", "f16", "bf16", "i8")


class Tensor(NamedTuple):
    """An input or an output. `shape` is that of one row; `dtype` is a numpy dtype; `type` is its name in the C header
    (bf16 has the dtype uint16)."""

    name: str
    shape: tuple
    dtype: np.dtype
    role: str
    type: str
    index: int
    pair: int  # role "state": index of the output (input) that belongs to this input (output); otherwise -1
    reason: str = ""  # why it has its role: "told", "by metadata", "by name", "only candidate", ...

    def __repr__(self):
        return f"{self.name} {self.type}{list(self.shape)} {self.role}"


class Layer(NamedTuple):
    """A dense or recurrent layer: `weights` is its storage, `parameters` their number without biases, `bytes` what they
    take (0: always f32)."""

    op: str
    weights: str
    parameters: int
    bytes: int


class Tensors(tuple):
    """Inputs or outputs in graph order; [] takes an index or a name."""

    def __getitem__(self, key):
        return self.find(key) if isinstance(key, str) else tuple.__getitem__(self, key)

    @property
    def names(self) -> list[str]:
        return [t.name for t in self]

    def find(self, name: str, what: str = "tensor") -> Tensor:
        for tensor in self:
            if tensor.name == name:
                return tensor
        raise ArgumentError(f"{what} '{name}' does not exist, expected one of {', '.join(self.names) or 'none'}")


class Policy(Owner):
    """An immutable policy, loaded from an ONNX file (a path) or from its bytes. Sessions keep it alive after `close`.

    dims       {"seq": 16, "obs[1]": 17, "batch": 1}: sizes of dimensions by name, by position, of the batch; unbound
               leading ones are 1
    constants  {"axes": array}: values of inputs that are fixed at load; these inputs disappear
    state      {"h_in": "h_out"}: recurrent state; recognized by name and shape where left out; {} for none
    action     name of the output that moves the robot; left out: as the metadata "efferent.action" says, one clear
               name, the only candidate
    observation  name of the input that `step` takes; the other inputs then keep what was written to them
    outputs    names of the outputs that are wanted, in order; left out: all. What none of them needs is left out
    weights    storage of the weights of dense and recurrent layers: "f32", "f16", "bf16" or "i8"; left out: as the
               metadata "efferent.weights" of the file says, "f32" without it
    layer_weights  the same for each of `layers`; None entries are as `weights`
    folder     for bytes: the folder of external data files
    memory_limit  bound in bytes on weights and tensors while loading; 0 for 4 GiB
    learnable  keeps a copy of the file, so that a Learner can start from the policy
    locked     keeps weights and plan from being paged out (mlock); MemoryError where RLIMIT_MEMLOCK is too low
    """

    def __init__(self, path: StrPath | bytes | bytearray | memoryview, dims: Mapping[str, int] | None = None,
                 constants: Mapping[str, ArrayLike] | None = None, state: Mapping[str, str] | None = None,
                 weights: str | None = None, *, layer_weights: Sequence[str | None] | None = None,
                 folder: StrPath | None = None, memory_limit: int = 0, learnable: bool = False,
                 action: str | None = None, observation: str | None = None,
                 outputs: Sequence[str] | None = None, locked: bool = False) -> None:
        self._chosen = {
            "dims": dims, "constants": constants, "state": state, "weights": weights, "layer_weights": layer_weights,
            "folder": folder,
            "memory_limit": memory_limit, "learnable": learnable, "action": action, "observation": observation,
            "outputs": outputs, "locked": locked}
        options = eff_policy_options()
        lib.eff_policy_options_default(byref(options), ctypes.sizeof(options))
        kept = []  # what options points to, until the load is over
        options.weights = _storage(weights, "weights")
        if layer_weights:
            options.layer_weights = (ctypes.c_int32 * len(layer_weights))(
                *[_storage(w, f"layer_weights[{i}]") for i, w in enumerate(layer_weights)]
            )
            options.layer_count = len(layer_weights)
        options.memory_limit = memory_limit
        options.learnable, options.locked = int(learnable), int(locked)
        if dims:
            options.dims = (eff_dim_binding * len(dims))(*[(str(k).encode(), int(v)) for k, v in dims.items()])
            options.dim_count = len(dims)
        if constants:
            options.constants = (eff_constant_binding
                                 * len(constants))(*[_constant(k, v, kept) for k, v in constants.items()])
            options.constant_count = len(constants)
        if state:
            options.states = (eff_state_pair
                              * len(state))(*[(str(k).encode(), str(v).encode()) for k, v in state.items()])
            options.state_count = len(state)
        options.no_state = int(state is not None and not state)
        if outputs is not None:
            if isinstance(outputs, str) or not outputs:
                raise ArgumentError(f"outputs is {outputs!r}, expected a list of names")
            options.outputs = (ctypes.c_char_p * len(outputs))(*[str(name).encode() for name in outputs])
            options.output_count = len(outputs)
        options.action = None if action is None else str(action).encode()
        options.observation = None if observation is None else str(observation).encode()
        if folder is not None:
            options.folder = os.fsencode(folder)

        made = c_void_p()
        if isinstance(path, (bytes, bytearray, memoryview)):
            data = np.frombuffer(path, np.uint8)
            self.path = None
            check(lib.eff_policy_load_memory(data.ctypes.data, data.size, byref(options), byref(made)))
        else:
            self.path = os.fspath(path)
            encoded = os.fsencode(self.path)
            if b"\0" in encoded:
                raise ArgumentError(f"path {self.path!r} has a NUL byte in it")
            check(lib.eff_policy_load_file(encoded, byref(options), byref(made)))
        self._adopt(made)

    @classmethod
    def _of(cls, made):
        """The policy behind a pointer, which this object gives back."""
        policy = cls.__new__(cls)
        policy.path = policy._chosen = None
        policy._adopt(made)
        return policy

    def __reduce__(self):
        """By path, options and hash: another process loads the same file, and refuses one that is no longer the
        same."""
        if self.path is None:
            raise StateError("a policy that was not loaded from a path cannot be pickled: load it from a file, or send "
                             "its bytes and load them there")
        return _reloaded, (os.path.abspath(self.path), {k: v for k, v in self._chosen.items() if v is not None},
                           self.hash)

    def _adopt(self, made):
        self._handle = Handle(made.value, lib.eff_policy_release, "policy")
        self.inputs = Tensors(self._spec(lib.eff_policy_input, i) for i in range(lib.eff_policy_input_count(made)))
        self.outputs = Tensors(self._spec(lib.eff_policy_output, i) for i in range(lib.eff_policy_output_count(made)))

    def _spec(self, describe, index):
        spec = eff_tensor_spec.sized()
        check(describe(self._handle.value, index, byref(spec)))
        kind = NAMES[spec.dtype]
        shape = tuple(spec.shape[: spec.rank])
        return Tensor(spec.name.decode(), shape, np.dtype(TYPES[kind][1]), ROLES[spec.role], kind, index, spec.pair,
                      spec.reason.decode())

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of the file, {key: value}."""
        return {k: lib.eff_policy_metadata(self._handle.value, k.encode()).decode()
                for k in _texts(lib.eff_policy_metadata_key, self._handle.value)}

    @property
    def info(self) -> SimpleNamespace:
        """Facts about the model and its plan, as in eff_policy_info: opset, ir_version, parameter_count, weight_bytes,
        arena_bytes, node_count, op_count, state_count, multiply_adds, isa, producer, unfused_op_count, state_bytes,
        peak_bytes, hash, step_refusal, operators."""
        info = eff_policy_info.sized()
        check(lib.eff_policy_describe(self._handle.value, byref(info)))
        values = {name: (getattr(info, name), kind) for name, kind in info._fields_ if name != "struct_size"}
        return SimpleNamespace(**{k: (v or b"").decode() if kind is c_char_p else v for k, (v, kind) in values.items()})

    @property
    def hash(self) -> int:
        """Which policy this is: XXH64 of the file's bytes, its external data, and the options that change what the
        policy does. The same on every processor; with default options and no external data that of the file, as `xxhsum
        -H64` prints it with `f"{policy.hash:016x}"`."""
        return self.info.hash

    @property
    def ops(self) -> list[str]:
        """The ops of the plan in order, as text such as "dense [48 -> 512] elu"."""
        return _texts(lib.eff_policy_op, self._handle.value)

    @property
    def notes(self) -> list[str]:
        """What was decided at load and the file does not say: pairs of state, inputs that nothing reads, why a step is
        refused."""
        return _texts(lib.eff_policy_note, self._handle.value)

    @property
    def action(self) -> Tensor | None:
        """The output that moves the robot; None where that is not decided (`info.step_refusal` says how to choose)."""
        return next((t for t in self.outputs if t.role == "action"), None)

    def _decided_action(self):
        if self.action is None:
            raise StateError(self.info.step_refusal)
        return self.action

    @property
    def layers(self) -> list[Layer]:
        """The dense and recurrent layers in order of execution."""
        found, ops = [], self.ops
        for i in range(self.info.layer_count):
            layer = eff_layer.sized()
            check(lib.eff_policy_layer(self._handle.value, i, byref(layer)))
            found.append(Layer(ops[layer.op], NAMES[layer.weights], layer.parameter_count, layer.bytes))
        return found

    @property
    def state(self) -> dict[str, str]:
        """Recurrent state that sessions carry, {input: output}."""
        return {t.name: self.outputs[t.pair].name for t in self.inputs if t.role == "state"}

    def session(self, rows: int = 1, seed: int = 0, first_row: int = 0, non_finite: str = "refuse",
                locked: bool = False) -> Session:
        """A running instance for up to `rows` independent robots.

        A stochastic policy draws for row r from the stream of (seed, first_row + r), which depends on no other row and
        begins anew at a reset. `non_finite` says what `step` does with NaN and infinities in observation or action:
        "refuse" raises NumericError and leaves recurrent state as it was, "pass" lets the policy see and the caller get
        them, "clear" makes each 0 and counts it (`Session.explain`). `locked` keeps arena and tables from being paged
        out, as `locked` of the policy does with its weights.
        """
        from .session import Session

        return Session(self, rows, seed, first_row, non_finite, locked)

    def __repr__(self):
        given, made = (", ".join(map(repr, tensors)) for tensors in (self.inputs, self.outputs))
        return f"Policy({self.path or 'bytes'}: {given} -> {made})"


def _reloaded(path, options, expected):
    """The policy that was pickled."""
    policy = Policy(path, **options)
    if policy.hash != expected:
        raise MismatchError(f"{path}: the policy has the hash {policy.hash:016x}, the pickled one had {expected:016x}: "
                            f"the file was changed")
    return policy


def _texts(function, handle):
    found = []
    while (text := function(handle, len(found))) is not None:
        found.append(text.decode("utf-8", "replace"))
    return found


def _storage(name, what):
    if name is None:
        return 0
    if name not in WEIGHTS:
        raise ArgumentError(f"{what} is {name!r}, expected one of {', '.join(WEIGHTS)}")
    return TYPES[name][0]


def _constant(name, value, kept):
    array = np.ascontiguousarray(value)
    if np.ndim(value) == 0:
        array = array.reshape(())
    if array.dtype not in CODES:
        raise ArgumentError(f"constant '{name}' is {array.dtype}, expected one of {', '.join(str(d) for d in CODES)}")
    if array.ndim > MAX_RANK:
        raise ArgumentError(f"constant '{name}' has rank {array.ndim}, expected at most {MAX_RANK}")
    kept.append(array)
    shape = (ctypes.c_int64 * MAX_RANK)(*array.shape)
    return str(name).encode(), CODES[array.dtype], array.ndim, shape, array.ctypes.data
