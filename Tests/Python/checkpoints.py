"""Writes checkpoints as trainers do, with numpy and pickle alone: torch's zip format, Stable-Baselines3 zips,
VecNormalize pickles."""
import base64
import io
import json
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np

STORAGES = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage", "u1": "ByteStorage",
            "bf16": "BFloat16Storage"}


def stand_in(module, name):
    """A class that pickles as module.name, without that module."""
    return type(name, (), {"__module__": module, "__qualname__": name})


class Present:
    """Puts stand-ins where pickle looks for them while it writes."""

    def __init__(self, *classes):
        self.classes = classes

    def __enter__(self):
        self.kept = {}
        for c in self.classes:
            parts = c.__module__.split(".")
            for i in range(1, len(parts) + 1):
                name = ".".join(parts[:i])
                self.kept.setdefault(name, sys.modules.get(name))
                if i == len(parts) or self.kept[name] is None:
                    sys.modules[name] = (
                        sys.modules[name]
                        if name in self.kept and self.kept[name] is None and name in sys.modules
                        else types.ModuleType(name)
                    )
            setattr(sys.modules[c.__module__], c.__qualname__, c)

    def __exit__(self, *_):
        for name, module in self.kept.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


class Call:
    """Pickles as a call of a function by name."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def torch_file(value, name="archive", **more):
    """What torch.save gives for containers of numpy arrays; {"bf16": bits} stands for a bfloat16 tensor. `more` are
    further members of the zip."""
    storages = {}
    rebuild = types.FunctionType((lambda *_: None).__code__, {}, "_rebuild_tensor_v2")
    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    kinds = {kind: stand_in("torch", kind) for kind in STORAGES.values()}

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            return item.key if isinstance(item, StorageKey) else None

    class StorageKey:
        def __init__(self, array, kind):
            at = str(len(storages))
            storages[at] = array.tobytes()
            self.key = ("storage", kinds[STORAGES[kind]], at, "cpu", array.size)

    def tensor(array, kind):
        strides = tuple(s // array.itemsize for s in np.ascontiguousarray(array).strides)
        return Call(rebuild, StorageKey(array, kind), 0, array.shape, strides, False, OrderedDict())

    def written(v):
        if isinstance(v, dict):
            if set(v) == {"bf16"}:
                return tensor(v["bf16"], "bf16")
            return OrderedDict((k, written(x)) for k, x in v.items())
        if isinstance(v, tuple):
            return tuple(map(written, v))
        return tensor(v, v.dtype.str[1:]) if isinstance(v, np.ndarray) else v

    out = io.BytesIO()
    with Present(rebuild, *kinds.values()):
        Pickler(out, protocol=2).dump(written(value))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as z:
        z.writestr(f"{name}/data.pkl", out.getvalue())
        z.writestr(f"{name}/byteorder", "little")
        for key, data in storages.items():
            z.writestr(f"{name}/data/{key}", data)
        for key, data in more.items():
            z.writestr(f"{name}/{key.replace('_', '.')}", data)
    return made.getvalue()


def space(kind, **state):
    """An object that pickles as a gymnasium space."""
    module = {"Box": "box", "Discrete": "discrete", "MultiDiscrete": "multi_discrete", "MultiBinary": "multi_binary",
              "Dict": "dict"}[kind]
    made = stand_in(f"gymnasium.spaces.{module}", kind)()
    made.__dict__.update(state)
    return made


def box(low, high, shape=None, dtype=np.float32):
    low = np.broadcast_to(np.asarray(low, dtype), shape or np.shape(low)).copy()
    return space("Box", dtype=np.dtype(dtype), _shape=low.shape, low=low,
                 high=np.broadcast_to(np.asarray(high, dtype), low.shape).copy(), _np_random=None)


def classes_of(value):
    found = [type(value)]
    for part in getattr(value, "spaces", {}).values():
        found += classes_of(part)
    return found


def serialized(value):
    with Present(*classes_of(value)):
        return base64.b64encode(pickle.dumps(value)).decode()


def sb3_zip(state, observation, action, policy_kwargs=None, **more):
    data = {"observation_space": {":type:": "space", ":serialized:": serialized(observation)},
            "action_space": {":type:": "space", ":serialized:": serialized(action)},
            "policy_kwargs": policy_kwargs or {}, **more}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as z:
        z.writestr("data", json.dumps(data))
        z.writestr("policy.pth", torch_file(state))
        z.writestr("_stable_baselines3_version", "2.9.2")
    return made.getvalue()


def vec_normalize(mean, var, clip=10.0, epsilon=1e-8, return_var=None):
    Statistics = stand_in("stable_baselines3.common.running_mean_std", "RunningMeanStd")
    Wrapper = stand_in("stable_baselines3.common.vec_env.vec_normalize", "VecNormalize")

    def rms(m, v):
        made = Statistics()
        made.mean, made.var, made.count = m, v, 1e-4
        return made

    made = Wrapper()
    made.norm_obs, made.clip_obs, made.epsilon = True, clip, epsilon
    made.obs_rms = {k: rms(mean[k], var[k]) for k in mean} if isinstance(mean, dict) else rms(mean, var)
    made.ret_rms = rms(np.zeros(()), np.ones(()))
    if return_var is not None:
        made.norm_reward, made.ret_rms = True, rms(np.zeros(()), np.array(return_var))
    with Present(Statistics, Wrapper):
        return pickle.dumps(made)


def dense(rng, sizes, prefix, bias=True):
    """Tensors of prefix0, prefix2, ...: a Sequential of Linear layers with activations between them."""
    state = {}
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        state[f"{prefix}{2 * i}.weight"] = rng.normal(size=(b, a)).astype(np.float32) / np.float32(np.sqrt(a))
        if bias:
            state[f"{prefix}{2 * i}.bias"] = rng.normal(size=b).astype(np.float32) * np.float32(0.1)
    return state


def run_dense(state, prefix, x, activation, final=None):
    """The same in f64."""
    numbers = sorted(int(k[len(prefix):].split(".")[0]) for k in state if k.startswith(prefix)
                     and k.endswith(".weight"))
    for n in numbers:
        x = x @ state[f"{prefix}{n}.weight"].astype(np.float64).T + state.get(
            f"{prefix}{n}.bias", np.float32(0)
        ).astype(np.float64)
        f = final if n == numbers[-1] else activation
        x = f(x) if f else x
    return x


def patched(data, member, change):
    """A zip with one member changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for i in old.infolist():
            new.writestr(i.filename, change(old.read(i)) if i.filename == member else old.read(i))
    return out.getvalue()


def huge_size(data, size):
    """The zip with every stored size replaced in its directory."""
    at = 0
    data = bytearray(data)
    while (at := data.find(b"PK\x01\x02", at)) >= 0:
        struct.pack_into("<I", data, at + 24, size)
        at += 4
    return bytes(data)
