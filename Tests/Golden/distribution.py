"""Golden traces of critics that give a distribution, of risk measures and of the stock.

A plain PyTorch transcription of the equations in learner.h, which shares nothing with the library.

    /path/to/python Tests/Golden/distribution.py     (torch; writes distribution.npz beside it)

Every case is replayed by Tests/Python/test_distribution.py through the public interface.
"""
import json
import math
from pathlib import Path

import numpy as np
import torch

STEPS, INPUTS, HIDDEN, SIZE = 80, 4, 12, 8
CHECKPOINTS = (1, 10, 80)
GAMMA, LAMBDA, BETA2 = 0.9, 0.8, 0.999
CASES = {
    "q_quantile": {"algorithm": "stream-q", "critic_kind": "quantile"},
    "q_quantile_pinball_cvar": {"algorithm": "stream-q", "critic_kind": "quantile", "quantile_huber": 0.0,
                                "risk": "cvar",
                                "risk_level": 0.3, "optimizer": "adaptive-obgd"},
    "q_categorical_stock": {"algorithm": "stream-q", "critic_kind": "categorical", "risk": "cvar", "risk_level": 0.2,
                            "stock": 1, "stock_exploration": 0.0, "support_low": -3.0, "support_high": 2.0},
    "sarsa_quantile_spread": {"algorithm": "stream-sarsa", "critic_kind": "quantile", "risk": "spread",
                              "risk_weight": 0.5,
                              "quantile_huber": 0.2},
    "ac_quantile_stock": {"algorithm": "stream-ac-discrete", "critic_kind": "quantile", "risk": "cvar",
                          "risk_level": 0.25,
                          "stock": 1, "stock_exploration": 0.0, "risk_warmup": 40},
    "ac_quantile_cvar_intentional": {"algorithm": "stream-ac-discrete", "critic_kind": "quantile", "risk": "cvar",
                                     "optimizer": "intentional"},
    "ac_categorical_spread_intentional": {"algorithm": "stream-ac", "critic_kind": "categorical", "risk": "spread",
                                          "optimizer": "intentional", "support_low": -4.0, "support_high": 4.0},
    "td_two_hot": {"algorithm": "stream-td", "critic_kind": "two-hot", "support_low": -2.0, "support_high": 2.0},
    "td_hl_gauss": {"algorithm": "stream-td", "critic_kind": "hl-gauss", "optimizer": "intentional"},
    "td_categorical": {"algorithm": "stream-td", "critic_kind": "categorical", "optimizer": "adaptive-obgd"},
}


class Net(torch.nn.Module):
    def __init__(self, inputs, outputs, generator):
        super().__init__()
        self.l1 = torch.nn.Linear(inputs, HIDDEN)
        self.l2 = torch.nn.Linear(HIDDEN, HIDDEN)
        self.out = torch.nn.Linear(HIDDEN, outputs)
        for p in self.parameters():
            p.data.copy_(torch.from_numpy(generator.uniform(-0.5, 0.5, p.shape)))

    def forward(self, x):
        for layer in (self.l1, self.l2):
            x = layer(x)
            x = torch.nn.functional.leaky_relu(torch.nn.functional.layer_norm(x, x.shape), 0.01)
        return self.out(x)


class Welford:
    def __init__(self, n):
        self.count, self.mean, self.m2 = 0, np.zeros(n), np.zeros(n)

    def add(self, x):
        self.count += 1
        d = x - self.mean
        self.mean = self.mean + d / self.count
        self.m2 = self.m2 + d * (x - self.mean)

    def variance(self):
        return np.ones_like(self.mean) if self.count < 2 else self.m2 / (self.count - 1)


