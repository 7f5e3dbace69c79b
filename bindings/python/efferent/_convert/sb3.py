"""Stable-Baselines3 and sb3_contrib zips: PPO, A2C, TRPO, MaskablePPO, RecurrentPPO, SAC, TQC, CrossQ, TD3, DDPG, DQN,
QR-DQN."""
import base64
import json
import re

import numpy as np

from ..errors import FormatError, UnsupportedError
from . import torchfile
from .learnable import values_of_actions
from .network import Network, State, function
from .pickles import loads, record

_SPACES = {
    f"{package}.spaces.{module} {name}": record(name)
    for package in ("gymnasium", "gym") for module, name in
    (("box", "Box"), ("discrete", "Discrete"), ("multi_discrete", "MultiDiscrete"), ("multi_binary", "MultiBinary"),
     ("dict", "Dict"), ("tuple", "Tuple"))
}
# the generator of a space that was sampled from: kept as data, never made
_RANDOM = {
    **{f"numpy.random._pickle {n}": record(n)
       for n in ("__generator_ctor", "__bit_generator_ctor", "__randomstate_ctor")},
    **{f"numpy.random.{m} {n}": record(n)
       for m, n in (("_generator", "Generator"), ("_pcg64", "PCG64"), ("_mt19937", "MT19937"),
                    ("mtrand", "RandomState"),
                                                       ("bit_generator", "SeedSequence"),
                                                       ("bit_generator", "__pyx_unpickle_SeedSequence"),
                                                       ("bit_generator", "__pyx_unpickle_BitGenerator"))},
}
SPACES = {**_SPACES, **_RANDOM}
NATURE = ((8, 4), (4, 2), (3, 1))  # kernel and stride of NatureCNN


def matches(archive):
    return "data" in archive and "policy.pth" in archive


def convert(archive, normalizer, options):
    data = _json(archive)
    state = State(torchfile.load(archive.read("policy.pth"), "policy.pth"), "policy.pth")
    version = (
        archive.read("_stable_baselines3_version").decode("ascii", "replace").strip()
        if "_stable_baselines3_version" in archive
        else "?"
    )
    observation, action = _space(data, "observation_space"), _space(data, "action_space")
    kwargs = data.get("policy_kwargs")
    kwargs = kwargs if isinstance(kwargs, dict) else {}
    network = Network(f"stable_baselines3 {version}")
    kind = _kind(state)
    activation = _activation(kwargs, kind, options, network)
    root = {"q_net": "q_net.", "quantile_net": "quantile_net.", "latent_pi": "actor.", "mu": "actor."}.get(kind, "")
    extractor = next(p for p in (root + "pi_features_extractor.", root + "features_extractor.") if state.has(p)
                     or p.endswith(".features_extractor.") or p == "features_extractor.")
    _features(network, state, observation, extractor, normalizer, kwargs.get("normalize_images", True))
    state.expect_used(extractor)
    normalizer.expect_seen()
    HEADS[kind](network, state, action, activation, kwargs)
    network.metadata["algorithm"] = kind
    if options.learnable:
        _learnable(network, data, state, observation, activation, kwargs, normalizer)
    return network


# ---- std and critic ----

