"""rsl_rl checkpoints, 5.x (actor_state_dict) and before (model_state_dict), and plain networks whose tensors are named
alike."""
import re

import numpy as np

from ..errors import FormatError, UnsupportedError
from .network import Network, State, function

EPS = 1e-2  # of EmpiricalNormalization, not in the file
SPREADS = ("std", "log_std", "distribution.std_param", "distribution.log_std_param")


def matches(root):
    return isinstance(root,
                      dict) and any(k in root for k in ("actor_state_dict", "model_state_dict", "student_state_dict"))


def convert(root, options):
    """A checkpoint of rsl_rl."""
    if "actor_state_dict" in root or "student_state_dict" in root:
        flat, trainer = root.get("actor_state_dict", root.get("student_state_dict")), "rsl_rl 5"
    else:
        flat, trainer = root["model_state_dict"], "rsl_rl"
    if not isinstance(flat, dict):
        raise FormatError("the checkpoint's state is no dictionary of tensors")
    extra = root.get("obs_norm_state_dict")
    if isinstance(extra, dict):
        flat = {**flat, **{f"obs_normalizer.{k}": v for k, v in extra.items() if isinstance(k, str)}}
    net = network(flat, trainer, options, {})
    if options.learnable:
        _critic(root, flat, trainer, options, net)
    return net


def network(flat, trainer, options, metadata):
    """Normalizer, recurrent layer, network: whichever of them the tensors have."""
    net, state = _body(flat, trainer, options, metadata)
    _head(net, state, options)
    if options.learnable:
        _std(net, state)
    return net


def _body(flat, trainer, options, metadata):
    state = State(flat, "the checkpoint")
    net = Network(trainer)
    prefix = _first(state, ("mlp.", "student.", "actor.", "policy.", "net.", "policy_net.", "model.", ""),
                    state.numbers)
    if prefix is None:
        raise UnsupportedError(f"the tensors ({', '.join(list(state)[:5])}, ...) are those of no actor that is known "
                               f"here: expected mlp.0.weight, actor.0.weight or the like; export this policy to ONNX")
    if state.has("cnns."):
        raise UnsupportedError("the actor has a CNN, whose strides and order are not in the checkpoint; export this "
                               "policy to ONNX")
    memory = _first(state, ("rnn.rnn.", "memory_a.rnn.", "memory_s.rnn.", "rnn.", "lstm.", "gru."),
                    lambda p: f"{p}weight_ih_l0" in state)
    first = state.shape(f"{memory}weight_ih_l0" if memory else f"{prefix}{state.numbers(prefix)[0]}.weight")
    net.input("obs", (first[-1],))
    _normalize(net, state, options)
    activation = options.activation or metadata.get("activation")
    if activation is None:
        activation = "elu"
        net.note("activation: elu (the trainer's default; the checkpoint does not say: --activation)")
    else:
        net.note(f"activation: {activation}")
    if memory:
        net.recurrent(state, memory, "memory")
    net.sequence(state, prefix, function(activation))
    state.expect_used(prefix) if prefix else None
    return net, state


def _std(net, state):
    """The spread with which training explored, as an output."""
    name = next((n for n in SPREADS if n in state and len(state.shape(n)) >= 1), None)
    if name is None or state.shape(name)[-1] != np.prod(state.shape(name)):
        net.note("std: the checkpoint has none of the actions alone; the learner explores with its initial_std")
        return
    net.constant("log_std" if "log" in name else "std", state.take(name))
    net.note(f"std: {'exp of ' * ('log' in name)}{name}, the same in every state")


# names before rsl_rl 5 -> those since
SINCE = (("critic.", "mlp."), ("memory_c.rnn.", "rnn.rnn."), ("critic_obs_normalizer.", "obs_normalizer."))


