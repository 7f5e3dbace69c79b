"""skrl agent checkpoints: policy and preprocessor state."""
import re

import numpy as np

from ..errors import ArgumentError, FormatError, UnsupportedError
from .network import Network, State, function
from .rsl_rl import limit

EPS, CLIP = 1e-8, 5.0  # of RunningStandardScaler, not in the file
PREPROCESSORS = ("observation_preprocessor", "state_preprocessor")
VALUE = re.compile(r"(^|[._])(value|critic|q)([._]|$)")


def matches(root):
    return isinstance(root, dict) and isinstance(root.get("policy", root.get("q_network")), dict)


def convert(root, options):
    is_q = "policy" not in root
    state = State(root["q_network" if is_q else "policy"], "the checkpoint")
    net = Network("skrl")
    steps = [step for step in _steps(state) if not VALUE.search(step[1])]
    _body(net, root, state, steps, PREPROCESSORS, options)
    if options.activation is None:
        net.note("activation: elu (the usual one; the checkpoint does not say: --activation)")
    unused = [n for n in state if n not in state.used and len(state.shape(n)) > 1 and not VALUE.search(n)]
    if unused:
        raise UnsupportedError(f"tensor '{unused[0]}' belongs to the policy, but how it is used is not known here; "
                               f"export this policy to ONNX")
    if is_q:
        net.output("q_values")
        net.layer("argmax", "choice", ())
        net.outputs.insert(0, {"name": "action", "from": "choice"})
    else:
        limit(net, options)
        net.output("action")
        if options.learnable:
            if "log_std_parameter" in state:
                net.constant("log_std", state.take("log_std_parameter"))
                net.note("std: exp(log_std_parameter), the same in every state")
            else:
                net.note("std: the checkpoint has none; the learner explores with its initial_std")
            _critic(net, root, state, steps, options)
    return net


def _body(net, root, state, steps, preprocessors, options):
    net.input("obs", (state.shape(_weight(steps[0]))[-1],))
    _normalize(net, root, preprocessors, options)
    activation = function(options.activation or "elu")
    for i, step in enumerate(steps):
        after = None if i + 1 == len(steps) else activation
        if step[0] == "recurrent":
            net.recurrent(state, step[1])
        elif step[0] == "sequence":
            net.sequence(state, step[1], activation, after)
        else:
            net.dense(state, step[1], after)


def _critic(net, root, policy, steps, options):
    """The value network, its preprocessor undone: what a value preprocessor gives is deviations from a mean. A model
    that both share stands in the file twice, with the policy's head and the value's."""
    flat = root.get("value")
    state = State(flat if isinstance(flat, dict) else {}, "the checkpoint's value network")
    if not any(len(state.shape(name)) > 1 for name in state):
        net.note("critic: the checkpoint has none")
        return
    found = _steps(state)
    if set(state) == set(policy) and any(VALUE.search(step[1]) for step in found):
        found = [step for step in found if step in steps[:-1] or VALUE.search(step[1])]
    if not net.can_feed(state.shape(_weight(found[0]))[-1]):
        return
    critic = Network("skrl")
    # states are what a critic observes where it observes more than the policy
    _body(critic, root, state, found, PREPROCESSORS[::-1], options)
    if critic.shape != (1,):
        raise FormatError(f"the value network gives {list(critic.shape)}, expected one number")
    scale = 1.0 if options.reward_scale is None else options.reward_scale
    if not (np.isfinite(scale) and scale > 0):
        raise ArgumentError(f"reward_scale is {scale}, expected a number above 0")
    spread, mean = 1.0, 0.0
    part = root.get("value_preprocessor")
    if isinstance(part, dict) and "running_mean" in part:
        part = State(part, "value_preprocessor")
        spread = float(np.sqrt(np.asarray(part.take("running_variance"), np.float64).reshape(-1)[0]))
        mean = float(np.asarray(part.take("running_mean"), np.float64).reshape(-1)[0])
        net.note(f"value preprocessor: in the critic's last layer, {spread:g} v + {mean:g}; its limit of {CLIP:g} "
                 f"deviations is not")
    critic.rescale(critic.last, spread / scale, mean / scale)
    critic.output("value")
    net.note("critic: the value network")
    if options.reward_scale is None:
        net.note("rewards: as they are; the checkpoint does not say whether a shaper scaled them (rewards_shaper_scale "
                 "of the configuration: --reward-scale)")
    net.critic = critic


def _weight(step):
    return {"recurrent": f"{step[1]}weight_ih_l0", "sequence": f"{step[1]}{step[2]}.weight",
            "dense": f"{step[1]}.weight"}[step[0]]


def _steps(state):
    """The layers in the order of the file, which is the order in which the model declares them: recurrent, sequences of
    modules, single ones."""
    steps, seen = [], set()
    for name in state:
        if m := re.match(r"(.*?)weight_ih_l0$", name):
            step = ("recurrent", m[1])
        elif m := re.match(r"(.*\.)(\d{1,6})\.weight$", name):
            step = ("sequence", m[1], state.numbers(m[1])[0])
        elif (m := re.match(r"(.+)\.weight$", name)) and len(state.shape(name)) == 2:
            step = ("dense", m[1])
        else:
            continue
        if step[:2] not in seen:
            seen.add(step[:2])
            steps.append(step)
    if not steps:
        raise UnsupportedError(f"the policy's tensors ({', '.join(list(state)[:5])}, ...) are no layers that are known "
                               f"here; export this policy to ONNX")
    return steps


def _normalize(net, root, preprocessors, options):
    for key in preprocessors:
        part = root.get(key)
        if not isinstance(part, dict) or "running_mean" not in part:
            continue
        state = State(part, key)
        if state.shape("running_mean")[-1:] != net.shape:
            continue
        eps = EPS if options.normalizer_eps is None else options.normalizer_eps
        clip = CLIP if options.normalizer_clip is None else options.normalizer_clip
        net.normalize(key, state.take("running_mean"), var=state.take("running_variance"), eps=eps, outside=True,
                      clip=clip)
        return
    if any(isinstance(root.get(k), dict) and "running_mean" in root[k] for k in PREPROCESSORS):
        raise FormatError(f"the preprocessor's statistics do not have the {net.shape[0]} numbers that the policy "
                          f"observes")
