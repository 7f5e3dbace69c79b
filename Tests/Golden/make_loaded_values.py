"""Golden traces of learners that begin with loaded networks: a plain PyTorch transcription, with autograd, in f64.

    python Tests/Golden/make_loaded_values.py Tests/Golden/loaded_values.npz

Needs torch and numpy, and nothing of Efferent. Two networks of values learn by Watkins Q(lambda) with ObGD (Elsayed,
Vasan, Mahmood 2024, algorithms 3 and 4): a dueling one, and the expectation of a categorical one (C51). A critic beside
a Gaussian actor learns by AC(lambda) with ObGD (algorithm 2). Rewards and observations are raw.
"""
import sys

import numpy as np
import torch

STEPS, OBSERVATIONS, CHOICES, ATOMS = 40, 5, 3, 11
GAMMA, LAMBDA, KAPPA_VALUE, KAPPA_POLICY, LR = 0.97, 0.7, 4.0, 30.0, 1.0
torch.set_default_dtype(torch.float64)


def layer(rng, outputs, inputs):
    numbers = (rng.standard_normal((outputs, inputs)) / np.sqrt(inputs), 0.1 * rng.standard_normal(outputs))
    return [torch.tensor(n.astype(np.float32)) for n in numbers]


def parameters(rng, shapes):
    """Numbers that f32 files hold exactly."""
    return [p.double().requires_grad_() for shape in shapes for p in layer(rng, *shape)]


def dueling(p, x):
    h = torch.relu(p[0] @ x + p[1])
    h = torch.tanh(p[2] @ h + p[3])
    advantage = p[6] @ h + p[7]
    return p[4] @ h + p[5] + advantage - advantage.mean()


def categorical(p, x):
    h = torch.relu(p[0] @ x + p[1])
    logits = (p[2] @ h + p[3]).reshape(CHOICES, ATOMS)
    return (torch.softmax(logits, 1) * torch.linspace(-5, 5, ATOMS)).sum(1)


def critic(p, x):
    h = torch.tanh(p[0] @ x + p[1])
    return p[2] @ h + p[3]


def actor(p, x):
    h = torch.relu(p[0] @ x + p[1])
    return p[2] @ h + p[3], torch.exp(p[4] @ h + p[5])


class ObGD:
    """Algorithm 3: the trace, and a step whose size is bounded."""

    def __init__(self, p, kappa):
        self.p, self.kappa, self.trace = p, kappa, [torch.zeros_like(q) for q in p]

    def step(self, objective, delta):
        """Adds the gradient of the objective, which is to grow; returns the step size."""
        for e, g in zip(self.trace, torch.autograd.grad(objective, self.p)):
            e.mul_(GAMMA * LAMBDA).add_(g)
        z = sum(float(e.abs().sum()) for e in self.trace)
        bound = max(abs(delta), 1.0) * z * LR * self.kappa
        size = LR / bound if bound > 1 else LR
        with torch.no_grad():
            for q, e in zip(self.p, self.trace):
                q.add_(size * delta * e)
        return size

    def reset(self):
        for e in self.trace:
            e.zero_()


def stream(rng):
    """Observations [STEPS + 1 + ends], rewards, and how transitions end: 1 terminated, 2 truncated."""
    x = rng.standard_normal((2 * STEPS, OBSERVATIONS)).astype(np.float32).astype(np.float64)
    ends = np.zeros(STEPS, np.int64)
    ends[11], ends[25] = 1, 2
    return x, rng.standard_normal(STEPS) * 3, ends


def q_trace(net, p, rng):
    x, rewards, ends = stream(rng)
    opt, out, at = ObGD(p, KAPPA_VALUE), [], 0
    actions = rng.integers(0, CHOICES, STEPS)
    for k in range(STEPS):
        s, s2 = torch.tensor(x[at]), torch.tensor(x[at + 1])
        q = net(p, s)
        # mostly greedy, as an epsilon-greedy policy is
        a = int(actions[k]) if k % 4 == 3 else int(q.argmax())
        actions[k] = a
        following = float(net(p, s2).detach().max())
        delta = rewards[k] + (0 if ends[k] == 1 else GAMMA * following) - float(q[a].detach())
        cut = ends[k] > 0 or a != int(q.argmax())
        size = opt.step(q[a], delta)
        out.append((float(q[a].detach()), following, delta, size))
        if cut:
            opt.reset()
        at += 2 if ends[k] else 1
    return dict(x=x, rewards=rewards, ends=ends, actions=actions, numbers=np.array(out))


def ac_trace(pv, pa, rng):
    x, rewards, ends = stream(rng)
    value, policy, out, at = ObGD(pv, KAPPA_VALUE), ObGD(pa, KAPPA_POLICY), [], 0
    actions = np.zeros((STEPS, 2))
    for k in range(STEPS):
        s, s2 = torch.tensor(x[at]), torch.tensor(x[at + 1])
        mean, std = actor(pa, s)
        actions[k] = (mean + std * torch.tensor(rng.standard_normal(2))).detach().numpy()
        v, following = critic(pv, s)[0], float(critic(pv, s2).detach()[0])
        delta = rewards[k] + (0 if ends[k] == 1 else GAMMA * following) - float(v.detach())
        log_probability = torch.distributions.Normal(mean, std).log_prob(torch.tensor(actions[k])).sum()
        sizes = policy.step(log_probability, delta), value.step(v, delta)
        out.append((float(v.detach()), following, delta, sizes[1], sizes[0]))
        if ends[k]:
            value.reset()
            policy.reset()
        at += 2 if ends[k] else 1
    return dict(x=x, rewards=rewards, ends=ends, actions=actions, numbers=np.array(out))


def arrays(prefix, p):
    return {f"{prefix}{i}": q.detach().numpy().copy() for i, q in enumerate(p)}


def main(path):
    rng, kept = np.random.default_rng(15), {}
    nets = {
        "dueling": (dueling, [(8, OBSERVATIONS), (6, 8), (1, 6), (CHOICES, 6)]),
        "categorical": (categorical, [(8, OBSERVATIONS), (CHOICES * ATOMS, 8)]),
    }
    for name, (net, shapes) in nets.items():
        p = parameters(rng, shapes)
        first = arrays(f"{name}.first.", p)
        found = q_trace(net, p, rng)
        kept |= first | arrays(f"{name}.last.", p) | {f"{name}.{k}": v for k, v in found.items()}
    pv = parameters(rng, [(6, OBSERVATIONS), (1, 6)])
    pa = parameters(rng, [(7, OBSERVATIONS), (2, 7), (2, 7)])
    first = arrays("critic.first.", pv) | arrays("actor.first.", pa)
    found = ac_trace(pv, pa, rng)
    kept |= first | arrays("critic.last.", pv) | arrays("actor.last.", pa) | {f"ac.{k}": v for k, v in found.items()}
    np.savez_compressed(path, **kept)


main(sys.argv[1])