def _learnable(network, data, state, observation, activation, kwargs, normalizer):
    kind = network.metadata["algorithm"]
    if kind in ("q_net", "quantile_net"):
        network.note("critic: the policy itself, by its q_values (stream-q)")
        return
    _std(network, state, kind, data)
    critic = Network(network.metadata["trainer"])
    images = kwargs.get("normalize_images", True)
    if kind == "actor_critic":
        if state.has("lstm_critic."):
            network.note("critic: not taken over, it has a memory of its own beside the actor's")
            return
        extractor = next(p for p in ("vf_features_extractor.", "features_extractor.") if state.has(p)
                         or p == "features_extractor.")
        _features(critic, state, observation, extractor, normalizer, images)
        critic.sequence(state, "mlp_extractor.value_net.", activation, activation)
        critic.dense(state, "value_net")
        state.expect_used("mlp_extractor.value_net.", "value_net.")
        critic.rescale("value_net", normalizer.reward_scale)
        critic.output("value")
        network.note("critic: the value network")
    else:
        names = sorted({m[1] for n in state if (m := re.match(r"critic\.(qf\d+)\.", n))})
        if state.has("critic.features_extractor.") or state.has("actor.features_extractor.") or not names:
            network.note("critic: not taken over, its networks of Q(s, a) have extractors of features of their own")
            return
        _features(critic, state, observation, "actor.features_extractor.", normalizer, images)
        features = critic.last, critic.shape
        if kind == "latent_pi":
            critic.sequence(state, "actor.latent_pi.", activation, activation)
            _mean(critic, state, kwargs)
        else:
            critic.sequence(state, "actor.mu.", activation)
        critic.layer("tanh", "pi")
        values_of_actions(critic, network, features, [_q(state, f"critic.{n}.", activation) for n in names],
                          normalizer.reward_scale)
    if normalizer.reward_scale != 1:
        network.note(f"critic: for raw rewards: times {normalizer.reward_scale:g}, by which VecNormalize divided them")
    gamma = data.get("gamma")
    if isinstance(gamma, (int, float)) and 0 <= gamma <= 1:
        network.metadata["efferent.gamma"] = repr(float(gamma))
        network.note(f"gamma: {gamma:g}")
    network.critic = critic


def _q(state, prefix, activation):
    def build(critic):
        numbers = critic.sequence(state, prefix, activation)
        state.expect_used(prefix)
        return f"{prefix}{numbers[-1]}"
    return build


def _std(network, state, kind, data):
    """The spread with which training explored, as an output."""
    if data.get("use_sde"):
        network.note("std: not taken over, it is that of state-dependent exploration (gSDE)")
    elif kind == "actor_critic" and "log_std" in state and len(state.shape("log_std")) == 1:
        network.constant("log_std", state.take("log_std"))
        network.note("std: exp(log_std), the same in every state")
    elif kind == "latent_pi" and "actor.log_std.weight" in state:
        network.goto(*network.latent)
        network.dense(state, "actor.log_std")
        network.layer("clip", "actor.log_std.clip", low=-20, high=2)
        network.output("log_std")
        network.note("std: exp(log_std) of the state, before tanh")
    else:
        network.note("std: the checkpoint has none; the learner explores with its initial_std")


# ---- what the zip says ----

def _json(archive):
    try:
        data = json.loads(archive.read("data"))
    except (ValueError, RecursionError) as e:
        raise FormatError(f"'data' in the zip is not JSON: {e}") from None
    if not isinstance(data, dict):
        raise FormatError("'data' in the zip is not an object")
    return data


def _space(data, key):
    entry = data.get(key)
    if not isinstance(entry, dict) or not isinstance(entry.get(":serialized:"), str):
        raise FormatError(f"'data' in the zip has no {key}")
    try:
        raw = base64.b64decode(entry[":serialized:"], validate=True)
    except ValueError as e:
        raise FormatError(f"{key} is not base64: {e}") from None
    space = loads(raw, SPACES, what=key)
    if not hasattr(space, "kind"):
        raise FormatError(f"{key} is no space")
    return space


def _kind(state):
    for kind, mark in (("quantile_net", "quantile_net.quantile_net."), ("q_net", "q_net.q_net."),
                       ("latent_pi", "actor.latent_pi."), ("latent_pi", "actor.log_std."), ("mu", "actor.mu."),
                       ("actor_critic", "action_net.weight")):
        if state.has(mark):
            return kind
    raise UnsupportedError(f"the policy's tensors ({', '.join(list(state)[:4])}, ...) are those of no algorithm that "
                           f"is known here; export this policy to ONNX")


def _activation(kwargs, kind, options, network):
    """What policy_kwargs says, or the default of the algorithm's policy."""
    if options.activation:
        return function(options.activation)
    given = kwargs.get("activation_fn")
    if isinstance(given, dict):
        given = given.get("__module__", "") + "." + str(given.get(":type:", ""))
    if given is None:
        found = "tanh" if kind == "actor_critic" else "relu"
        network.note(f"activation: {found} (the default of this algorithm)")
        return found
    name = re.search(r"(\w+)'?>?$", str(given))
    found = function(name[1] if name else str(given))
    network.note(f"activation: {found} (from policy_kwargs)")
    return found


# ---- observation -> features ----

