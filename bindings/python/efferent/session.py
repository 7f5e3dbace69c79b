"""Session: one running instance of a policy, up to `rows` independent robots in one arena."""
from __future__ import annotations

import ctypes
import mmap
import os
import resource
from collections.abc import Mapping
from ctypes import byref, c_size_t, c_void_p
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ._library import Handle, Owner, check, check_rt, error, lib
from ._table import eff_session_options, eff_session_swap_options
from .errors import ArgumentError, MemoryError_, ShapeError, StateError

if TYPE_CHECKING:
    from .policy import Policy

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)

# Forms of an array for a tensor of row shape `shape`:
EXACT = "exact"        # shape                   one row
ROWS = "rows"          # (rows, *shape)
# (rows, *shape[1:])      where shape[0] is 1: a leading batch axis of one makes room for the rows
SHORT = "short"
DROPPED = "dropped"    # shape[1:]               where shape[0] is 1: one row

NON_FINITE = ("refuse", "pass", "clear")  # by value of eff_non_finite


def _locked(size):
    """Bytes on pages of their own that stay in memory as long as an array of them lives."""
    block = np.frombuffer(mmap.mmap(-1, size), np.uint8)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlock(c_void_p(block.ctypes.data), c_size_t(size)) != 0:
        limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
        raise MemoryError_(f"{size} bytes of a session cannot be locked in memory: {os.strerror(ctypes.get_errno())}; "
                           f"the process may lock {limit} bytes (RLIMIT_MEMLOCK): raise it with 'ulimit -l' or "
                           f"LimitMEMLOCK=, or give the process CAP_IPC_LOCK")
    return block


