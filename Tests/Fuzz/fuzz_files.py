"""Structured mutations of what describes a robot: cards, their YAML and JSON sidecars, and recordings.

    EFFERENT_LIBRARY=... PYTHONPATH=bindings/python:Tests/Python \\
    python Tests/Fuzz/fuzz_files.py TARGET [--minutes M] [--seed S]

TARGET is card, sidecar or recording. Each mutated file must be read or refused with an error of ours: another
exception, a crash of the library or a file that takes more than 10 s of a core is a finding, kept in
.build/fuzz/findings. Give it a checked build of the library (swift build), in which a bad index or an overflow stops
the program. Seeds are those of the tests, and the files of the corpus of cards where it is there. Ends with the counts.
"""

import argparse
import io
import json
import math
import os
import random
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import efferent
import numpy as np

VALUES = [
    0,
    -1,
    1,
    2,
    0.5,
    1e-320,
    1e308,
    -1e308,
    2**53 + 1,
    -(2**63),
    2**64,
    math.nan,
    math.inf,
    None,
    True,
    False,
    "",
    "0",
    "a",
    "joint",
    "policy",
    "default",
    "raw",
    "first",
    "vector:obs",
    "memory:h",
    "\u00e9\u4e2d",
    "x" * 300,
    [],
    {},
    [0],
    [1, 0],
    [[0, 1]],
    {"a": 1},
    [None],
    [0.1] * 29,
]


def nodes(tree, path=()):
    yield path
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield from nodes(value, (*path, key))


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def mutate(tree, rng, others):
    """One to four changes of a copy of a tree: values, kinds, keys, lengths, and parts of other files."""
    tree = json.loads(json.dumps(tree))
    for _ in range(rng.choice([1, 1, 1, 2, 2, 4])):
        places = [p for p in nodes(tree) if p]
        if not places:
            return tree
        path = rng.choice(places)
        parent, key, value = at(tree, path[:-1]), path[-1], at(tree, path)
        kind = rng.randrange(9)
        if kind == 0:
            del parent[key]
        elif kind == 1:
            parent[key] = rng.choice(VALUES)
        elif kind == 2 and isinstance(value, (int, float)) and not isinstance(value, bool):
            whole = int(value) if math.isfinite(value) else 0
            parent[key] = rng.choice([-value, value * 2, value + 1, value / 3, whole])
        elif kind == 3 and isinstance(value, list) and value:
            rng.choice([value.pop, value.reverse, lambda v=value: v.append(v[0]), lambda v=value: v.extend(v * 3)])()
        elif kind == 4 and isinstance(parent, dict):
            parent[str(key) + rng.choice(["x", "", "_", "2"])] = parent.pop(key)
        elif kind == 5 and isinstance(value, str):
            parent[key] = rng.choice([value[:-1], value + "x", value.upper(), value * 2, value.replace("_", "")])
        elif kind == 6:
            other = rng.choice(places)
            if other != path[:len(other)]:
                parent[key] = json.loads(json.dumps(at(tree, other), default=str))
        elif kind == 7:
            other = rng.choice(others)
            parent[key] = at(other, rng.choice(list(nodes(other))))
            tree = json.loads(json.dumps(tree, default=str))
        else:
            parent[key] = [value] if rng.random() < 0.5 else {"a": value}
    return tree


def damage(data, rng):
    """Bytes changed, removed, repeated."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        if not data:
            break
        i = rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind == 0:
            data[i] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[i] = rng.choice(b"\0\xff{}[]:,-\"'\n&*!|>%@`0")
        elif kind == 2:
            del data[i:i + rng.choice([1, 4, 50])]
        elif kind == 3:
            data[i:i] = data[i:i + rng.choice([1, 8, 40])] * rng.choice([1, 2, 30])
        else:
            del data[i:]
    return bytes(data)


def plain(value):
    """A tree of JSON, or None where the file is none."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return None


class Cards:
    suffix = ".json"

    def __init__(self):
        import test_preflight as t

        self.trees = [t.card(), t.rare()]
        from suites import CARD_MANIFEST, CARDS

        for case in CARD_MANIFEST["cases"]:
            self.trees.append(json.loads((CARDS / case["card"]).read_text()))

    def make(self, rng):
        text = json.dumps(mutate(rng.choice(self.trees), rng, self.trees)).encode()
        return damage(text, rng) if rng.random() < 0.25 else text

    def read(self, path):
        card = efferent.Card.load(path)
        assert efferent.Card.from_json(card.to_json()) == card


class Sidecars:
    suffix = ".yaml"

    def __init__(self):
        import test_presets
        import test_sidecars as t
        import yaml

        self.yaml, self.trees = yaml, [plain(x) for x in (t.DEPLOY, t.ENV, test_presets.GYM)]
        from suites import CARDS

        for path in sorted(Path(CARDS).rglob("*.y*ml"))[:60] if CARDS and Path(CARDS).exists() else ():
            try:
                tree = plain(yaml.safe_load(path.read_text()))
            except (yaml.YAMLError, UnicodeDecodeError):
                continue
            if isinstance(tree, dict) and path.stat().st_size < 60000:
                self.trees.append(tree)
        self.answers = [None, t.MOTORS, {**t.MOTORS, "patch": {"policy_period": 0.02, "control_period": 0.02}}, t.LEGS]

    def make(self, rng):
        tree = mutate(rng.choice(self.trees), rng, self.trees)
        text = self.yaml.safe_dump(tree, sort_keys=False, default_flow_style=rng.choice([None, True, False])).encode()
        return damage(text, rng) if rng.random() < 0.3 else text

    def read(self, path):
        efferent.Card.load(path, supplied=random.choice(self.answers))


