"""Trains the flow policy of this folder on demonstrations and writes it as ONNX, its four steps unrolled.

    pip install -r examples/requirements-train.txt
    python examples/latent/train_flow.py

Flow matching (arXiv 2210.02747) of actions: a network says how fast an action that began as noise goes to a
demonstrated one. The file has two inputs: obs [1, 4], and noise [1, 2], which is standard normal.
"""
from __future__ import annotations

import argparse
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from reach import Reach, demonstrate

HERE = Path(__file__).parent
UNROLLED = 4


def network() -> torch.nn.Sequential:
    """Observation [4], action on its way [2] and time [1] -> its velocity [2]."""
    return torch.nn.Sequential(torch.nn.Linear(7, 128), torch.nn.SiLU(), torch.nn.Linear(128, 128), torch.nn.SiLU(),
                               torch.nn.Linear(128, 2))


def train(observations: torch.Tensor, actions: torch.Tensor, steps: int) -> tuple[torch.nn.Sequential, float]:
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    mean = 0.0
    for step in range(steps):
        rows = torch.randint(len(observations), (512,))
        target, noise, t = actions[rows], torch.randn(512, 2), torch.rand(512, 1)
        velocity = net(torch.cat([observations[rows], (1 - t) * noise + t * target, t], 1))
        loss = ((velocity - (target - noise)) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        mean = 0.99 * mean + 0.01 * float(loss.detach()) if step else float(loss.detach())
        if step % 1000 == 999:
            print(f"step {step + 1}/{steps}: loss {mean:.4f}", flush=True)
    return net, mean


def export(net: torch.nn.Sequential) -> onnx.ModelProto:
    """The Euler steps from noise to action as one graph."""
    nodes, weights, now = [], {}, "noise"
    for i, layer in enumerate(net[::2]):
        weights[f"w{i}"], weights[f"b{i}"] = layer.weight.detach().numpy().T.copy(), layer.bias.detach().numpy()
    weights["share"] = np.array([1 / UNROLLED], np.float32)
    weights["low"], weights["high"] = np.array(-1, np.float32), np.array(1, np.float32)
    for k in range(UNROLLED):
        weights[f"t{k}"] = np.array([[k / UNROLLED]], np.float32)
        nodes.append(helper.make_node("Concat", ["obs", now, f"t{k}"], [f"x{k}"], axis=1))
        at = f"x{k}"
        for i in range(3):
            nodes.append(helper.make_node("Gemm", [at, f"w{i}", f"b{i}"], [f"y{k}.{i}"]))
            at = f"y{k}.{i}"
            if i < 2:
                nodes += [helper.make_node("Sigmoid", [at], [f"s{k}.{i}"]),
                          helper.make_node("Mul", [at, f"s{k}.{i}"], [f"h{k}.{i}"])]
                at = f"h{k}.{i}"
        nodes += [helper.make_node("Mul", [at, "share"], [f"d{k}"]), helper.make_node("Add", [now, f"d{k}"], [f"a{k}"])]
        now = f"a{k}"
    nodes.append(helper.make_node("Clip", [now, "low", "high"], ["actions"]))

    def port(name, width):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width])

    graph = helper.make_graph(nodes, "reach_flow", [port("obs", 4), port("noise", 2)], [port("actions", 2)],
                              [numpy_helper.from_array(np.ascontiguousarray(v, np.float32), k)
                               for k, v in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=HERE / "reach_flow.onnx")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    env, random = Reach(seed=args.seed), np.random.default_rng(args.seed)
    seen, done = [], []
    for _ in range(args.episodes):
        observations, actions = demonstrate(env, random)
        # and its mirror image, so that neither side is preferred
        seen += observations + [o * np.float32([-1, 1, -1, 1]) for o in observations]
        done += actions + [a * np.float32([-1, 1]) for a in actions]
    print(f"{2 * args.episodes} demonstrations, {len(seen)} steps")
    net, loss = train(torch.from_numpy(np.array(seen)), torch.from_numpy(np.array(done)), args.steps)
    onnx.save(export(net), args.out)
    card = {"command": f"python examples/latent/train_flow.py --episodes {args.episodes} --steps {args.steps} "
                       f"--seed {args.seed}", "loss": round(loss, 4),
            "versions": {name: version(name) for name in ("torch", "numpy", "onnx")}}
    args.out.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")
    print(f"{args.out}: {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
