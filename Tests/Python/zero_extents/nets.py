"""Nets that fusion turns into fewer ops, with names for their dimensions. Every dimension, and every two, are set to
zero."""
import itertools

import numpy as np
from onnx import helper, numpy_helper, parser

# NAME: dimensions, the graph in onnx's text form. Names of dimensions are letters. What starts with "w_" is a constant,
# drawn.
NETS = {
    "attention": ("B2 H3 L4 K5 D6", """
        (float[B,H,L,D] q, float[B,H,D,K] k, float[B,H,K,D] v) => (float[] y) {
          s = MatMul(q, k) p = Softmax<axis = -1>(s) y = MatMul(p, v) }"""),
    "scaled, masked attention": ("B2 H3 L4 K5 D6 V7", """
        (float[B,H,L,D] q, float[B,H,D,K] k, float[B,H,K,V] v, float[B,1,L,K] m) => (float[] y) {
          c = Constant<value = float {0.5}>() s = MatMul(q, k) t = Mul(s, c) u = Add(t, m) p = Softmax<axis = -1>(u)
          y = MatMul(p, v) }"""),
    "attention through transpositions": ("B2 H3 L4 K5 D6", """
        (float[B,L,H,D] q, float[B,K,H,D] k, float[B,K,H,D] v) => (float[] y) {
          qt = Transpose<perm = [0, 2, 1, 3]>(q) kt = Transpose<perm = [0, 2, 3, 1]>(k)
          vt = Transpose<perm = [0, 2, 1, 3]>(v)
          s = MatMul(qt, kt) p = Softmax<axis = -1>(s) z = MatMul(p, vt) y = Transpose<perm = [0, 2, 1, 3]>(z) }"""),
    "small attention": ("B1 L4 K4 D8", """
        (float[B,L,D] q, float[B,D,K] k, float[B,K,D] v) => (float[] y) {
          s = MatMul(q, k) p = Softmax<axis = -1>(s) y = MatMul(p, v) }"""),
    "dense": ("B3 K5 N7", """
        (float[B,K] x, float[K,N] w_1, float[N] w_2) => (float[] y) {
          a = MatMul(x, w_1) b = Add(a, w_2) y = Relu(b) }"""),
    "dense chain": ("B1 K5 N7 M3", """
        (float[B,K] x, float[N,K] w_1, float[N] w_2, float[M,N] w_3, float[M] w_4) => (float[] y) {
          a = Gemm<transB = 1>(x, w_1, w_2) b = Tanh(a) y = Gemm<transB = 1>(b, w_3, w_4) }"""),
    "gemm with beta": ("M2 K3 N5", """
        (float[M,K] x, float[K,N] w_1, float[N] w_2) => (float[] y) { y = Gemm<alpha = 0.5>(x, w_1, w_2) }"""),
    "batched product": ("A2 B3 M4 K5 N6", """
        (float[A,B,M,K] x, float[B,K,N] z) => (float[] y) { a = MatMul(x, z) y = Sigmoid(a) }"""),
    "batched dense": ("A2 B3 K5 N6", """
        (float[A,B,K] x, float[K,N] w_1, float[N] w_2) => (float[] y) {
          a = MatMul(x, w_1) b = Mul(a, w_2) y = Elu(b) }"""),
    "norm": ("B3 L4 N5", """
        (float[B,L,N] x, float[N] w_1, float[N] w_2) => (float[] y) {
          c = Constant<value = float {0.00001}>() t = Constant<value = float {2.0}>()
          m = ReduceMean<axes = [-1]>(x) d = Sub(x, m) e = Pow(d, t) v = ReduceMean<axes = [-1]>(e) f = Add(v, c)
          s = Sqrt(f) n = Div(d, s)
          g = Mul(n, w_1) y = Add(g, w_2) }"""),
    "gates": ("B3 N5", """
        (float[B,N] x) => (float[] y, float[] z, float[] u) {
          s = Sigmoid(x) y = Mul(x, s) p = Softplus(x) t = Tanh(p) z = Mul(x, t)
          r = Constant<value = float {1.4142135}>() o = Constant<value = float {1.0}>()
          h = Constant<value = float {0.5}>()
          d = Div(x, r) e = Erf(d) f = Add(e, o) g = Mul(x, f) u = Mul(g, h) }"""),
    "convolution": ("B2 C3 O4 H6 W5", """
        (float[B,C,H,W] x, float[O,C,3,3] w_1, float[O] w_2, float[O] w_3) => (float[] y) {
          a = Conv<pads = [1, 1, 1, 1]>(x, w_1, w_2) b = BatchNormalization(a, w_2, w_3, w_2, w_3) y = Relu(b) }"""),
    "one-dimensional convolution": ("B2 C3 O4 T6", """
        (float[B,C,T] x, float[O,C,2] w_1, float[O] w_2) => (float[] y) { a = Conv(x, w_1, w_2) y = Tanh(a) }"""),
    "pixels to action": ("B1 C3 O4 H6 N5", """
        (float[B,C,H,H] x, float[O,C,2,2] w_1, float[N,O] w_2) => (float[] y) {
          a = Conv(x, w_1) b = Relu(a) c = GlobalAveragePool(b) d = Flatten(c) y = Gemm<transB = 1>(d, w_2) }"""),
    "lstm": ("T3 B2 I4 H5", """
        (float[T,B,I] x, float[1,4*H,I] w_1, float[1,4*H,H] w_2, float[1,8*H] w_3, float[1,B,H] h, float[1,B,H] c)
          => (float[] y, float[] z, float[] u) {
          y, z, u = LSTM(x, w_1, w_2, w_3, , h, c) }"""),
    "gru": ("T3 B2 I4 H5", """
        (float[T,B,I] x, float[2,3*H,I] w_1, float[2,3*H,H] w_2) => (float[] y, float[] z) {
          y, z = GRU<direction = "bidirectional">(x, w_1, w_2) }"""),
    "rnn": ("T3 B2 I4 H5", """
        (float[T,B,I] x, float[1,H,I] w_1, float[1,H,H] w_2) => (float[] y, float[] z) { y, z = RNN(x, w_1, w_2) }"""),
    "recurrent step": ("T1 B1 I4 H8", """
        (float[T,B,I] x, float[1,4*H,I] w_1, float[1,4*H,H] w_2, float[1,B,H] h, float[1,B,H] c)
          => (float[] y, float[] z, float[] u) {
          y, z, u = LSTM(x, w_1, w_2, , , h, c) }"""),
    "softmax": ("B3 L4 N5", """
        (float[B,L,N] x) => (float[] y, float[] z, float[] u) {
          y = Softmax<axis = 1>(x) z = LogSoftmax<axis = -1>(x) u = Hardmax<axis = 0>(x) }"""),
    "split and joined": ("B3 N4 M5", """
        (float[B,N] x, float[B,M] z) => (float[] y, float[] u) {
          j = Concat<axis = 1>(x, z, x) k = Constant<value_ints = [0, 1]>() y = Gather<axis = 0>(j, k)
          t = Transpose<perm = [1, 0]>(j) u = Mul(t, t) }"""),
    "normalizer": ("B2 N5 M3", """
        (float[B,N] x, float[N] w_1, float[N] w_2, float[N,M] w_3) => (float[] y) {
          d = Sub(x, w_1) e = Mul(d, w_2) f = Clip(e) y = MatMul(f, w_3) }"""),
    "layer norm after dense": ("B2 K3 N5", """
        (float[B,K] x, float[K,N] w_1, float[N] w_2, float[N] w_3) => (float[] y) {
          a = MatMul(x, w_1) b = LayerNormalization(a, w_2, w_3) y = Relu(b) }"""),
    "reductions": ("B3 L4 N5", """
        (float[B,L,N] x) => (float[] y, float[] z, float[] u, float[] v) {
          a = Constant<value_ints = [1]>() y = ReduceSum(x, a) z = ReduceMax<keepdims = 0>(x, a) u = ReduceProd(x, a)
          v = ReduceL2(x) }"""),
    "quantized product": ("B2 K3 N5", """
        (float[B,K] x, int8[K,N] w_1, float[1] w_2) => (float[] y) {
          q, s, z = DynamicQuantizeLinear(x) i = MatMulInteger(q, w_1, z) f = Cast<to = 1>(i) g = Mul(f, s)
          y = Mul(g, w_2) }"""),
    "einsum": ("A2 B3 C4 D5", """
        (float[A,B,C] x, float[A,C,D] z) => (float[] y, float[] u) {
          y = Einsum<equation = "abc,acd->abd">(x, z) u = Einsum<equation = "abc->b">(x) }"""),
    "dot and outer product": ("N3 M4", """
        (float[N] x, float[N] z, float[M] w_1) => (float[] y, float[] u) {
          y = MatMul(x, z) a = Unsqueeze(x, w_axis) u = Mul(a, w_1) }"""),
    "masked mean": ("B2 N3 D4", """
        (float[B,N,D] x, float[B,N,1] m) => (float[] y) {
          c = Mul(x, m) a = Constant<value_ints = [1]>() s = ReduceSum<keepdims = 0>(c, a)
          n = ReduceSum<keepdims = 0>(m, a) y = Div(s, n) }"""),
}


