"""The corpora of ONNX policies and of policy cards, and how one of each is checked. Used by the tests and by
zoo_report.py.

EFFERENT_POLICIES, EFFERENT_ZOO and EFFERENT_CARDS name their folders (default ../shared/policies, zoo and cards beside
the checkout).
"""
import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np

import efferent

ROOT = Path(__file__).resolve().parents[2]


def folder(variable, name):
    """The folder of a corpus, or None: from the environment, or ../shared beside the checkout or one of its parents."""
    if variable in os.environ:
        return Path(os.environ[variable])
    for parent in ROOT.parents:
        if (parent / "shared" / name).is_dir():
            return parent / "shared" / name
    return None


POLICIES = folder("EFFERENT_POLICIES", "policies")
ZOO = folder("EFFERENT_ZOO", "zoo")
GOLDEN = folder("EFFERENT_GOLDEN", "golden/stream_x") or ROOT / "Tests/Golden"
CARDS = folder("EFFERENT_CARDS", "cards")
HAS_CARDS = CARDS is not None and (CARDS / "manifest.json").exists()
CARD_MANIFEST = json.loads((CARDS / "manifest.json").read_text()) if HAS_CARDS else {"cases": [], "negatives": []}


def module(path, name=None):
    """A Python file as a module, by its own name where none is given."""
    spec = importlib.util.spec_from_file_location(name or path.stem, path)
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


def card_check():
    """check.py of the corpus of cards, which is how acceptance compares."""
    return module(CARDS / "check.py", "cards_check")


def supplied(entry):
    """The answers that come with a case or refusal of the corpus of cards."""
    given = entry.get("supplied")
    return json.loads((CARDS / given).read_text()) if isinstance(given, str) else given


class Wrong(AssertionError):
    """An output that differs from the expected one."""


def compare(name, found, expected, atol, rtol, where=""):
    """Fails unless |found - expected| <= atol + rtol |expected|; integers and booleans must be equal. Returns the
    largest difference."""
    expected = np.asarray(expected)
    if found.shape != expected.shape:
        raise Wrong(f"{where}output '{name}' has shape {found.shape}, expected {expected.shape}")
    if found.dtype != expected.dtype:
        raise Wrong(f"{where}output '{name}' is {found.dtype}, expected {expected.dtype}")
    if found.size == 0:
        return 0.0
    a, b = found.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        d = np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b))
    bound = 0.0 if expected.dtype.kind in "iub" else atol + rtol * np.abs(b)
    bad = ~((d == 0) | (d <= bound))
    if bad.any():
        at = tuple(int(i) for i in np.argwhere(bad)[0])
        raise Wrong(f"{where}output '{name}' differs at {bad.sum()} of {bad.size} places, first {list(at)}: "
                    f"{a[at]:.9g}, expected {b[at]:.9g}")
    return float(d.max())


# ---- the trained policies ----


def policies():
    """Pairs (name, .onnx, .npz): beside each other, or folder/policy.onnx with folder.npz beside the folder."""
    if POLICIES is None or not POLICIES.is_dir():
        return []
    found = []
    for values in sorted(POLICIES.glob("*.npz")):
        name = values.name.removesuffix(".npz")
        for model in (POLICIES / f"{name}.onnx", POLICIES / name / "policy.onnx",
                      *sorted((POLICIES / name).glob("*.onnx"))):
            if model.is_file():
                found.append((name, model, values))
                break
    return found


def trajectories():
    """Triples (name, .onnx, .traj.npz)."""
    return [(name, model, t) for name, model, v in policies() if (t := v.with_suffix(".traj.npz")).is_file()]


def check_policy(model, values, atol=2e-5, rtol=2e-5):
    """All stored inputs of a trained policy, one at a time and, where it can be batched by rows, all at once. Returns
    the largest difference."""
    policy = efferent.Policy(model)
    data = np.load(values)
    inputs = {k[3:]: data[k] for k in data if k.startswith("in:")}
    outputs = {k[4:]: data[k] for k in data if k.startswith("out:")}
    if not set(inputs) <= set(policy.inputs.names):
        raise Wrong(f"the inputs are {policy.inputs.names}, expected {list(inputs)}")
    count = len(next(iter(inputs.values())))
    largest = 0.0
    one, all_ = policy.session(), policy.session(rows=count)
    for i in range(count):
        got = one.run({k: v[i] for k, v in inputs.items()})
        for k, v in outputs.items():
            largest = max(largest, compare(k, got[k], v[i], atol, rtol, f"sample {i}: "))
    got = all_.run(inputs)
    for k, v in outputs.items():
        largest = max(largest, compare(k, got[k], v, atol, rtol, f"{count} rows at once: "))
    return largest