class Head:
    """What outputs say, and their errors."""

    def __init__(self, options, size):
        self.kind, self.size = options["critic_kind"], size
        self.huber = options.get("quantile_huber", 0.1)
        low, high = options.get("support_low", -10.0), options.get("support_high", 10.0)
        self.low, self.high = low, high
        if self.kind == "hl-gauss":
            self.edges = torch.linspace(low, high, size + 1, dtype=torch.float64)
            self.atoms = (self.edges[1:] + self.edges[:-1]) / 2
        else:
            self.atoms = torch.linspace(low, high, size, dtype=torch.float64)
        if self.kind == "quantile":
            self.u = torch.full((size,), 1 / size, dtype=torch.float64)
        else:
            self.u = self.atoms - self.atoms.mean()
            self.u = self.u / self.u.abs().sum()

    def read(self, y):
        """(values ascending, probabilities)"""
        y = y.detach().double()
        if self.kind == "quantile":
            return torch.sort(y).values, torch.full_like(y, 1 / self.size)
        return self.atoms, torch.softmax(y, 0)

    def errors(self, y, r, g, z, p):
        y = y.detach().double()
        if self.kind == "quantile":
            levels = (torch.arange(self.size, dtype=torch.float64) + 0.5) / self.size
            x = (r + g * z)[None, :] - y[:, None]
            side = levels[:, None] - (x < 0).double()
            each = side if self.huber == 0 else side.abs() * x.clamp(-self.huber, self.huber)
            return (each * p[None, :]).sum(1)
        m = torch.zeros_like(y)
        if self.kind == "hl-gauss":
            sigma = 0.75 * float(self.edges[1] - self.edges[0])
            center = min(max(float(r + g * (p * z).sum()), self.low), self.high)
            cdf = torch.special.ndtr((self.edges - center) / sigma)
            m = (cdf[1:] - cdf[:-1]) / (cdf[-1] - cdf[0])
        else:
            targets = [(r + g * float((p * z).sum()), 1.0)]
            if self.kind == "categorical":
                targets = [(r + g * float(a), float(b)) for a, b in zip(z, p)]
            width = (self.high - self.low) / (self.size - 1)
            for target, mass in targets:
                place = (min(max(target, self.low), self.high) - self.low) / width
                below = min(int(math.floor(place)), self.size - 2)
                m[below] += mass * (1 - (place - below))
                m[below + 1] += mass * (place - below)
        return m - torch.softmax(y, 0)


def quantile(z, p, level):
    cumulative = torch.cumsum(p, 0)
    return float(z[min(int((cumulative < level - 1e-12).sum()), len(z) - 1)])


def shortfall(z, p, b):
    return float((p * torch.clamp(z - b, max=0)).sum())


def moments(z, p):
    m = float((p * z).sum())
    return m, math.sqrt(float((p * (z - m) ** 2).sum()))


class Optimizer:
    def __init__(self, net, rule, kappa, eta, is_actor):
        self.net, self.rule, self.kappa, self.eta, self.is_actor = net, rule, kappa, eta, is_actor
        self.e = [torch.zeros_like(p) for p in net.parameters()]
        self.v = [torch.zeros_like(p) for p in net.parameters()]
        self.count, self.sigma, self.square, self.magnitude = 0, 0.0, 1.0, 0.0

    def trace(self, loss, delta, largest):
        """Brings the trace up to date; returns step, error and scales."""
        self.count += 1
        grads = torch.autograd.grad(loss, list(self.net.parameters()))
        decay = GAMMA * LAMBDA
        power = energy = norm = 0.0
        scales = []
        for e, v, g in zip(self.e, self.v, grads):
            e.mul_(decay).add_(g)
            s = torch.ones_like(e)
            if self.rule == "adaptive-obgd":
                v.mul_(BETA2).add_((1 - BETA2) * (delta * e) ** 2)
                s = torch.sqrt(v / (1 - BETA2**self.count) + 1e-8)
            elif self.rule == "intentional":
                v.mul_(BETA2).add_((1 - BETA2) * g**2)
                s = torch.sqrt(v / (1 - BETA2**self.count)) + 1e-8
                power += float((g**2 / s).double().sum())
                energy += float((e**2 / s).double().sum())
            norm += float((e.abs() / s).double().sum())
            scales.append(s)
        if self.rule == "intentional":
            self.sigma += (1 - decay) * (power - self.sigma)
            sigma = self.sigma / (1 - decay**self.count)
            step = self.eta / max(math.sqrt(sigma * energy), 1e-8)
            self.square = 0.9998 * self.square + 0.0002 * delta**2
            cap = 20 * math.sqrt(self.square / (1 - 0.9998**self.count))
            used = min(max(delta, -cap), cap)
            if self.is_actor:
                self.magnitude = 0.9998 * self.magnitude + 0.0002 * abs(used)
                used /= max(self.magnitude / (1 - 0.9998**self.count), 1e-12)
            return step, used, scales
        bound = max(abs(delta), 1, largest) * norm * self.kappa
        return (1 / bound if bound > 1 else 1.0), delta, scales


def objective(options, head, y, stock):
    """What Q and SARSA maximize, and the mean."""
    z, p = head.read(y)
    m, sd = moments(z, p)
    risk, level = options.get("risk", "none"), options.get("risk_level", 0.1)
    if risk == "cvar":
        if options.get("stock"):
            return shortfall(z, p, -stock), m
        b = quantile(z, p, level)
        return b + shortfall(z, p, b) / level, m
    return (m - options.get("risk_weight", 1.0) * sd if risk == "spread" else m), m


