"""Random single-op models, over opsets, shapes, attributes and types, give onnxruntime's results."""
import model_forms
import numpy as np
import pytest
import random_ops
import suites

ort = pytest.importorskip("onnxruntime")
from efferent.onnx_backend import prepare  # noqa: E402
from onnx import helper  # noqa: E402

OPTIONS = ort.SessionOptions()
OPTIONS.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
OPTIONS.log_severity_level, OPTIONS.intra_op_num_threads = 4, 1

SEEDS = range(8)
FAMILIES = {f.__name__: f for f in random_ops.FAMILIES}


def expected(case):
    """onnxruntime's outputs, or None where it does not run the model."""
    try:
        return ort.InferenceSession(case.model.SerializeToString(), OPTIONS,
                                    providers=["CPUExecutionProvider"]).run(None, case.feeds)
    except Exception:
        return None


@pytest.mark.parametrize("name", FAMILIES)
def test_agrees_with_onnxruntime(name):
    ran = 0
    for seed in SEEDS:
        case = FAMILIES[name](random_ops.Draw([seed, *name.encode()]))
        if (outputs := expected(case)) is None:
            continue
        ran += 1
        found = prepare(case.model).run(case.feeds)
        for i, (a, b) in enumerate(zip(found, outputs, strict=True)):
            where = f"seed {seed}: {case.describe()}: "
            if case.quantum and b.dtype.kind in "iu":
                assert a.dtype == b.dtype and a.shape == b.shape, where
                assert np.abs(a.astype(int) - b.astype(int)).max(initial=0) <= 1, where
            else:
                suites.compare(f"y{i}", a, b, case.atol, case.rtol, where)
    assert ran >= len(SEEDS) // 2


@pytest.mark.parametrize("form", model_forms.FORMS, ids=lambda f: f.__name__)
def test_forms_agree_with_onnxruntime(form):
    model, draw = form(), random_ops.Draw(1)
    given = {t.name for t in model.graph.initializer}
    feeds = {}
    for value in model.graph.input:
        if value.name not in given:
            shape = [d.dim_value or 2 for d in value.type.tensor_type.shape.dim]
            feeds[value.name] = draw.array(shape, helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
                                           0 if value.name == "i" else -3)
    outputs = ort.InferenceSession(model.SerializeToString(), OPTIONS,
                                   providers=["CPUExecutionProvider"]).run(None, feeds)
    found = prepare(model).run(feeds)
    for name, a, b in zip([o.name for o in model.graph.output], found, outputs, strict=True):
        suites.compare(name, a, b, *((2e-3, 2e-3) if form.__name__ == "half" else (1e-5, 1e-5)))