def _features(network, state, space, extractor, normalizer, normalize_images):
    if space.kind == "Dict":
        spaces = space.get("spaces")
        if not isinstance(spaces, dict) or not spaces:
            raise FormatError("observation_space has no parts")
        ends = []
        for key, part in spaces.items():
            _observe(network, key, part, normalizer.of(key), normalize_images)
            if state.has(f"{extractor}extractors.{key}.cnn."):
                _nature(network, state, f"{extractor}extractors.{key}.")
            elif len(network.shape) > 1:
                network.layer("flatten", shape=(int(np.prod(network.shape)),))
            ends.append((network.last, network.shape[0]))
        network.layer("concat", "features", (sum(n for _, n in ends),), **{"from": [e for e, _ in ends]})
        return
    _observe(network, "obs", space, normalizer.of(None), normalize_images)
    if state.has(extractor + "cnn."):
        _nature(network, state, extractor)
    elif len(network.shape) != 1:
        network.layer("flatten", shape=(int(np.prod(network.shape)),))


def _observe(network, name, space, statistics, normalize_images):
    """One part of the observation as SB3 prepares it."""
    if space.kind == "Discrete":
        n = _number(space.get("n"), "n of a Discrete space")
        network.input(name, (), "i64")
        network.layer("one_hot", f"{name}.one_hot", (n,), classes=n)
    elif space.kind == "MultiDiscrete":
        counts = np.asarray(space.get("nvec")).reshape(-1)
        network.input(name, counts.shape, "i64")
        ends = []
        for i, n in enumerate(counts.tolist()):
            network.layer("slice", f"{name}.{i}", (1,), begin=i, end=i + 1, **{"from": name})
            network.layer("one_hot", f"{name}.{i}.one_hot", (1, n), classes=n)
            ends.append(network.layer("flatten", f"{name}.{i}.flat", (n,)))
        network.layer("concat", f"{name}.one_hot", (int(counts.sum()),), **{"from": ends})
    elif space.kind == "MultiBinary":
        n = space.get("n")
        network.input(name,
                      tuple(int(i) for i in n) if isinstance(n, (tuple, list)) or hasattr(n, "shape") and n.shape
                      else (_number(n, "n of a MultiBinary space"),))
    elif space.kind == "Box":
        _box(network, name, space, statistics, normalize_images)
    else:
        raise UnsupportedError(f"observation '{name}' is a {space.kind} space, which is not supported")


def _box(network, name, space, statistics, normalize_images):
    low, high = np.asarray(space.get("low")), np.asarray(space.get("high"))
    shape = tuple(space.get("_shape", "shape", default=low.shape))
    is_image = len(shape) == 3 and space.get("dtype") == np.uint8 and bool(np.all(low == 0) and np.all(high == 255))
    network.input(name, shape, "u8" if is_image and statistics is None else "f32")
    if statistics is not None:
        # SB3 computes in f64; f32 does as well unless a mean is so large that its rounding is seen after the division
        wide = bool(np.any(np.abs(statistics["mean"]) > 10 * np.sqrt(statistics["var"] + statistics["eps"])))
        network.normalize(f"{name}.normalizer", statistics["mean"], statistics["var"], eps=statistics["eps"],
                          clip=statistics["clip"], wide=wide)
    elif is_image and normalize_images:
        network.layer("scale", f"{name}.scale", scale=1 / 255)


def _nature(network, state, prefix):
    """The convolutions of SB3's NatureCNN; their strides are fixed and not in the file."""
    numbers = state.numbers(prefix + "cnn.")
    kernels = [state.shape(f"{prefix}cnn.{n}.weight")[2:] for n in numbers]
    if numbers != [0, 2, 4] or kernels != [(k, k) for k, _ in NATURE]:
        raise UnsupportedError(f"the feature extractor '{prefix}cnn' has kernels {kernels}, expected those of "
                               f"NatureCNN, {[(k, k) for k, _ in NATURE]}; export this policy to ONNX")
    network.sequence(state, prefix + "cnn.", "relu", "relu", lambda i: {"stride": NATURE[i][1]})
    network.sequence(state, prefix + "linear.", "relu", "relu")


def _number(value, what):
    try:
        n = int(np.asarray(value).item())
    except (TypeError, ValueError):
        n = 0
    if n < 1:
        raise FormatError(f"{what} is no positive number")
    return n


