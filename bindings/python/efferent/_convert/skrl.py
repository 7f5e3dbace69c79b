"""skrl agent checkpoints: policy and preprocessor state."""
import re

from ..errors import FormatError, UnsupportedError
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
    steps = _steps(state)
    net.input("obs", (state.shape(_weight(steps[0]))[-1],))
    _normalize(net, root, options)
    activation = options.activation
    if activation is None:
        activation = "elu"
        net.note("activation: elu (the usual one; the checkpoint does not say: --activation)")
    activation = function(activation)
    for i, step in enumerate(steps):
        is_last = i + 1 == len(steps)
        if step[0] == "recurrent":
            net.recurrent(state, step[1])
        elif step[0] == "sequence":
            net.sequence(state, step[1], activation, None if is_last else activation)
        else:
            net.dense(state, step[1], None if is_last else activation)
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
            net.note("critic: not taken over from skrl, whose values have a preprocessor of their own")
    return net


def _weight(step):
    return {"recurrent": f"{step[1]}weight_ih_l0", "sequence": f"{step[1]}{step[2]}.weight",
            "dense": f"{step[1]}.weight"}[step[0]]


def _steps(state):
    """The layers in the order of the file, which is the order in which the model declares them: recurrent, sequences of
    modules, single ones."""
    steps, seen = [], set()
    for name in state:
        if VALUE.search(name):
            continue
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


def _normalize(net, root, options):
    for key in PREPROCESSORS:
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
