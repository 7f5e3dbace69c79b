"""Policies of models made in memory, and what onnxruntime says of them."""
import efferent
import numpy as np
import onnxruntime


def policy_of(made, **options):
    return efferent.Policy(made.SerializeToString(), **options)


def expected(made, inputs):
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, inputs)))


def close(a, b):
    assert a.shape == b.shape and a.dtype == b.dtype, f"{a.shape} {a.dtype}, expected {b.shape} {b.dtype}"
    np.testing.assert_allclose(a, b, atol=2e-5, rtol=2e-5)