def best(options, head, rows, stock):
    return max(range(len(rows)), key=lambda a: objective(options, head, rows[a], stock))


def case(name, options, dtype):
    generator = np.random.default_rng(sum(map(ord, name)))
    torch.set_default_dtype(torch.float64 if dtype == "f64" else torch.float32)
    algorithm = options["algorithm"]
    choices = 3 if algorithm != "stream-td" else 0
    is_greedy = algorithm in ("stream-q", "stream-sarsa")
    has_actor = algorithm.startswith("stream-ac")
    is_continuous = algorithm == "stream-ac"
    if is_continuous:
        choices = 2
    has_stock = bool(options.get("stock"))
    inputs = INPUTS + has_stock
    head = Head(options, SIZE)
    critic = Net(inputs, SIZE * (choices if is_greedy else 1), generator)
    actor = Net(inputs, 2 * choices if is_continuous else choices, generator) if has_actor else None
    rule = options.get("optimizer", "obgd")
    to_critic = Optimizer(critic, rule, 2.0, 0.5, False)
    to_actor = Optimizer(actor, rule, 3.0, 0.05, True) if has_actor else None
    out = {}
    nets = {"critic": (critic, to_critic)} | ({"actor": (actor, to_actor)} if has_actor else {})

    def keep(prefix, what):
        for title, (net, optimizer) in nets.items():
            def flat(all_of):
                return np.concatenate([p.detach().numpy().ravel() for p in all_of])

            out[f"{prefix}.{title}.w"] = flat(net.parameters())
            if what == "all":
                out[f"{prefix}.{title}.e"] = flat(optimizer.e)

    keep("init", "weights")
    seen, returns = Welford(INPUTS), Welford(1)
    return_trace, stock, threshold = 0.0, 0.0, 0.0
    warmup = options.get("risk_warmup", 0)
    weight, final = options.get("risk_weight", 1.0), options.get("risk_level", 0.1)

    def level_after(updates):
        return final if updates >= warmup else 1 + (final - 1) * updates / warmup

    record = {k: [] for k in ("observation", "next", "reward", "terminated", "truncated", "action", "next_action",
                              "td_error", "value", "next_value", "value_spread", "value_cvar", "risk_error", "stock",
                              "step_critic", "used_critic")}

    def network_input(x, c):
        y = (x - seen.mean) / np.sqrt(seen.variance() + 1e-8)
        return np.append(y, min(max(c, -5), 5)) if has_stock else y

    def tensor(x):
        return torch.from_numpy(np.asarray(x)).to(torch.get_default_dtype())

    def rows(y):
        return y.reshape(-1, SIZE)

    raw, begins = generator.normal(size=INPUTS), True
    action = 0
    state = None
    for t in range(STEPS):
        if begins:
            seen.add(raw)
            if has_stock:
                def start(b):
                    y = rows(critic(tensor(network_input(raw, -b))))
                    return head.read(y[best(options, head, y, -b) if is_greedy else 0])

                z = start(threshold)[0]
                low, high = float(z[0]), float(z[-1])
                candidates = [low + (high - low) * (i + 0.5) / 16 for i in range(16)]
                threshold = max(candidates, key=lambda b: b + shortfall(*start(b), b) / level_after(t))
                stock = -threshold
            state = network_input(raw, stock)
            action = int(generator.integers(choices)) if choices else 0
        if algorithm != "stream-sarsa":
            action = int(generator.integers(choices)) if choices else 0
        done_action = generator.normal(size=choices) if is_continuous else np.array([float(action)])
        following = raw + 0.3 * generator.normal(size=INPUTS)
        reward = float(generator.normal() + following[0] - (3 if generator.random() < 0.1 else 0))
        terminated, truncated = t % 13 == 12, t % 29 == 28
        ends = terminated or truncated
        # the next state and its stock
        seen.add(following)
        return_trace = GAMMA * return_trace + reward
        returns.add(np.array([return_trace]))
        if ends:
            return_trace = 0.0
        r = reward / math.sqrt(float(returns.variance()[0]) + 1e-8)
        next_stock = min(max((stock + r) / GAMMA, -1e6), 1e6) if has_stock else 0.0
        next_state = network_input(following, next_stock)
        here, there = rows(critic(tensor(state))), rows(critic(tensor(next_state)))
        next_action = int(generator.integers(choices)) if choices else 0
        slot = action if is_greedy else 0
        next_slot = 0
        if algorithm == "stream-q":
            next_slot = best(options, head, there, next_stock)
        elif algorithm == "stream-sarsa":
            next_slot = next_action
        z, p = head.read(here[slot])
        zn, pn = head.read(there[next_slot])
        m, sd = moments(z, p)
        g = 0.0 if terminated else GAMMA
        next_value = float((zn * pn).sum())
        delta = r + g * next_value - m
        is_distribution = options["critic_kind"] in ("quantile", "categorical")
        b = quantile(z, p, final)
        cvar = b + shortfall(z, p, b) / final
        level = level_after(t + 1)
        b = quantile(z, p, level)
        risk_error = delta
        if options.get("risk") == "cvar":
            b = -stock if has_stock else b
            risk_error = (shortfall(r + g * zn, pn, b) - shortfall(z, p, b)) / level
        elif options.get("risk") == "spread":
            square = float((pn * (r + g * zn - m) ** 2).sum())
            risk_error = delta - weight * (square - sd**2) / (2 * max(sd, 0.01))
        for key, value in {"observation": raw, "next": following, "reward": reward, "terminated": terminated,
                           "truncated": truncated, "action": done_action, "next_action": next_action,
                           "td_error": delta, "value": m, "next_value": next_value,
                           "value_spread": sd if is_distribution else 0.0,
                           "value_cvar": cvar if is_distribution else 0.0, "risk_error": risk_error,
                           "stock": stock if has_stock else 0.0}.items():
            record[key].append(value)
        errors = head.errors(here[slot], r, g, zn, pn)
        common = float((head.u * errors).sum())
        if options["critic_kind"] != "quantile":
            common /= float((head.u**2).sum())
        moves = []
        if has_actor:
            y = actor(tensor(state))
            if is_continuous:
                mu, std = y[:choices], torch.nn.functional.softplus(y[choices:])
                normal = torch.distributions.Normal(mu, std)
                log_p, entropy = normal.log_prob(tensor(done_action)).sum(), normal.entropy().sum()
            else:
                eps = torch.finfo(y.dtype).eps
                probabilities = torch.softmax(y, 0)
                log = torch.log(probabilities.clamp(eps, 1 - eps))
                log_p, entropy = log[action], -(probabilities * log).sum()
            loss = -(log_p + 0.01 * float(np.sign(risk_error)) * entropy)
            step, used, scales = to_actor.trace(loss, risk_error, 0.0)
            moves += [(q, step * used * e / s) for q, e, s in zip(actor.parameters(), to_actor.e, scales)]
        loss = -(head.u.to(here.dtype) * here[slot]).sum()
        step, used, scales = to_critic.trace(loss, common, float(errors.abs().max()))
        share = 1.0 if common == 0 else used / common
        record["step_critic"].append(step)
        record["used_critic"].append(used)
        for (parameter, q), e, s in zip(critic.named_parameters(), to_critic.e, scales):
            if not parameter.startswith("out."):
                moves.append((q, step * used * e / s))
                continue
            first = (e / s).reshape(-1, SIZE, *e.shape[1:])[:, :1]
            first = first * (np.sign(float(head.u[0])) if rule != "obgd" else 1 / float(head.u[0]))
            each = (step * share * errors).to(e.dtype).reshape(1, SIZE, *[1] * (e.dim() - 1))
            moves.append((q, (each * first).reshape(e.shape)))
        with torch.no_grad():
            for q, move in moves:
                q -= move
        is_off_policy = algorithm == "stream-q" and action != best(options, head, here, stock)
        if ends or is_off_policy:
            for optimizer in (to_critic, to_actor):
                for e in optimizer.e if optimizer else []:
                    e.zero_()
        if t + 1 in CHECKPOINTS:
            keep(f"step{t + 1:02}", "all" if t + 1 == 10 else "weights")
        state, raw, stock, begins = next_state, following, next_stock, ends
        action = next_action
        if ends:
            raw = generator.normal(size=INPUTS)
    for key, values in record.items():
        out[f"trace.{key}"] = np.array(values, np.float64)
    return out


def main():
    arrays = {}
    for name, options in CASES.items():
        for dtype in ("f64", "f32"):
            for key, value in case(name, options, dtype).items():
                arrays[f"{name}.{dtype}/{key}"] = value
    arrays["cases"] = np.array(json.dumps({"cases": CASES, "size": SIZE, "hidden": [HIDDEN, HIDDEN], "gamma": GAMMA,
                                           "lambda_": LAMBDA, "checkpoints": CHECKPOINTS}))
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
