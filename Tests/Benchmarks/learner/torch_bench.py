"""Interleaves one act + update of the learner with the same in PyTorch: stream AC(lambda), 18-128-128-(6,6) by default.

    EFFERENT_LIBRARY=.../libefferent.so python torch_bench.py [--rounds 300]

The PyTorch side is written from the equations (arXiv 2410.14606): two networks, autograd, ObGD, running normalization, one thread. The learner
is called through ctypes, so its figure includes about a microsecond of Python per call.
"""
import argparse
import ctypes
import statistics
import time

import numpy as np
import torch
from torch.nn import functional as F

import efferent
from efferent._library import lib


class TorchActorCritic:
    """Stream AC(lambda) with ObGD, continuous actions."""

    def __init__(self, inputs, actions, hidden):
        def net(outputs):
            sizes = [(inputs, hidden), (hidden, hidden), (hidden, outputs)]
            return [p.requires_grad_() for i, o in sizes for p in (torch.randn(o, i) / i**0.5 * (torch.rand(o, i) > 0.9), torch.zeros(o))]

        self.actor, self.critic, self.actions = net(2 * actions), net(1), actions
        self.traces = [[torch.zeros_like(p) for p in n] for n in (self.actor, self.critic)]
        self.count, self.mean, self.m2 = 0, np.zeros(inputs), np.zeros(inputs)
        self.g, self.g_count, self.g_mean, self.g_m2 = 0.0, 0, 0.0, 0.0

    @staticmethod
    def forward(net, x):
        for i in (0, 2):
            x = F.leaky_relu(F.layer_norm(F.linear(x, net[i], net[i + 1]), (net[i].shape[0],)))
        return F.linear(x, net[4], net[5])

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

    def policy(self, s):
        mu, pre = self.forward(self.actor, s).split(self.actions)
        return torch.distributions.Normal(mu, F.softplus(pre))

    def act(self, s):
        with torch.no_grad():
            self.state, self.action = s, self.policy(s).sample()
        return self.action

    def update(self, observation, reward):
        following, r = self.normalize(observation), self.scale(reward)
        value = self.forward(self.critic, self.state)[0]
        with torch.no_grad():
            delta = (r + 0.99 * self.forward(self.critic, following)[0] - value).item()
        pi = self.policy(self.state)
        gain = pi.log_prob(self.action).sum() + 0.01 * np.sign(delta) * pi.entropy().sum()
        for net, traces, loss, kappa in ((self.actor, self.traces[0], -gain, 3.0), (self.critic, self.traces[1], -value, 2.0)):
            gradients = torch.autograd.grad(loss, net)
            with torch.no_grad():
                for e, g in zip(traces, gradients):
                    e.mul_(0.99 * 0.8).add_(g)
                bound = max(abs(delta), 1.0) * sum(e.abs().sum().item() for e in traces) * kappa
                for w, e in zip(net, traces):
                    w.add_(e, alpha=-delta / max(bound, 1.0))
        return following


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=18)
    parser.add_argument("--actions", type=int, default=6)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=300)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    stream = rng.normal(size=(997, args.inputs))
    ours = efferent.Learner(args.inputs, args.actions, hidden=[args.hidden] * 2)
    theirs = TorchActorCritic(args.inputs, args.actions, args.hidden)
    act, update, handle, transition = lib.eff_learner_act, lib.eff_learner_update, ours._handle.value, ours._transition
    pointer, addresses, action = ctypes.byref(transition), [row.ctypes.data for row in stream], ours._action.ctypes.data
    position, state = 0, theirs.normalize(stream[0])

    def one():
        nonlocal position
        act(handle, addresses[position], action)
        position = (position + 1) % len(stream)
        transition.observation, transition.reward = addresses[position], stream[position][0]
        update(handle, pointer, None)

    def other(i):
        nonlocal state
        theirs.act(state)
        state = theirs.update(stream[i % len(stream)], stream[i % len(stream)][0])

    for i in range(50):
        one(), other(i)
    a, b = [], []
    for i in range(args.rounds):
        t = time.perf_counter()
        for _ in range(20):
            one()
        a.append((time.perf_counter() - t) / 20 * 1e6)
        t = time.perf_counter()
        other(i)
        b.append((time.perf_counter() - t) * 1e6)
    ours_us, torch_us = statistics.median(a), statistics.median(b)
    print(f"AC {args.inputs}-{args.hidden}-{args.hidden}-({args.actions},{args.actions}) act + update, medians of {args.rounds} interleaved rounds: "
          f"efferent {ours_us:.1f} us, torch {torch.__version__} {torch_us:.0f} us, ratio {torch_us / ours_us:.0f}")


if __name__ == "__main__":
    main()
