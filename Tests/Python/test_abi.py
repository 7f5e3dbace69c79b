"""Every function of the headers is called with every wrong number, handle and NULL, one at a time, in a child process:
a status or NULL, never a signal, never a hang. The cases are made from the headers, so a new function or field is tried
as soon as it is declared.
"""

import ctypes
import json
import mmap
import os
import signal
import sys
import tempfile
import time
from ctypes import byref, c_int32, c_int64, c_size_t, c_uint8, c_void_p, sizeof

import headers
import pytest
from efferent import _table, _table_bridge, _table_card, _table_controller, _table_learner
from efferent._library import FUNCTIONS as TABLE
from efferent._library import lib

TEXT = headers.source()
FUNCTIONS, PARAMETERS, FIELDS = headers.functions(TEXT), headers.parameters(TEXT), headers.fields(TEXT)
STRUCTS = {
    k: v
    for k, v in (
        vars(_table) | vars(_table_bridge) | vars(_table_learner) | vars(_table_card) | vars(_table_controller)
    ).items()
    if k in FIELDS
}
NUMBERS = {"int32_t", "int64_t", "size_t", "uint32_t", "uint64_t", "eff_status"}
HANDLES = {
    t.rstrip("*") for _, (_, ts) in FUNCTIONS.items() for t in ts if t.startswith("eff_") and t[-1] == "*"
} - set(FIELDS)
SIZES = {"0": 0, "1": 1, "SIZE_MAX": 2**64 - 1, "2^63": 2**63, "2^31": 2**31}
ARGUMENT, MEMORY_SIZE, NO_RESERVE = -1, 2**31 + 2**20, 0x4000
FLOATS = {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf"), "-1": -1.0, "1e308": 1e308}
# a pointer and its size that need not go together: memory that the library allocates where there is none
OPTIONAL = {"arena_size"}


class World:
    """Live objects of every kind; made when they are asked for."""

    def __init__(self):
        self.folder = tempfile.mkdtemp()
        self.made, self.kept = {}, []

    def __getattr__(self, name):
        if name not in self.made:
            self.made[name] = getattr(self, "make_" + name)()
        return self.made[name]

    def create(self, function, *arguments):
        out = c_void_p()
        status = getattr(lib, function)(*arguments, byref(out))
        assert status == 0, f"{function}: {status} {lib.eff_last_error().decode()}"
        return out.value

    def default(self, struct):
        made = STRUCTS[struct]()
        getattr(lib, f"{struct}_default")(byref(made), sizeof(made))
        return made

    def make_learner(self):
        return self.create("eff_learner_create", byref(self.learner_options()))

    def learner_options(self):
        options = self.default("eff_learner_options")
        options.observation_count, options.action_count, options.snapshots, options.hidden_count = 4, 2, 1, 1
        options.hidden = self.keep((c_size_t * 1)(8))
        options.critic_kind = 1  # gives a distribution, of 32 quantiles
        return options

    def make_policy(self):
        return self.create("eff_learner_policy", self.learner)

    def make_session(self):
        return self.create("eff_session_create", self.policy, None)

    def make_publisher(self):
        return self.create("eff_publisher_create", self.learner, self.session)

    def make_bridge(self):
        # a session of its own: two bridges never serve one
        return self.create("eff_bridge_create", self.make_session(), None)

    def make_card(self):
        text = b'{"efferent_card": 1}'
        return self.create("eff_card_load_memory", text, len(text), None)

    def make_controller(self):
        text = json.dumps(
            {
                "efferent_card": 1,
                "policy_period": 0.02,
                "control_period": 0.02,
                "joint_order": ["a", "b"],
                "joints": {j: {"default": 0.0, "kp": 1.0, "kd": 0.1} for j in "ab"},
                "models": [
                    {
                        "name": "policy",
                        "inputs": {"obs": {"from": "vector:obs"}},
                        "outputs": {"actions": {"to": "action"}},
                    }
                ],
                "vectors": {
                    "obs": {
                        "layout": "term_major",
                        "terms": [
                            {"name": "w", "op": "base_angular_velocity", "size": 3, "ages": [0], "fill": "first"},
                            {"name": "one", "op": "constant", "size": 1, "value": [1.0], "ages": [0], "fill": "first"},
                        ],
                    }
                },
                "actions": [
                    {
                        "name": "p",
                        "type": "position",
                        "model": "policy",
                        "output": "actions",
                        "index": [0, 1],
                        "joints": ["a", "b"],
                        "scale": 1.0,
                        "offset": "default",
                    }
                ],
            }
        ).encode()
        card = self.create("eff_card_load_memory", text, len(text), None)
        return self.create("eff_controller_create", card, byref(self.controller_options()))

    def controller_options(self):
        options = self.default("eff_controller_options")
        options.joints, options.joint_count = self.keep((ctypes.c_char_p * 2)(b"a", b"b")), 2
        options.models, options.model_count = (
            self.keep((_table_controller.eff_controller_model * 1)((b"policy", self.policy))),
            1,
        )
        return options

    def make_model(self):
        return self.file("model.onnx", self.bytes_of("eff_learner_export"))

    def make_checkpoint(self):
        return self.file("learner.ckpt", self.bytes_of("eff_learner_save"))

    def make_memory(self):
        """More than 2^31 readable and writable bytes, none of which is there before it is used."""
        block = mmap.mmap(-1, MEMORY_SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE)
        self.kept.append(block)
        return ctypes.addressof(c_uint8.from_buffer(block))

    def keep(self, thing):
        self.kept.append(thing)
        return thing

    def bytes_of(self, function):
        size = c_size_t()
        assert getattr(lib, function)(self.learner, None, 0, byref(size)) == 0
        buffer = (c_uint8 * size.value)()
        assert getattr(lib, function)(self.learner, buffer, size.value, byref(size)) == 0
        return bytes(buffer)

    def file(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def destroy(self, kind, handle):
        {"eff_policy": lib.eff_policy_release, "eff_card": lib.eff_card_release}.get(
            kind, getattr(lib, f"{kind}_destroy", None)
        )(handle)

    def dead(self, kind):
        """A handle that was destroyed, and whose place a new object of its kind has taken."""
        name = kind.removeprefix("eff_")
        handle = getattr(self, name)
        if name == "policy":  # sessions and learners hold references of their own, which do not keep the handle alive
            handle = self.create("eff_learner_policy", self.learner)
        if name == "publisher":
            self.destroy(kind, handle)
            self.made.pop(name)
        else:
            handle = getattr(self, f"make_{name}")()
            self.destroy(kind, handle)
        self.keep(getattr(self, f"make_{name}")())
        return handle

    def close(self):
        for name in ("controller", "bridge", "publisher", "session", "policy", "learner", "card"):
            if name in self.made:
                self.destroy("eff_" + name, self.made[name])


def unmapped():
    """An aligned address of memory that was given back: to read it is a SIGSEGV."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype, libc.mmap.argtypes = c_void_p, [c_void_p, c_size_t, c_int32, c_int32, c_int32, c_int64]
    libc.munmap.argtypes = [c_void_p, c_size_t]
    address = libc.mmap(None, 4096, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    libc.munmap(address, 4096)
    return address


def hostile_handles(kind):
    """{what: function of a world that gives a value which is no live handle of this kind}."""
    found = {f"handle {k}": (lambda w, v=v: v) for k, v in SIZES.items() if v}
    found["NULL"] = lambda w: None
    found["a dead handle"] = lambda w: w.dead(kind)
    found["a dead handle, misaligned"] = lambda w: w.dead(kind) + 1
    found["a live handle, misaligned"] = lambda w: getattr(w, kind.removeprefix("eff_")) + 1
    found["memory of another library"] = lambda w: ctypes.addressof(w.keep((c_uint8 * 4096)()))
    found["memory that was unmapped"] = lambda w: unmapped()
    found["memory that was unmapped, misaligned"] = lambda w: unmapped() + 3
    for other in sorted(HANDLES - {kind}):
        found[f"a live {other}"] = lambda w, other=other: getattr(w, other.removeprefix("eff_"))
    return found


def struct(world, function, name, kind):
    """A struct of the caller, filled so that the call succeeds."""
    if kind == "eff_learner_options" and not name.startswith("out"):
        return world.learner_options()
    if kind == "eff_controller_options" and not name.startswith("out") and not function.endswith("_default"):
        return world.controller_options()
    if kind.endswith("_options"):
        return world.default(kind)
    made = STRUCTS[kind]()
    if FIELDS[kind][0][0] == "struct_size":
        made.struct_size = sizeof(made)
    if kind == "eff_signal_binding":
        made.name, made.data, made.count, made.dtype = b"goal", world.memory, 1, 1
    if kind == "eff_target_binding":
        made.data, made.count, made.dtype = world.memory, 2, 1
    if kind == "eff_recording":
        three, two = world.keep((ctypes.c_double * 3)()), world.keep((ctypes.c_double * 2)())
        array = _table_controller.eff_recorded_array
        made.arrays = world.keep((array * 2)(array(b"in.base.angular_velocity", three, 1, 3),
                                             array(b"out.position", two, 1, 2)))
        made.array_count = 2
    if kind == "eff_transition" and function != "eff_controller_reward":  # the observation is the controller's
        made.observation = ctypes.addressof(world.keep((ctypes.c_double * 4)()))
    return made


def valid(world, function, name, kind):
    """An argument with which the call succeeds, by its type and name. A new kind of parameter fails here until it is
    taught."""
    base = kind.rstrip("*")
    if kind in NUMBERS:
        if name == "struct_size":
            return sizeof(STRUCTS[PARAMETERS[function][0][1].rstrip("*")])
        if name in ("size", "capacity"):
            data = world.bytes_of(
                "eff_learner_save" if "save" in function or "restore" in function else "eff_learner_export"
            )
            ctypes.memmove(world.memory, data, len(data))
            return len(data)
        sized = {"eff_learner_read": 32, "eff_learner_write": 32, "eff_learner_returns": 32, "eff_bridge_crc32c": 32}
        return {
            "rows": 1,
            "row": 0,
            "index": 0,
            "count": sized.get(function),
            "timeout_ms": 0,
            "min_level": 0,
            "parts": 0,
        }.get(name, 0)
    if kind.startswith("f("):
        return TABLE[function][1][[n for n, _ in PARAMETERS[function]].index(name)]()
    if base in HANDLES and kind.count("*") == 1:
        return getattr(world, base.removeprefix("eff_"))
    if base in HANDLES:
        return byref(c_void_p())
    if base in STRUCTS:
        return byref(world.keep(struct(world, function, name, base)))
    if base == "char" and name in ("text", "public_key", "secret_key"):  # written by the library
        return ctypes.c_char_p(world.memory)
    if base == "char":
        if name == "path":
            if "load_file" in function:
                return world.model.encode()
            return (world.checkpoint if "restore" in function else os.path.join(world.folder, "out")).encode()
        return {"name": b"actor.w.l1.weight" if "learner" in function else b"observation", "key": b"key",
                "preset": b"intentional"}[name]
    if base == "size_t":
        return byref(world.keep(c_size_t()))
    if kind in ("float", "double"):
        return 0.5
    if base in ("void", "float", "double"):
        return None if name == "user" else world.memory
    raise AssertionError(f"{function}: parameter '{name}' is {kind}: teach Tests/Python/test_abi.py a valid value")


def cases(function):
    """[(what is wrong, function of a world that gives the arguments, whether the call must say so)]."""
    parameters = PARAMETERS[function]

    def arguments(world, place=None, wrong=None):
        found = [valid(world, function, n, k) if i != place else None for i, (n, k) in enumerate(parameters)]
        if place is not None:
            found[place] = wrong(world)
        return found

    found = [("nothing", arguments, False)]
    for place, (name, kind) in enumerate(parameters):
        base = kind.rstrip("*")
        if kind in NUMBERS:
            size = 8 if "64" in kind or kind == "size_t" else 4
            for what, value in SIZES.items():
                value = value % 2 ** (8 * size)
                if not kind.startswith(("u", "size")) and value >= 2 ** (8 * size - 1):
                    value -= 2 ** (8 * size)
                found.append((f"{name} = {what}", lambda w, p=place, v=value: arguments(w, p, lambda _: v), False))
        elif base in HANDLES and kind.count("*") == 1:
            for what, make in hostile_handles(base).items():
                found.append((f"{name} = {what}", lambda w, p=place, m=make: arguments(w, p, m), True))
        elif kind.endswith("*"):
            free = "or_null" in name or name == "user"
            found.append((f"{name} = NULL", lambda w, p=place: arguments(w, p, lambda _: None), not free))
        if (
            base in STRUCTS and kind.count("*") == 1 and not function.endswith(("_default", "_adapt"))
        ):  # these only write it
            for what, change, told in changes(base, name):
                def changed(w, p=place, base=base, name=name, change=change):
                    made = w.keep(struct(w, function, name, base))
                    change(w, made)
                    return arguments(w, p, lambda _: byref(made))

                # a preset looks at struct_size and policy alone: counts are checked where a learner is made
                told = told and not (function.endswith("_preset") and "_count" in what)
                found.append((f"{name}->{what}", changed, told))
    return found


def changes(kind, name):
    """[(what is wrong in a struct of the caller, function that makes it so, whether the call must say so)]."""
    found = []
    fields = FIELDS[kind]
    if name in (
        "out",
        "event_or_null",
        "update_or_null",
    ):  # written by the library: what it reads of them is their size
        fields = fields[:1]
    for i, (field, c) in enumerate(fields):
        before = fields[i - 1] if i else ("", "")
        def put(w, made, field=field, value=0):
            setattr(made, field, value)

        if c in NUMBERS:
            counts = before[1].endswith("*") and field.endswith(("_count", "arena_size"))
            pair = counts and field not in OPTIONAL
            bits = 64 if "64" in c or c == "size_t" else 32
            for what, value in SIZES.items():
                value %= 2**bits
                if not c.startswith(("u", "size")) and value >= 2 ** (bits - 1):
                    value -= 2**bits
                found.append((f"{field} = {what}", lambda w, m, f=field, v=value: put(w, m, f, v), pair and value > 1))
                if counts and value:
                    def both(w, m, f=field, v=value, p=before[0], t=type_in(kind, before[0])):
                        setattr(m, p, ctypes.cast(aligned(w), t) if t is not c_void_p else aligned(w))
                        setattr(m, f, v)

                    found.append((f"{field} = {what} with {before[0]}", both, pair and value > 1))

                    def alone(w, m, f=field, v=value, p=before[0]):
                        setattr(m, p, None)
                        setattr(m, f, v)

                    found.append((f"{field} = {what} with {before[0]} = NULL", alone, pair))
        elif c in ("double", "float"):
            for what, value in FLOATS.items():
                found.append((f"{field} = {what}", lambda w, m, f=field, v=value: put(w, m, f, v), False))
        elif c.rstrip("*") in HANDLES and c.count("*") == 1:
            for what, make in hostile_handles(c.rstrip("*")).items():
                if what != "NULL":
                    found.append((f"{field} = {what}", lambda w, m, f=field, g=make: put(w, m, f, g(w)), True))
        elif c.endswith("*") and type_in(kind, field)._type_.__class__ is str or c.startswith("f("):
            pass
        elif c.endswith("*") and not hasattr(type_in(kind, field), "_length_"):
            found.append((f"{field} = NULL", lambda w, m, f=field: put(w, m, f, None), False))
    return found


def type_in(kind, field):
    return dict((f, t) for f, t, *_ in STRUCTS[kind]._fields_)[field]


def aligned(world):
    """64-aligned zeroed memory: an arena, or one item of a list whose pointers are NULL."""
    block = world.keep((c_uint8 * (2**20 + 64))())
    return ctypes.addressof(block) + -ctypes.addressof(block) % 64


def outcome(function, result, must_tell):
    """What is wrong with a result, or None."""
    kind = FUNCTIONS[function][0]
    if kind == "eff_status":
        if result > 0 or result < -10:
            return f"status {result} is not in the list"
        return "EFF_OK, expected an error" if must_tell and result == 0 else None
    if kind == "void" or not must_tell or kind in ("int32_t", "uint32_t"):
        return None
    wanted = -1 if kind == "int64_t" else 0 if kind == "size_t" else None
    return None if result == wanted else f"{result}, expected {wanted}"


def child(function, first, pipe):
    """Runs the cases from `first` on, naming each before it is tried."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)  # ends a wait without limit, as the header says
    for number, (what, arguments, must_tell) in enumerate(cases(function)):
        if number < first:
            continue
        world = World()
        given = arguments(world)
        os.write(pipe, f"{number}\t{what}\t".encode())
        result = getattr(lib, function)(*given)
        wrong = outcome(function, result, must_tell)
        if what == "nothing" and FUNCTIONS[function][0] == "eff_status" and result == ARGUMENT:
            wrong = f"the arguments are meant to be right: {lib.eff_last_error().decode()}"
        os.write(pipe, f"{wrong or 'fine'}\n".encode())
        world.close()
    os.write(pipe, b"end\n")


def attempt(function, first):
    """(lines of a child, its exit status); kills it after a minute."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 3
        try:
            os.close(read)
            null = os.open(os.devnull, os.O_WRONLY)
            child(function, first, write)
            status = 0
        except BaseException as e:  # noqa: BLE001
            os.write(write, f"{type(e).__name__}: {e}\n".encode())
        finally:
            os._exit(status)
    os.close(write)
    deadline, text = time.monotonic() + 120, b""
    os.set_blocking(read, False)
    while True:
        try:
            piece = os.read(read, 1 << 16)
            if not piece:
                break
            text += piece
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                break
            time.sleep(0.002)
    os.close(read)
    return text.decode().split("\n"), os.waitpid(pid, 0)[1]


def trial(function):
    """What is wrong with a function: [case: what happened]."""
    found, first, tried = [], 0, 0
    while True:
        lines, status = attempt(function, first)
        for line in lines:
            if line.count("\t") == 2 and (parts := line.split("\t"))[2]:
                tried += 1
                if parts[2] != "fine":
                    found.append(f"{parts[1]}: {parts[2]}")
        if lines[-2:] == ["end", ""]:
            return found, tried
        number, what = lines[-1].split("\t")[:2] if "\t" in lines[-1] else (None, "before a case")
        if number is None or os.WIFEXITED(status):
            return [*found, f"the test itself failed: {lines[-2:]}"], tried
        found.append(
            f"{what}: {signal.Signals(os.WTERMSIG(status)).name}{' after two minutes' if os.WTERMSIG(status) == 9 else ''}"
        )
        first, tried = int(number) + 1, tried + 1
        if len(found) > 40:
            return [*found, "..."], tried


@pytest.mark.parametrize("function", FUNCTIONS)
def test_wrong_arguments_give_a_status(function):
    if "bridge" in function:
        try:
            getattr(lib, function)
        except Exception:
            pytest.skip("built without the bridge")
    found, tried = trial(function)
    assert not found, f"{function}: {len(found)} of {tried} calls:\n  " + "\n  ".join(found)


def test_every_parameter_is_tried():
    numbers = sum(1 for f in FUNCTIONS for w, *_ in cases(f) if w.endswith("= SIZE_MAX"))
    assert len(HANDLES) >= 5 and numbers > 60 and sum(len(cases(f)) for f in FUNCTIONS) > 1500


if __name__ == "__main__":
    for name in sys.argv[1:] or FUNCTIONS:
        problems, count = trial(name)
        print(name, count, *problems, sep="\n  ", flush=True)
