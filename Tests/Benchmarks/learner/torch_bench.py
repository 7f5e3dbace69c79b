"""act + update of learners, interleaved with the same in PyTorch and with the bandwidth floor; see run.sh.

The PyTorch side is written from the equations (arXiv 2410.14606): autograd, ObGD, running normalization, one thread.
The floor reads weights and traces twice and writes them once, in AVX2 (act: reads the actor's weights). Ours are called
in a compiled loop, so no Python is between two calls.
"""

import argparse
import ctypes
import json
import os
import platform
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

CONTINUOUS, Q = 0, 2  # EFF_LEARNER_...
# name, algorithm, observations, actions, hidden, what, bar in microseconds with avx2 and sse2
CASES = [
    ("AC 18-128-128-(6,6)", CONTINUOUS, 18, 6, 128, "both", {"avx2": 15, "sse2": 25}),
    ("AC 18-128-128-(6,6), act alone", CONTINUOUS, 18, 6, 128, "act", {"avx2": 4}),
    ("AC 5-32-32-1", CONTINUOUS, 5, 1, 32, "both", {"avx2": 3}),
    ("Q 5-32-32-2", Q, 5, 2, 32, "both", {"avx2": 3}),
]


def network(inputs, hidden, outputs):
    sizes = [(inputs, hidden), (hidden, hidden), (hidden, outputs)]
    return [
        p.requires_grad_()
        for i, o in sizes
        for p in (torch.randn(o, i) / i**0.5 * (torch.rand(o, i) > 0.9), torch.zeros(o))
    ]


def forward(net, x):
    for i in (0, 2):
        x = F.leaky_relu(F.layer_norm(F.linear(x, net[i], net[i + 1]), (net[i].shape[0],)))
    return F.linear(x, net[4], net[5])


class Stream:
    """Normalization, reward scaling and ObGD, which all algorithms share."""

    def __init__(self, inputs):
        self.count, self.mean, self.m2 = 0, np.zeros(inputs), np.zeros(inputs)
        self.g, self.g_count, self.g_mean, self.g_m2 = 0.0, 0, 0.0, 0.0

    def normalize(self, x):
        self.count += 1
        d = x - self.mean
        self.mean = self.mean + d / self.count
        self.m2 = self.m2 + d * (x - self.mean)
        var = self.m2 / (self.count - 1) if self.count > 1 else np.ones_like(self.m2)
        return torch.from_numpy(((x - self.mean) / np.sqrt(var + 1e-8)).astype(np.float32))

    def scale(self, r):
        self.g = 0.99 * self.g + r
        self.g_count += 1
        d = self.g - self.g_mean
        self.g_mean += d / self.g_count
        self.g_m2 += d * (self.g - self.g_mean)
        return r / ((self.g_m2 / (self.g_count - 1) if self.g_count > 1 else 1.0) + 1e-8) ** 0.5

    @staticmethod
    def step(net, traces, loss, delta, kappa):
        gradients = torch.autograd.grad(loss, net)
        with torch.no_grad():
            for e, g in zip(traces, gradients):
                e.mul_(0.99 * 0.8).add_(g)
            bound = max(abs(delta), 1.0) * sum(e.abs().sum().item() for e in traces) * kappa
            for w, e in zip(net, traces):
                w.add_(e, alpha=-delta / max(bound, 1.0))


class ActorCritic(Stream):
    """Stream AC(lambda), continuous actions."""

    def __init__(self, inputs, actions, hidden):
        super().__init__(inputs)
        self.actor, self.critic, self.actions = (
            network(inputs, hidden, 2 * actions),
            network(inputs, hidden, 1),
            actions,
        )
        self.traces = [[torch.zeros_like(p) for p in n] for n in (self.actor, self.critic)]

    def policy(self, s):
        mu, pre = forward(self.actor, s).split(self.actions)
        return torch.distributions.Normal(mu, F.softplus(pre))

    def act(self, s):
        with torch.no_grad():
            self.state, self.action = s, self.policy(s).sample()

    def update(self, observation, reward):
        following, r = self.normalize(observation), self.scale(reward)
        value = forward(self.critic, self.state)[0]
        with torch.no_grad():
            delta = (r + 0.99 * forward(self.critic, following)[0] - value).item()
        pi = self.policy(self.state)
        gain = pi.log_prob(self.action).sum() + 0.01 * np.sign(delta) * pi.entropy().sum()
        self.step(self.actor, self.traces[0], -gain, delta, 3.0)
        self.step(self.critic, self.traces[1], -value, delta, 2.0)
        return following


class QLearning(Stream):
    """Stream Q(lambda), epsilon-greedy."""

    def __init__(self, inputs, actions, hidden):
        super().__init__(inputs)
        self.q, self.actions, self.random = network(inputs, hidden, actions), actions, np.random.default_rng(0)
        self.traces = [torch.zeros_like(p) for p in self.q]

    def act(self, s):
        with torch.no_grad():
            greedy = int(forward(self.q, s).argmax())
        self.action = int(self.random.integers(self.actions)) if self.random.random() < 0.01 else greedy
        self.state, self.explores = s, self.action != greedy

    def update(self, observation, reward):
        following, r = self.normalize(observation), self.scale(reward)
        value = forward(self.q, self.state)[self.action]
        with torch.no_grad():
            delta = (r + 0.99 * forward(self.q, following).max() - value).item()
        self.step(self.q, self.traces, -value, delta, 2.0)
        if self.explores:
            for e in self.traces:
                e.zero_()
        return following