def check_trajectory(model, values, tolerance=1e-4):
    """A recorded sequence, with the session carrying the recurrent state. Returns the largest difference."""
    policy = efferent.Policy(model)
    data = np.load(values)
    session = policy.session()
    expected = data["actions"] if "actions" in data else data["act"]
    largest = 0.0
    for i, observation in enumerate(data["obs"]):
        largest = max(largest, compare("action", session.step(observation), expected[i], tolerance, 0.0, f"step {i}: "))
    finals = {f"{k[0]}_out": data[k] for k in data if k.endswith("_final")}
    for name, final in finals.items():
        largest = max(largest,
                      compare(name, np.array(session.output(name)), final, tolerance, tolerance, "final state: "))
    return largest


# ---- the zoo ----


def zoo():
    """The records of manifest.json."""
    if ZOO is None or not (ZOO / "manifest.json").is_file():
        return []
    return json.loads((ZOO / "manifest.json").read_text())


def _dims(record, arrays):
    """Symbolic dimensions bound so that the inputs have the shapes of `arrays`."""
    bound = {}
    for spec, array in zip(record["inputs"], arrays):
        for dim, size in zip(spec["shape"], np.shape(array)):
            if isinstance(dim, str) and dim != "?":
                bound[dim] = int(size)
    return bound


def _tolerances(record):
    """(atol, rtol) of one output's expected values; quantized models may be one quantum off."""
    tolerance = record["tolerance"]
    if isinstance(tolerance["atol"], str):
        return lambda y: (quantum(y) * 1.01, 0.0)
    return lambda y: (tolerance["atol"], tolerance["rtol"])


def quantum(y):
    """The smallest step between the values of a quantized output."""
    levels = np.unique(np.abs(np.asarray(y, np.float64)))
    steps = np.diff(np.unique(np.concatenate([[0.0], levels])))
    steps = steps[steps > 1e-7]
    return float(steps.min()) if steps.size else 0.0


def check_zoo(record):
    """All stored sets or sequences of a zoo model. Returns the largest difference."""
    data = np.load(ZOO / record["npz"])
    return (_check_recurrent if record["kind"] == "recurrent" else _check_stateless)(record, data, _tolerances(record))


def _check_stateless(record, data, tolerances):
    largest, loaded = 0.0, {}
    names_in, names_out = [i["name"] for i in record["inputs"]], [o["name"] for o in record["outputs"]]
    every = {j: np.concatenate([np.ravel(data[f"s{k}_out{j}"]) for k in range(4)]) for j in range(len(names_out))}
    for k in range(4):
        arrays = [data[f"s{k}_in{i}"] for i in range(len(names_in))]
        dims = _dims(record, arrays)
        key = json.dumps(dims)
        if key not in loaded:
            loaded[key] = efferent.Policy(ZOO / record["file"], dims=dims).session()
        got = loaded[key].run(dict(zip(names_in, arrays)))
        for j, name in enumerate(names_out):
            largest = max(largest, compare(name, got[name], data[f"s{k}_out{j}"], *tolerances(every[j]), f"set {k}: "))
    return largest


def _check_recurrent(record, data, tolerances):
    largest = 0.0
    carried = {s["input"]: s["input_name"] for s in record["state"]}
    others = {i: spec["name"] for i, spec in enumerate(record["inputs"]) if i not in carried}
    arrays = [data[f"q0_init_in{i}"] if i in carried else data[f"q0_in{i}"][0] for i in range(len(record["inputs"]))]
    pairs = {s["input_name"]: s["output_name"] for s in record["state"]}
    session = efferent.Policy(ZOO / record["file"], dims=_dims(record, arrays), state=pairs).session()
    for q in range(4):
        session.reset()
        steps = len(data[f"q{q}_in{next(iter(others))}"])
        for t in range(steps):
            given = {name: data[f"q{q}_in{i}"][t] for i, name in others.items()}
            if t == 0 and q >= 2:  # sequences 0 and 1 start from the zero state that reset leaves
                given |= {name: data[f"q{q}_init_in{i}"] for i, name in carried.items()}
            got = session.run(given)
            for j, spec in enumerate(record["outputs"]):
                y = data[f"q{q}_out{j}"]
                largest = max(largest,
                              compare(spec["name"], got[spec["name"]], y[t], *tolerances(y),
                                      f"sequence {q} step {t}: "))
    return largest
