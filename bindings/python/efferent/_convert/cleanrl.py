"""CleanRL: the agent of ppo_continuous_action (a state dict), and the actors of sac_continuous_action and
td3_continuous_action, alone or as the tuple (actor, qf1, qf2) that td3_continuous_action saves."""
import numpy as np

from ..errors import FormatError
from .learnable import FROZEN, values_of_actions
from .network import Network, State, function

HEADS = ("fc_mean", "fc_mu")  # SAC, TD3


def matches(root):
    first = root[0] if isinstance(root, (tuple, list)) and root else root
    return isinstance(first, dict) and any(f"{n}.weight" in first for n in ("actor_mean.0", *HEADS))


def convert(root, options):
    parts = root if isinstance(root, (tuple, list)) else [root]
    net = Network("cleanrl")
    if "actor_mean.0.weight" in parts[0]:
        _ppo(net, State(parts[0], "the checkpoint"), options)
    else:
        _off_policy(net, [p for p in parts if isinstance(p, dict)], options)
    return net


def _ppo(net, state, options):
    activation = _activation(net, options, "tanh")
    net.input("obs", (state.shape("actor_mean.0.weight")[-1],))
    net.sequence(state, "actor_mean.", activation)
    state.expect_used("actor_mean.")
    net.output("action")
    net.note("action: the mean; the wrappers that normalize observations and rewards and clip actions are not in the "
             "checkpoint")
    if not options.learnable:
        return
    if "actor_logstd" in state:
        net.constant("log_std", state.take("actor_logstd"))
        net.note("std: exp(actor_logstd), the same in every state")
    else:
        net.note("std: the checkpoint has none; the learner explores with its initial_std")
    if not state.has("critic."):
        net.note("critic: the checkpoint has none")
        return
    net.critic = Network("cleanrl")
    net.critic.input("obs", net.inputs[0]["shape"])
    net.critic.sequence(state, "critic.", activation)
    state.expect_used("critic.")
    net.critic.output("value")
    net.note("critic: the value network, of rewards as the wrappers gave them")


def _off_policy(net, parts, options):
    activation = _activation(net, options, "relu")
    # the tensors of all parts in one state, each network's under a name of its own
    state = State({f"{FROZEN}{k}": v for k, v in parts[0].items()}
                  | {f"qf{i}.{k}": v for i, part in enumerate(parts[1:], 1) for k, v in part.items()}, "the checkpoint")
    head = next(n for n in HEADS if f"{FROZEN}{n}.weight" in state)
    _actor(net, state, head, activation)
    state.expect_used(*(f"{FROZEN}{n}." for n in ("fc1", "fc2", head)))
    net.output("action")
    net.note("action: tanh, then unscaled to action_scale and action_bias")
    if not options.learnable:
        return
    if f"{FROZEN}fc_logstd.weight" in state:
        net.goto(*net.latent)
        net.dense(state, f"{FROZEN}fc_logstd")
        # log_std = -5 + 3.5 (tanh(x) + 1)
        net.layer("squash", "log_std.squash", low=-5, high=2)
        net.output("log_std")
        net.note("std: exp(log_std) of the state, before tanh")
    else:
        net.note("std: the checkpoint has none; the learner explores with its initial_std")
    count = len(parts) - 1
    if count == 0:
        net.note("critic: the checkpoint has the actor alone")
        return
    critic = Network("cleanrl")
    _actor(critic, state, head, activation)
    observation = "obs", tuple(net.inputs[0]["shape"])
    values_of_actions(critic, net, observation, [_q(state, f"qf{i}.", activation) for i in range(1, count + 1)])
    net.critic = critic


def _actor(net, state, head, activation):
    net.input("obs", (state.shape(f"{FROZEN}fc1.weight")[-1],))
    for name in ("fc1", "fc2"):
        net.dense(state, FROZEN + name, activation)
    net.latent = net.last, net.shape
    net.dense(state, FROZEN + head)
    scale, offset = (state.take(f"{FROZEN}action_{n}").reshape(-1) for n in ("scale", "bias"))
    if scale.shape != offset.shape or scale.size not in (1, net.shape[0]):
        raise FormatError(f"action_scale has {scale.size} numbers, expected {net.shape[0]}")
    scale, offset = (np.broadcast_to(n, net.shape) for n in (scale, offset))
    net.layer("squash", "limits", **net.bounds(offset - scale, offset + scale))


def _q(state, prefix, activation):
    def build(critic):
        for name, after in (("fc1", activation), ("fc2", activation), ("fc3", None)):
            critic.dense(state, prefix + name, after)
        state.expect_used(prefix)
        return prefix + "fc3"
    return build


def _activation(net, options, usual):
    if options.activation:
        return function(options.activation)
    net.note(f"activation: {usual} (CleanRL's; the checkpoint does not say: --activation)")
    return usual