class Recordings:
    suffix = ".npz"

    def __init__(self):
        import test_preflight as t

        self.folder = tempfile.mkdtemp()
        policy = efferent.Policy(t.network(Path(self.folder, "policy.onnx"), t.card()), state={})
        self.controller = t.opened(t.card(), policy)
        whole = efferent.preflight.record(self.controller)
        ticks = 40
        runs = int(whole["ran"][:ticks].sum())
        self.arrays = {k: v[:runs if k[:4] in ("obs.", "act.") else ticks] if v.ndim and len(v) > ticks else v
                       for k, v in whole.items() if k != "card"}

    def make(self, rng):
        arrays = dict(self.arrays)
        for _ in range(rng.choice([0, 1, 1, 2])):
            key = rng.choice(list(arrays))
            v = arrays[key]
            kind = rng.randrange(8)
            if kind == 0:
                del arrays[key]
            elif kind == 1 and v.ndim:
                arrays[key] = v[:rng.randrange(len(v) + 1)]
            elif kind == 2:
                kind = rng.choice(["f4", "f8", "i1", "u8", ">f8", "U9", "c16", "f2"])
                arrays[key] = v.astype(kind, casting="unsafe") if v.dtype.kind in "fiub" else v
            elif kind == 3:
                arrays[key] = np.asfortranarray(v)
            elif kind == 4 and v.dtype.kind == "f" and v.size:
                arrays[key] = v.copy()
                arrays[key].reshape(-1)[rng.randrange(v.size)] = rng.choice([math.nan, math.inf, 1e300, -1e18, 0])
            elif kind == 5:
                arrays[rng.choice(["in.x", "obs.", "out.torque", "mode", "status", "resets", "joints"])] = v
            elif kind == 6:
                arrays[key] = v.reshape(1, *v.shape) if rng.random() < 0.5 else v.reshape(-1)
            else:
                arrays[key] = rng.choice(list(arrays.values()))
        file = io.BytesIO()
        with np.errstate(all="ignore"):
            (np.savez if rng.random() < 0.95 else np.savez_compressed)(file, **arrays)
        data = file.getvalue()
        if rng.random() < 0.6:  # within a member: its header most often, with a right checksum
            data = self.resealed(data, rng)
        return damage(data, rng) if rng.random() < 0.3 else data

    @staticmethod
    def resealed(data, rng):
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
            names = old.namelist()
            chosen = rng.choice(names) if names else None
            for name in names:
                content = old.read(name)
                if name == chosen:
                    head = rng.choice([80, 128, len(content)])
                    content = damage(content[:head], rng) + content[head:]
                new.writestr(name, content)
        return out.getvalue()

    def read(self, path):
        from efferent._library import check, lib
        from efferent._table_controller import eff_preflight_report, eff_recording

        recording, report = eff_recording.sized(), eff_preflight_report.sized()
        recording.path = os.fsencode(path)
        status = lib.eff_controller_preflight(self.controller._handle.value, recording, report)
        if status < 0:
            check(status)


TARGETS = {"card": Cards, "sidecar": Sidecars, "recording": Recordings}


def batch(target, path, numbers, pipe):
    """In a child: one file after another. Its last line says what came of them."""
    read = refused = 0
    for n in numbers:
        path.write_bytes(target.make(random.Random(n)))
        random.seed(n)
        began = time.process_time()
        try:
            target.read(path)
            read += 1
        except efferent.Error as e:
            refused += 1
            if len(str(e)) < 10:
                os.write(pipe, f"finding {n} a message of {len(str(e))} letters\n".encode())
        except Exception as e:  # noqa: BLE001  what is not ours is what is looked for
            os.write(pipe, f"finding {n} {type(e).__name__}: {str(e)[:200]!r}\n".encode())
        if time.process_time() - began > 10:
            os.write(pipe, f"finding {n} took {time.process_time() - began:.1f} s of a core\n".encode())
        os.write(pipe, f"at {n}\n".encode())
    os.write(pipe, f"done {read} {refused}\n".encode())


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("target", choices=TARGETS)
    arguments.add_argument("--minutes", type=float, default=1.0)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    np.seterr(all="ignore")
    target = TARGETS[given.target]()
    findings = Path(".build/fuzz/findings")
    findings.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(), "case" + target.suffix)
    end, number, totals, found = time.monotonic() + 60 * given.minutes, given.seed, [0, 0], []
    while time.monotonic() < end and len(found) < 20:
        numbers = range(number, number + 100)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            try:
                batch(target, path, numbers, write)
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as lines:
            last = number - 1
            for line in lines:
                word, *rest = line.split()
                if word == "at":
                    last = int(rest[0])
                elif word == "done":
                    totals = [t + int(r) for t, r in zip(totals, rest)]
                else:
                    found.append(line.strip())
                    n = int(rest[0])
                    (findings / f"{given.target}-{n}{target.suffix}").write_bytes(target.make(random.Random(n)))
        status = os.waitpid(child, 0)[1]
        if status != 0:
            n = last + 1
            found.append(f"finding {n} the program stopped with {status}")
            (findings / f"{given.target}-{n}{target.suffix}").write_bytes(target.make(random.Random(n)))
            number = n + 1
        else:
            number += 100
    print(*found, sep="\n", end="\n" if found else "")
    print(f"{given.target}: {number - given.seed} files, {totals[0]} read, {totals[1]} refused, {len(found)} findings, "
          f"{time.process_time():.0f} s of this process")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