class Session(Owner):
    """Made by `Policy.session`. Recurrent state starts at zero and is carried from step to step. One caller at a time.

    Views stay readable after `close`.
    """

    def __init__(self, policy: Policy, rows: int = 1, seed: int = 0, first_row: int = 0,
                 non_finite: str = "refuse", locked: bool = False) -> None:
        if rows < 1:
            raise ArgumentError(f"rows is {rows}, expected at least 1")
        if non_finite not in NON_FINITE:
            raise ArgumentError(f"non_finite is {non_finite!r}, expected {', '.join(map(repr, NON_FINITE))}")
        self.policy, self.rows = policy, int(rows)
        options = eff_session_options()
        lib.eff_session_options_default(byref(options), ctypes.sizeof(options))
        options.max_rows, options.seed, options.first_row = (
            self.rows,
            int(seed) & (2**64 - 1),
            int(first_row) & (2**64 - 1),
        )
        options.non_finite, options.locked = NON_FINITE.index(non_finite), int(locked)
        size = c_size_t()
        check(lib.eff_session_arena_size(policy._handle.value, byref(options), byref(size)))
        # the arena belongs to numpy, so that views of it outlive the session
        block = _locked(size.value + 64) if locked else np.zeros(size.value + 64, np.uint8)
        start = -block.ctypes.data % 64
        self._arena = block[start : start + size.value]
        self._base = self._arena.ctypes.data
        options.arena, options.arena_size = self._base, size.value
        made = c_void_p()
        check(lib.eff_session_create(policy._handle.value, byref(options), byref(made)))
        self._handle = Handle(made.value, lib.eff_session_destroy, "session", kept=self._arena)

        seen = [t for t in policy.inputs if t.role == "observation"]
        done = policy.action
        self._observation, self._action = (seen[0], done) if len(seen) == 1 and done is not None else (None, None)
        self._direct = self._observation is not None and self._observation.type == self._action.type == "f32"
        self._pointer = c_void_p(made.value)
        self._inputs, self._outputs = {t.name: t for t in policy.inputs}, tuple(policy.outputs)
        self._needed = frozenset(t.name for t in seen)
        self._views = {}
        # one row, the case of a robot: {form of the observation: (where it is written, where its action is read)};
        # empty where there is another case
        self._forms = {}
        if self._direct:
            self._prepare()

    def _prepare(self):
        into, action = np.zeros(self._observation.shape, np.float32), np.zeros(self._action.shape, np.float32)
        # made once: to convert arguments costs more than the call
        self._arguments = (self._pointer, c_size_t(1), c_void_p(into.ctypes.data), c_void_p(action.ctypes.data))
        self._call = lib.eff_session_step
        self._forms[(1, *into.shape)] = into[None], action[None]
        if into.ndim and into.shape[0] == 1:
            self._forms[into.shape[1:]] = into[0], action[0] if action.ndim and action.shape[0] == 1 else action
        self._forms[into.shape] = into, action

    # ---- the common case ----

    def step(self, observation: ArrayLike, out: np.ndarray | None = None) -> np.ndarray:
        """Runs the policy on one observation per row and returns the actions.

        For policies with one observation and one action. The observation has the shape of the input, with or without a
        leading axis of rows (at most `self.rows`); the action comes back in the same form: in a new array, or in `out`,
        of that shape and of the action's type.
        """
        if observation.__class__ is np.ndarray and (observation.dtype is F32 or observation.dtype is F64):
            form = self._forms.get(observation.shape)
            if form is not None:
                form[0][...] = observation
                status = self._call(*self._arguments)
                if status < 0:
                    self._refuse(status, "step")
                return form[1].copy() if out is None else _into(out, form[1])
        action = self._step(observation)
        return action if out is None else _into(out, action)

    def _step(self, observation):
        """The same for any form, type and number of rows."""
        if self._observation is None:
            raise StateError(f"step: {self.policy.info.step_refusal}")
        array, rows, form = self._fit(self._observation, observation)
        if not self._direct:
            self._memory(self._observation, rows)[...] = array.reshape(rows, *self._observation.shape)
            self._run(rows)
            return self._shaped(self._action, self._memory(self._action, rows).copy(), form)
        action = np.empty((rows, *self._action.shape), np.float32)
        status = lib.eff_session_step_n(self._handle.value, rows, array.ctypes.data, array.size, action.ctypes.data,
                                        action.size)
        if status < 0:
            self._refuse(status, "step")
        return self._shaped(self._action, action, form)

    # ---- any inputs and outputs ----

    def run(self, inputs: Mapping[str, ArrayLike] | None = None) -> dict[str, np.ndarray]:
        """Runs the policy on {name: array} and returns {name: array} of all outputs.

        Recurrent state may be left out, then the session carries it, or given, then it overrides. Without `inputs` it
        runs all rows on what the views of `input` hold.
        """
        rows, form = self.rows, EXACT if self.rows == 1 else ROWS
        if inputs and self._exact(inputs):
            rows, form = 1, EXACT
        elif inputs:
            fitted = []
            for name, value in inputs.items():
                tensor = self.policy.inputs.find(name, "input")
                fitted.append((tensor, *self._fit(tensor, value)))
            absent = [t.name for t in self.policy.inputs if t.role == "observation" and t.name not in inputs]
            if absent:
                raise ArgumentError(f"input '{absent[0]}' is missing: found {', '.join(inputs)}, expected "
                                    f"{', '.join(self.policy.inputs.names)}")
            rows = max(n for _, _, n, _ in fitted)
            for tensor, _, n, _ in fitted:
                if n != rows:
                    raise ShapeError(f"input '{tensor.name}' has {n} rows, expected {rows} as the other inputs")
            forms = {f for _, _, _, f in fitted}
            form = next(f for f in (ROWS, SHORT, EXACT, DROPPED) if f in forms)
            for tensor, array, _, _ in fitted:
                self._memory(tensor, rows)[...] = array.reshape(rows, *tensor.shape)
        self._run(rows)
        if form == EXACT:
            return {t.name: self._memory(t, 1)[0].copy() for t in self._outputs}
        return {t.name: self._shaped(t, self._memory(t, rows).copy(), form) for t in self._outputs}

    def _exact(self, inputs):
        """Writes inputs that all have their tensor's shape and type, one row, and nothing is missing. False where it
        wrote nothing."""
        fitted = []
        for name, value in inputs.items():
            tensor = self._inputs.get(name)
            if (
                tensor is None
                or value.__class__ is not np.ndarray
                or value.shape != tensor.shape
                or value.dtype != tensor.dtype
            ):
                return False
            fitted.append((tensor, value))
        if not self._needed <= inputs.keys():
            return False
        for tensor, value in fitted:
            self._memory(tensor, 1)[0, ...] = value
        return True

    def reset(self, row: int | None = None) -> None:
        """Clears the recurrent state of one row, or of all."""
        check_rt(lib.eff_session_reset(self._handle.value, -1 if row is None else self._row(row)),
                 f"reset of row {row}")

    def prewarm(self) -> None:
        """Touches what the next step will read, so that a step after a pause finds a warm cache."""
        check_rt(lib.eff_session_prewarm(self._handle.value), "prewarm")

    def prewarm_weights(self) -> None:
        """Reads the weights alone, where a pause is too short for `prewarm`. On the thread that steps or swaps."""
        check_rt(lib.eff_session_prewarm_weights(self._handle.value), "prewarm_weights")

    def explain(self) -> str:
        """The last refusal of `step` or `run` in words, and how many numbers were cleared; "" where there was
        neither."""
        return lib.eff_session_explain(self._handle.value).decode()

    # ---- zero-copy views ----

    def input(self, name: str) -> np.ndarray:
        """A view of the memory of an input, [rows, *shape] (shape alone where rows is 1), to be written before `run()`.

        The memory of an observation stays where it is; that of recurrent state moves with every run: ask again.
        """
        return self._view(self.policy.inputs.find(name, "input"))

    def output(self, name: str) -> np.ndarray:
        """A read-only view of the memory of an output, shaped as in `input`; valid until the next run."""
        return self._view(self.policy.outputs.find(name, "output"))

    # ---- other weights ----

    def swap(self, policy: Policy, reset_state: bool = False) -> None:
        """Offers a policy with the same plan and other weights; the next step or run adopts it, and with `reset_state`
        clears the recurrent state of all rows then. An offer that waits is replaced by a newer one."""
        options = eff_session_swap_options.sized()
        options.reset_state = int(reset_state)
        check(lib.eff_session_swap_with(self._handle.value, policy._handle.value, byref(options)))

    def reclaim(self) -> None:
        """Frees what the last adopted swap has replaced."""
        check(lib.eff_session_reclaim(self._handle.value))

    def __repr__(self):
        return f"Session(rows={self.rows}, {self.policy!r})"

    # ---- inside ----

    def _run(self, rows):
        status = lib.eff_session_run(self._pointer, rows)
        if status < 0:
            self._refuse(status, "run")

    def _refuse(self, status, what):
        self._handle.value  # says that it is closed, where it is
        raise error(status, f"{what}: {self.explain() or lib.eff_status_name(status).decode()}")

    def _row(self, row):
        if not -self.rows <= row < self.rows:
            raise ArgumentError(f"row is {row}, expected 0 to {self.rows - 1}")
        return row % self.rows

    def _memory(self, tensor, rows):
        """The first rows of a tensor's memory, [rows, *shape]."""
        writable = self._inputs.get(tensor.name) is tensor
        address = (lib.eff_session_input if writable else lib.eff_session_output)(self._pointer, tensor.index)
        # the memory of recurrent state moves between two places
        found = self._views.get((writable, tensor.index, rows, address))
        if found is not None:
            return found
        self._handle.value  # says that it is closed, where it is
        shape = (rows, *tensor.shape)
        size = int(np.prod(shape, dtype=np.int64)) * tensor.dtype.itemsize
        if size == 0:
            return np.empty(shape, tensor.dtype)
        if address is None:
            raise StateError(f"'{tensor.name}' has no memory in this session")
        offset = address - self._base
        if 0 <= offset and offset + size <= self._arena.size:
            view = self._arena[offset : offset + size].view(tensor.dtype).reshape(shape)
            view.flags.writeable = writable
            self._views[writable, tensor.index, rows, address] = view
            return view
        # outside the arena, such as a constant output: a copy, which cannot be written
        return np.frombuffer(ctypes.string_at(address, size), tensor.dtype).reshape(shape)

    def _view(self, tensor):
        memory = self._memory(tensor, self.rows)
        return memory[0] if self.rows == 1 else memory.view()

    def _fit(self, tensor, value):
        """`value` as a dense array of the tensor's type, its number of rows and the form that it came in."""
        found = np.asarray(value)
        shape, given = tensor.shape, found.shape
        one = len(shape) > 0 and shape[0] == 1
        if given == shape:
            rows, form = 1, EXACT
        elif given[1:] == shape and len(given) == len(shape) + 1:
            rows, form = given[0], ROWS
        elif one and given[1:] == shape[1:] and len(given) == len(shape):
            rows, form = given[0], SHORT
        elif one and given == shape[1:]:
            rows, form = 1, DROPPED
        else:
            wanted = f"{list(shape)}" + (f" or {list(shape[1:])}" if one else "")
            hint = ""
            if len(shape) > 1 and shape[0] > 1 and given in (shape[1:], (1, *shape[1:])):
                hint = (
                    f"; if {shape[0]} is the batch of the export, load with dims={{'{tensor.name}[0]': 1}} for one row"
                )
            raise ShapeError(f"input '{tensor.name}' is {list(given)}, expected {wanted}, with or without a leading "
                             f"axis of at most {self.rows} rows{hint}")
        if not 1 <= rows <= self.rows:
            raise ShapeError(f"input '{tensor.name}' has {rows} rows, expected 1 to {self.rows}, as the session was "
                             f"created")
        return self._typed(tensor, found), rows, form

    def _typed(self, tensor, found):
        want = tensor.dtype
        if found.dtype == want and (tensor.type != "bf16" or found.dtype == np.uint16):
            return np.ascontiguousarray(found)
        if tensor.type == "bf16":
            raise ShapeError(f"input '{tensor.name}' is {found.dtype}, expected bfloat16 as its bits in uint16")
        if not np.can_cast(found.dtype, want, "same_kind"):
            fits = found.dtype.kind in "iu" and want.kind in "iu" and found.size > 0
            fits = fits and found.min() >= np.iinfo(want).min and found.max() <= np.iinfo(want).max
            if not fits:
                raise ShapeError(f"input '{tensor.name}' is {found.dtype}, expected {want}")
        return np.ascontiguousarray(found, want)

    def _shaped(self, tensor, array, form):
        """An output [rows, *shape] in the form of the inputs."""
        one = len(tensor.shape) > 0 and tensor.shape[0] == 1
        if form == EXACT:
            return array[0]
        if form == SHORT and one:
            return array[:, 0]
        if form == DROPPED:
            return array[0, 0] if one else array[0]
        return array


def _into(out, action):
    """`out` with the action in it."""
    if out.__class__ is not np.ndarray or out.shape != action.shape or out.dtype != action.dtype:
        found = f"{out.dtype}{list(out.shape)}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ShapeError(f"out is {found}, expected {action.dtype}{list(action.shape)}")
    out[...] = action
    return out
