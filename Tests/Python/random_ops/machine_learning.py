"""Operators of ai.onnx.ml on numbers."""
import numpy as np

from .case import Case, F32

ML = dict(opset=17, domain="ai.onnx.ml", version=3)


def _x(d, dtypes=(np.float32,)):
    dtype = d.one(*dtypes)
    return d.array([d.int(1, 4), d.int(1, 6)], dtype, -5, 5)


def _per_feature(d, x):
    return d.array(d.one([1], [x.shape[-1]])).tolist()


def scaler(d):
    x = _x(d, (np.float32, np.float64, np.int64, np.int32))
    n = d.one(1, x.shape[1])
    return Case("Scaler", inputs=[x], offset=d.array([n]).tolist(), scale=d.array([n]).tolist(), **ML)


def normalizer(d):
    norm = d.one("MAX", "L1", "L2")
    x = _x(d, (np.float32, np.float64, np.int64, np.int32))
    if norm == "MAX":  # of the values, not of their sizes: a row of negative ones is another matter
        x = np.abs(x)
    if d.chance(0.3):
        x[0] = 0
    return Case("Normalizer", inputs=[x], norm=norm, **ML)


def binarizer(d):
    return Case("Binarizer", inputs=[_x(d)], threshold=d.one(None, 0.0, 0.7), **ML)


def imputer(d):
    x = _x(d, (np.float32, np.int64))
    if x.dtype == np.int64:
        return Case("Imputer", inputs=[x], replaced_value_int64=d.int(-2, 2),
                    imputed_value_int64s=d.array(d.one([1], [x.shape[1]]), np.int64).tolist(), **ML)
    nan = d.chance()
    x[d.array(x.shape, np.bool_)] = np.nan if nan else 1.5
    return Case("Imputer", inputs=[x], replaced_value_float=float("nan") if nan else 1.5,
                imputed_value_floats=_per_feature(d, x), **ML)


def vectorizer(d):
    batch, dtype = d.int(1, 3), d.one(np.float32, np.float64, np.int64, np.int32)
    parts = [d.array([batch, d.int(1, 4)], dtype, -5, 5) for _ in range(d.int(1, 4))]
    return Case("FeatureVectorizer", inputs=parts, inputdimensions=[p.shape[1] for p in parts], **ML)


def extractor(d):
    dtype = d.one(np.float32, np.float64, np.int64, np.int32)
    x = d.array(d.shape(1, 3), dtype, -5, 5)
    return Case("ArrayFeatureExtractor", inputs=[x, d.const(d.array([d.int(1, 4)], np.int64, 0, x.shape[-1] - 1))],
                **ML)


def encoder(d):
    keys = d.one("int64s", "floats")
    values = d.one("int64s", "floats")
    count = d.int(1, 6)
    dtype = np.int64 if keys == "int64s" else np.float32
    known = d.rng.permutation(12)[:count]
    table = {f"keys_{keys}": known.astype(dtype).tolist(),
             f"values_{values}": d.array([count], np.int64 if values == "int64s" else F32, -9, 9).tolist()}
    default = {"default_int64": d.one(None, 5)} if values == "int64s" else {"default_float": d.one(None, 2.5)}
    return Case("LabelEncoder", inputs=[d.array([d.int(1, 4), d.int(1, 4)], np.int64, 0, 12).astype(dtype)], **table,
                **default, **ML)


POST = ["NONE", "NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO"]


def linear_regressor(d):
    x, targets = _x(d), d.int(1, 4)
    return Case("LinearRegressor", inputs=[x], targets=targets, coefficients=d.array([targets * x.shape[1]]).tolist(),
                intercepts=d.one(None, d.array([targets]).tolist()),
                post_transform=d.one(*(POST if targets > 1 else ["NONE"])), **ML)


def linear_classifier(d):
    x, classes = _x(d, (np.float32, np.float64, np.int64, np.int32)), d.int(2, 5)
    scores = 1 if classes == 2 and d.chance() else classes
    return Case("LinearClassifier", inputs=[x], outputs=2, coefficients=d.array([scores * x.shape[1]]).tolist(),
                intercepts=d.array([scores]).tolist(),
                classlabels_ints=[int(v) for v in d.rng.permutation(20)[:classes]], post_transform=d.one(*POST),
                multi_class=d.one(None, 0, 1), **ML)


FAMILIES = [scaler, normalizer, binarizer, imputer, vectorizer, extractor, encoder, linear_regressor, linear_classifier]