# ---- features -> action ----

def _actor_critic(network, state, action, activation, kwargs):
    if state.has("lstm_actor."):
        network.recurrent(state, "lstm_actor.")
    network.sequence(state, "mlp_extractor.policy_net.", activation, activation)
    if state.has("mlp_extractor.shared_net."):
        raise UnsupportedError("the policy has shared layers of Stable-Baselines3 before 1.8; load and save it with a "
                               "newer one")
    network.dense(state, "action_net")
    state.expect_used("mlp_extractor.policy_net.", "action_net.", "lstm_actor.")
    if action.kind == "Box":
        _continuous(network, action, squashed=bool(kwargs.get("squash_output", False)))
    else:
        _discrete(network, action, "logits")


def _squashed_gaussian(network, state, action, activation, kwargs):
    network.sequence(state, "actor.latent_pi.", activation, activation)
    network.latent = network.last, network.shape
    _mean(network, state, kwargs)
    state.expect_used("actor.latent_pi.", "actor.mu.")
    _continuous(network, action, squashed=True)


def _mean(network, state, kwargs):
    if "actor.mu.0.weight" in state:  # state-dependent exploration clips the mean
        clip = float(kwargs.get("clip_mean", 2.0))
        network.dense(state, "actor.mu.0")
        network.layer("clip", "actor.mu.clip", low=-clip, high=clip)
    else:
        network.dense(state, "actor.mu")


def _deterministic(network, state, action, activation, kwargs):
    network.sequence(state, "actor.mu.", activation)
    state.expect_used("actor.mu.")
    _continuous(network, action, squashed=True)


def _q_values(network, state, action, activation, kwargs):
    network.sequence(state, "q_net.q_net.", activation)
    state.expect_used("q_net.q_net.")
    _discrete(network, action, "q_values")


def _quantiles(network, state, action, activation, kwargs):
    network.sequence(state, "quantile_net.quantile_net.", activation)
    state.expect_used("quantile_net.quantile_net.")
    n = _number(action.get("n"), "n of the action space")
    if network.shape[0] % n:
        raise FormatError(f"the quantile network has {network.shape[0]} outputs, which {n} actions do not divide")
    network.reshape("quantiles", (network.shape[0] // n, n))
    network.layer("mean", "q_values.mean", (n,), axis=0)
    _discrete(network, action, "q_values")


HEADS = {"actor_critic": _actor_critic, "latent_pi": _squashed_gaussian, "mu": _deterministic, "q_net": _q_values,
         "quantile_net": _quantiles}


def _continuous(network, space, squashed):
    low, high = np.asarray(space.get("low"), np.float32), np.asarray(space.get("high"), np.float32)
    if network.shape != (low.size,):
        raise FormatError(f"the network gives {list(network.shape)}, but the action space has {low.size} numbers")
    network.layer("squash" if squashed else "clip", "limits", **network.bounds(low, high))
    network.note("action: tanh, then unscaled to the limits of the action space" if squashed
                 else "action: the mean, clipped to the limits of the action space")
    if low.shape != network.shape:
        network.reshape("action.shape", low.shape)
    network.output("action")


def _discrete(network, space, scores):
    source, count = network.last, network.shape[0]
    if space.kind == "Discrete":
        network.layer("argmax", "choice", ())
        network.note(f"action: index of the largest of {count} {scores}")
    elif space.kind == "MultiDiscrete":
        ends, at = [], 0
        for i, n in enumerate(np.asarray(space.get("nvec")).reshape(-1).tolist()):
            network.layer("slice", f"choice.{i}.{scores}", (n,), begin=at, end=at + n, **{"from": source})
            ends.append(network.layer("argmax", f"choice.{i}", (1,), keep=True))
            at += n
        network.layer("concat", "choice", (len(ends),), **{"from": ends})
        network.note(f"action: index of the largest {scores} of each of {len(ends)} choices")
    elif space.kind == "MultiBinary":
        network.layer("step", "choice")
        network.note(f"action: 1 where {scores} are positive")
    else:
        raise UnsupportedError(f"the action space is a {space.kind}, which is not supported")
    network.output("action")
    network.output(scores, source)
