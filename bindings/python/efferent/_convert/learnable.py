"""A critic V(s) out of what off-policy trainers have: networks of Q(s, a).

The rule: V(s) = min over the networks of Q(s, pi(s)), with pi the deterministic action of the checkpoint. pi's copy in
the critic stays as it is (metadata efferent.frozen), the Q networks learn. Where they are distributional (TQC, QR), Q
is the mean of their numbers. SAC's values have its bonus for entropy in them, which learning takes out again.
"""
import json

FROZEN = "actor."  # beginnings of the names of pi's copy


def values_of_actions(critic, network, features, builders, scale=1.0):
    """Ends `critic`, whose last layer is pi(s), with the value of it. `features` are what the Q networks get of s: last
    and shape. Each builder adds a Q network and returns the name of its last layer; rewards were divided by `scale`."""
    critic.layer("concat", "state.action", (features[1][0] + critic.shape[0],), **{"from": [features[0], critic.last]})
    pair, ends, count = (critic.last, critic.shape), [], 0
    for build in builders:
        critic.goto(*pair)
        last = build(critic)
        count = critic.shape[0]
        critic.rescale(last, scale)
        ends.append(critic.layer("mean", f"{last}.mean", (1,), keep=True) if count > 1 else critic.last)
    critic.output("value", critic.smallest("value.least", ends))
    critic.metadata["efferent.frozen"] = json.dumps([FROZEN])
    each = f", each the mean of {count} quantiles" if count > 1 else ""
    network.note(f"critic: V(s) = min of {len(ends)} Q(s, pi(s)){each}; the Q networks learn, pi's copy in them does "
                 f"not")