def _critic(root, actor, trainer, options, net):
    """The value network, where the robot can give what it observes."""
    flat = root.get("critic_state_dict")
    if not isinstance(flat, dict):
        flat = {new + k[len(old):]: v for k, v in actor.items() for old, new in SINCE
                if isinstance(k, str) and k.startswith(old)}
        for key in ("critic_obs_norm_state_dict", "privileged_obs_norm_state_dict"):
            if isinstance(root.get(key), dict):
                flat |= {f"obs_normalizer.{k}": v for k, v in root[key].items() if isinstance(k, str)}
    if not any(isinstance(k, str) and k.startswith("mlp.") for k in flat):
        net.note("critic: the checkpoint has none")
        return
    is_normalized = [any("normalizer" in k for k in keys) for keys in (map(str, actor), map(str, flat))]
    if is_normalized == [True, False]:
        net.note("critic: not taken over, the policy has a normalizer, but that of the critic is not in the checkpoint")
        return
    critic, _ = _body(flat, trainer, options, {})
    if critic.shape != (1,):
        raise FormatError(f"the critic gives {list(critic.shape)}, expected one number")
    if not net.can_feed(critic.inputs[0]["shape"][0]):
        return
    critic.output("value")
    net.note("critic: the value network")
    net.critic = critic


def _first(state, prefixes, test):
    return next((p for p in prefixes if test(p)), None)


def _normalize(net, state, options):
    for prefix in ("obs_normalizer.", "actor_obs_normalizer.", "student_obs_normalizer.", "normalizer."):
        mean, std = (next((prefix + n for n in (f"_{k}", k) if prefix + n in state), None) for k in ("mean", "std"))
        if mean and std:
            eps = EPS if options.normalizer_eps is None else options.normalizer_eps
            net.normalize("obs_normalizer", state.take(mean), std=state.take(std), eps=eps,
                          clip=options.normalizer_clip)
            return
    if any("normalizer" in name for name in state):
        names = ", ".join(n for n in state if "normalizer" in n and "critic" not in n)
        if names:
            raise UnsupportedError(f"the normalizer has the tensors {names}, expected _mean and _std")


def _head(net, state, options):
    """Mean of the actions. A network with twice as many outputs as actions gives mean and std in turn, as rsl_rl's
    state-dependent std does."""
    outputs = net.shape[0]
    spread = next((state.shape(n)[-1] for n in SPREADS if n in state and state.shape(n)), None)
    actions = options.actions or spread or outputs
    if actions != outputs:
        if outputs != 2 * actions:
            raise FormatError(f"the network gives {outputs} numbers for {actions} actions, expected as many or twice "
                              f"as many")
        net.layer("slice", "mean", (actions,), begin=0, end=actions)
        net.note(f"action: the first {actions} of {outputs} outputs, the mean; the others are its std")
    elif spread is None and outputs % 2 == 0:
        net.note(f"action: all {outputs} outputs of the network; if it also gives its std, say how many actions there "
                 f"are: --actions")
    limit(net, options)
    net.output("action")


def limit(net, options):
    """What the caller asks to be done with the action."""
    low, high = options.action_low, options.action_high
    if options.squash:
        net.layer("squash", "squash", low=low, high=high)
        net.note("action: tanh" + (f", then unscaled to {low:g} .. {high:g}" if low is not None else ""))
    elif low is not None:
        net.layer("clip", "limits", low=low, high=high)
        net.note(f"action: clipped to {low:g} .. {high:g}")


def flat(tensors, metadata, options):
    """Tensors without a trainer's wrapping: a state dict that was saved alone, or the tensors of a safetensors file."""
    found = {re.sub(r"^(module|_orig_mod)\.", "", k): v for k, v in tensors.items() if isinstance(k, str)
             and isinstance(getattr(v, "shape", None), tuple)}
    if not found:
        raise UnsupportedError("there are no tensors in it")
    net = network(found, "a state dict", options, metadata)
    if options.learnable:
        net.note("critic: a state dict of one network has none")
    return net