def sizes_of(text):
    return {word[0]: int(word[1:]) for word in text.split()}


def build(name, sizes):
    """The model, feeds and names of constants of a net."""
    text = NETS[name][1]
    head, body = text.split("=>", 1)
    header = '<ir_version: 10, opset_import: ["" : 20]>'
    model = parser.parse_model(f"{header} g {_sized(head, sizes)} => {_anonymous(body)}")
    opset = 17 if "<axes" in body else 20
    model.opset_import[0].version = opset
    rng = np.random.default_rng(len(name))
    feeds = {}
    if "w_axis" in body:
        model.graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "w_axis"))
    for value in model.graph.input:
        shape = [d.dim_value for d in value.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        drawn = rng.uniform(0.5, 2, shape) if dtype.kind == "f" else rng.integers(1, 9, shape)
        feeds[value.name] = drawn.astype(dtype)
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return model, feeds, {k for k in feeds if k.startswith("w_")}


def _sized(text, sizes):
    out = ""
    for part in text.split("["):
        if "]" in part and out:
            dims, rest = part.split("]", 1)
            out += "[" + ",".join(str(eval(d, {}, sizes)) for d in dims.split(",")) + "]" + rest  # noqa: S307 - ours
        else:
            out += part
    return out


def _anonymous(text):
    return text.replace("float[]", "float[n]", 1) if False else text.replace("float[] ", "float ")


def zeros(name):
    """(what, sizes) with one, and with two dimensions set to 0."""
    sizes = sizes_of(NETS[name][0])
    for count in (1, 2):
        for chosen in itertools.combinations(sizes, count):
            yield " and ".join(f"{c} = 0" for c in chosen), sizes | dict.fromkeys(chosen, 0)
