import argparse
import sys
import time

import numpy as np
import suites
from zero_extents import known, nets, nodes
from zero_extents.server import Efferent, Oracles

MOST_SHOWN = 60


class Run:
    def __init__(self, program, levels, only):
        self.servers = [Efferent(program, level) for level in levels]
        self.oracles = Oracles()
        self.only = only
        self.shown = {}
        self.spent = {}
        self.passed = self.failed = self.undefined = self.skipped = 0

    def report(self, where, problem):
        self.failed += 1
        key = (where.split(":")[0], problem[-80:])
        self.shown[key] = self.shown.get(key, 0) + 1
        if self.shown[key] == 1 and len(self.shown) <= MOST_SHOWN:
            print(f"FAIL {where}: {problem}", flush=True)

    def differs(self, found, expected):
        """How `found` differs from what an oracle says, or None."""
        if len(found) != len(expected):
            return f"{len(found)} outputs, expected {len(expected)}"
        for i, (a, b) in enumerate(zip(found, expected)):
            try:
                suites.compare(f"y{i}", a, b, 1e-4, 1e-4)
            except suites.Wrong as e:
                return str(e)
        return None

    def check(self, where, op, model, feeds, constants):
        """One model at every level: as it is, with all but its first input constant, and with all constant."""
        data = [k for k in feeds if k not in constants]
        plain, plain_feeds = nodes.made(model, feeds, set())
        expected = None
        asked = []
        forms = [set(constants), set(constants) | set(data[1:]), set(feeds)]
        for form in [f for i, f in enumerate(forms) if f not in forms[:i]]:
            bytes_, rest = nodes.made(model, feeds, form)
            for server in self.servers:
                t = time.monotonic()
                answer = server.run(bytes_, rest)
                self.spent[server.level] = self.spent.get(server.level, 0) + time.monotonic() - t
                place = f"{where}, {len(form)} constants, {server.level}"
                if answer.crash:
                    self.report(place, answer.crash)
                    continue
                if answer.unequal:
                    self.report(place, f"outputs {answer.unequal} of two equal rows differ")
                    continue
                if not asked:  # what is refused by all is not run anywhere
                    t = time.monotonic()
                    expected = None if op in known.CRASHES else self.oracles.run("onnxruntime", plain, plain_feeds)
                    self.spent["onnxruntime"] = self.spent.get("onnxruntime", 0) + time.monotonic() - t
                    asked.append("onnxruntime")
                problem = self.judge(answer, expected, asked, op, plain, plain_feeds)
                if problem:
                    self.report(place, problem)
                else:
                    self.passed += 1

    def judge(self, answer, expected, asked, op, plain, feeds):
        if expected is not None:
            if answer.refusal:
                if known.is_refused(op, answer.refusal):
                    return None
                shapes = [list(e.shape) for e in expected]
                return f"refused, onnxruntime gives {shapes}: {answer.refusal}"
            problem = self.differs(answer.arrays, expected)
            if problem is None:
                return None
        else:
            problem = None
            if answer.refusal:
                return None
        if "reference" not in asked:
            t = time.monotonic()
            asked += ["reference", self.oracles.run("reference", plain, feeds)]
            self.spent["reference"] = self.spent.get("reference", 0) + time.monotonic() - t
        reference = asked[asked.index("reference") + 1]
        if reference is not None and self.differs(answer.arrays, [np.asarray(r) for r in reference]) is None:
            return None
        if expected is None:
            self.undefined += 1
            return None
        return None if known.is_theirs(op, problem) else f"not as onnxruntime: {problem}"

    def constants_of(self, base):
        """The inputs that must be known at load, or None where the model is not supported."""
        constants = set()
        for _ in range(6):
            bytes_, rest = nodes.made(base.model, base.feeds, constants)
            answer = self.servers[-1].run(bytes_, rest)
            if answer.arrays is not None:
                return constants
            text = answer.refusal or ""
            if "computed while running" not in text:
                return None
            named = {k for k in base.feeds if f"('{k}')" in text}
            named = named or {k for k, a in base.feeds.items() if a.dtype.kind in "iub" or a.ndim == 0}
            if named <= constants:
                return None
            constants |= named
        return None

    def run(self):
        began = time.monotonic()
        operators = set()
        for base in nodes.bases():
            op = base.model.graph.node[0].op_type
            if self.only and self.only not in base.name:
                continue
            constants = self.constants_of(base)
            if constants is None:
                self.skipped += 1
                continue
            operators.add(op)
            t0 = time.monotonic()
            for what, feeds in nodes.variants(base, constants):
                self.check(f"{base.name} ({op}): {what}", op, base.model, feeds, constants)
            if time.monotonic() - t0 > 3:
                print(f"SLOW {base.name} {time.monotonic() - t0:.1f}", flush=True)
        print(f"{len(operators)} operators after {time.monotonic() - began:.0f} s; {self.skipped} node tests are not "
              "supported as they are")
        for name in nets.NETS:
            if self.only and self.only not in name:
                continue
            for what, sizes in [("as it is", nets.sizes_of(nets.NETS[name][0])), *nets.zeros(name)]:
                model, feeds, constants = nets.build(name, sizes)
                self.check(f"{name}: {what}", name, model, feeds, constants)
        print(f"{len(nets.NETS)} nets, all after {time.monotonic() - began:.0f} s; {self.undefined} values that no "
              "oracle gives")
        print(", ".join(f"{k} {v:.0f} s" for k, v in self.spent.items()))
        for s in [*self.servers, self.oracles]:
            s.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--level", action="append", default=[])
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    levels = args.level or [level for level in ("naive", "sse2", "avx2", "avx512", "neon")
                            if Efferent(args.program, level).run(*nodes.made(*smallest())).arrays is not None]
    print("levels:", ", ".join(levels))
    run = Run(args.program, levels, args.only)
    run.run()
    print(f"{run.passed} passed, {run.failed} failed")
    sys.exit(run.failed > 0)


def smallest():
    model, feeds, constants = nets.build("dense", nets.sizes_of(nets.NETS["dense"][0]))
    return model, feeds, constants


main()