class Theirs:
    def __init__(self, algorithm, inputs, actions, hidden):
        self.learner = (ActorCritic if algorithm == CONTINUOUS else QLearning)(inputs, actions, hidden)
        self.stream, self.at = np.random.default_rng(0).normal(size=(997, inputs)), 0
        self.state = self.learner.normalize(self.stream[0])

    def both(self):
        self.learner.act(self.state)
        self.at = (self.at + 1) % len(self.stream)
        self.state = self.learner.update(self.stream[self.at], self.stream[self.at][0])

    def act(self):
        self.learner.act(self.state)


def parameters(algorithm, inputs, actions, hidden, acts_alone):
    body = (inputs + 1) * hidden + (hidden + 1) * hidden
    actor = body + (hidden + 1) * (2 * actions if algorithm == CONTINUOUS else actions)
    return actor + (0 if algorithm == Q or acts_alone else body + hidden + 1)


def hot(loop, subject):
    """Times a few calls, which are seldom interrupted, after as many that bring back what the others of the round have
    driven out of the caches."""
    return lambda: (loop(subject, 5), loop(subject, 5))[1]


def subjects(loops, case):
    """{name: microseconds of a few calls} for one row of the table."""
    _, algorithm, inputs, actions, hidden, what, _ = case
    found = {}
    for level in ("avx2", "sse2"):
        os.environ["EFFERENT_ISA"] = level
        learner = loops.bench_learner(algorithm, inputs, actions, hidden)
        found[level] = hot(getattr(loops, f"bench_{what}"), learner)
    floor = loops.bench_floor(parameters(algorithm, inputs, actions, hidden, what == "act"))
    found["floor"] = hot(getattr(loops, f"bench_floor_{what}"), floor)
    theirs = getattr(Theirs(algorithm, inputs, actions, hidden), what)

    def torch_us():
        # a call is long enough to be interrupted by other processes: only its own time counts
        t = time.thread_time()
        theirs()
        return (time.thread_time() - t) * 1e6

    found["torch"] = torch_us
    return found


def machine():
    model = next(
        line.split(": ")[1] for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")
    )
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit,
        "date": time.strftime("%F %T UTC", time.gmtime()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loops", help="shared library of loops.cpp")
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--out", type=Path, help="write the results as JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    loops = ctypes.CDLL(os.path.abspath(args.loops))
    for name in ("bench_learner", "bench_floor"):
        getattr(loops, name).restype, getattr(loops, name).argtypes = ctypes.c_void_p, (
            [ctypes.c_int32] + [ctypes.c_size_t] * 3 if name == "bench_learner" else [ctypes.c_size_t]
        )
    for name in ("bench_both", "bench_act", "bench_floor_both", "bench_floor_act"):
        getattr(loops, name).restype, getattr(loops, name).argtypes = ctypes.c_double, [ctypes.c_void_p, ctypes.c_int]
    rows = []
    print(
        f"microseconds over {args.rounds} interleaved rounds; quiet: the fastest tenth, where a shared machine leaves the program alone\n"
        f"{'':46}torch     avx2  bar     sse2  bar    floor  torch / avx2  torch / sse2  avx2 / floor"
    )
    for case in CASES:
        found = subjects(loops, case)
        us = {name: [] for name in found}
        for k in range(args.rounds + 20):
            for name, call in found.items():
                value = call()
                if k >= 20:
                    us[name].append(value)
        bar = case[-1]
        row = {"case": case[0], "what": "act" if case[5] == "act" else "act + update", "bars_us": bar}
        for kind, pick in (("median", statistics.median), ("quiet", lambda values: sorted(values)[len(values) // 10])):
            m = {name: pick(values) for name, values in us.items()}
            row |= {f"{kind}_us": {name: round(value, 3) for name, value in m.items()}}
            print(
                f"{case[0]:32} {kind:8} {m['torch']:10.1f} {m['avx2']:8.2f} {bar.get('avx2', '-'):>4} {m['sse2']:8.2f} {bar.get('sse2', '-'):>4} {m['floor']:8.2f} "
                f"{m['torch'] / m['avx2']:13.0f} {m['torch'] / m['sse2']:13.0f} {m['avx2'] / m['floor']:13.2f}"
            )
        rows.append(row)
    if args.out:
        args.out.write_text(
            json.dumps(
                {
                    "machine": machine(),
                    "command": "bash Tests/Benchmarks/learner/run.sh",
                    "rounds": args.rounds,
                    "rows": rows,
                },
                indent=1,
            )
            + "\n"
        )


if __name__ == "__main__":
    main()
