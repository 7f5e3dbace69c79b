"""Where onnxruntime gives a value and we refuse, or give another one."""

# operators and nets that end onnxruntime's process where a tensor is empty: only the reference evaluator is asked
CRASHES = {"LSTM", "GRU", "lstm", "gru", "recurrent step"}

# (operator, part of our message): refused by us, with why
REFUSED = [
    ("Compress", "has"),  # a condition that is longer than the axis: onnxruntime passes over the rest
    ("DFT", "transforms 0 values"),  # no frequency exists
    ("GatherND", "do not fit data"),  # batch dimensions that differ: onnxruntime takes the smaller
    ("Loop", "runs no iteration"),  # the shape of what no iteration made
    ("Scan", "scans an empty sequence"),
]

# (operator, part of the difference): not defined by ONNX, and the two oracles differ from us, or from each other
THEIRS = [
    # training on a batch of nothing: its mean is 0 here, as ReduceMean's is in onnxruntime
    ("BatchNormalization", "expected nan"),
    ("MatMulInteger", ": 0, expected"),  # over no products, onnxruntime gives what lay in memory
    ("quantized product", ": 0, expected"),
    ("NegativeLogLikelihoodLoss", "nan, expected 0"),  # a mean over nothing, weighted by nothing: 0 / 0
]


def is_refused(op, message):
    return any(o == op and part in message for o, part in REFUSED)


def is_theirs(op, difference):
    return any(o == op and part in difference for o, part in THEIRS)
