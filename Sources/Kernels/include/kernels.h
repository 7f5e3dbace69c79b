// Kernels: the arithmetic loops of Efferent, behind one calling convention.
//
// A plan is a flat list of eff_op. Each op names a kernel (chosen once, when a session is created), its parameters (one
// of the structs below, immutable, owned by the policy) and the addresses of its operands. A kernel processes `rows`
// independent rows: operand i of row r starts at (char *)p[i] + r * stride[i]; stride 0 means that all rows share it.
// Within one row every tensor is dense, C order, unless strides are given. Kernels never allocate, lock or call the
// system.
//
// Every kernel exists as a naive twin (level EFF_ISA_NAIVE, the plainest possible loops) and, where it pays, once per
// instruction set. Data types are ONNX TensorProto codes. Integers wrap. Shapes were checked when the plan was made;
// only values that arrive at run time (indices, sequence lengths) are clamped here.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifndef EFF_RT
#if defined(__clang__)
#define EFF_RT __attribute__((swift_attr("@_noLocks")))
#else
#define EFF_RT
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum { EFF_OP_OPERANDS = 14, EFF_RANK = 8 };

typedef struct eff_op eff_op;
typedef void (*eff_kernel)(const eff_op *op, int64_t rows);
struct eff_op {
  eff_kernel run;
  const void *params;
  // inputs first, then outputs, then scratch; NULL where an optional operand is absent
  void *p[EFF_OP_OPERANDS];
  int64_t stride[EFF_OP_OPERANDS];  // bytes from one row to the next
};

// Runs ops in order. The whole hot loop of a session.
static inline EFF_RT void eff_ops_run(const eff_op *ops, int64_t count, int64_t rows) {
  for (int64_t i = 0; i < count; i++) ops[i].run(&ops[i], rows);
}

// ---- instruction sets ----

enum { EFF_ISA_NAIVE = 0, EFF_ISA_SSE2 = 1, EFF_ISA_AVX2 = 2, EFF_ISA_AVX512 = 3, EFF_ISA_NEON = 4, EFF_ISA_COUNT = 5 };
int32_t eff_isa_best(void);                // best level of this processor
int32_t eff_isa_supported(int32_t level);  // 1 where this processor runs it (NAIVE always)
const char *eff_isa_name(int32_t level);   // "naive", "sse2", "avx2", "avx512", "neon"
int32_t eff_isa_parse(const char *name);   // -1 where unknown

// ---- weights as a file holds them: packing reads f32 from any address ----

typedef float eff_loose_float __attribute__((aligned(1)));

// ---- data types: ONNX TensorProto.DataType ----

enum {
  EFF_TYPE_F32 = 1,
  EFF_TYPE_U8 = 2,
  EFF_TYPE_I8 = 3,
  EFF_TYPE_U16 = 4,
  EFF_TYPE_I16 = 5,
  EFF_TYPE_I32 = 6,
  EFF_TYPE_I64 = 7,
  EFF_TYPE_BOOL = 9,
  EFF_TYPE_F16 = 10,
  EFF_TYPE_F64 = 11,
  EFF_TYPE_U32 = 12,
  EFF_TYPE_U64 = 13,
  EFF_TYPE_BF16 = 16,
  EFF_TYPE_U4 = 21,
  EFF_TYPE_I4 = 22 // one byte each; they are moved, nothing else
};

// ---- kernels ----
// operands are listed as: inputs -> outputs (scratch)
enum {
  EFF_K_UNARY = 1,            // x -> y                                   eff_unary
  EFF_K_BINARY = 2,           // a, b -> y                                eff_binary
  EFF_K_WHERE = 3,            // condition, a, b -> y                     eff_where
  EFF_K_CAST = 4,             // x -> y                                   eff_cast
  EFF_K_COPY = 5,             // x -> y                                   eff_strided
  EFF_K_FILL = 6,             // scalar -> y                              eff_fill
  EFF_K_GATHER = 7,           // x, indices -> y                          eff_gather
  EFF_K_GATHER_ELEMENTS = 8,  // x, indices -> y                          eff_elements
  EFF_K_GATHER_ND = 9,        // x, indices -> y                          eff_nd
  EFF_K_SCATTER_ELEMENTS = 10,// indices, updates -> y (y holds the data already)  eff_elements
  EFF_K_SCATTER_ND = 11,      // indices, updates -> y (y holds the data already)  eff_nd
  EFF_K_ONE_HOT = 12,         // indices, values[2] -> y                  eff_one_hot
  EFF_K_REDUCE = 13,          // x -> y                                   eff_reduce
  EFF_K_ARG = 14,             // x -> y (i64)                             eff_arg
  EFF_K_SOFTMAX = 15,         // x -> y                                   eff_softmax
  EFF_K_CUMULATE = 16,        // x -> y                                   eff_cumulate
  EFF_K_TOPK = 17,            // x -> values, indices (i64)               eff_topk
  EFF_K_DENSE = 18,           // x, packed -> y                           eff_dense     f32; packed by eff_dense_pack
  EFF_K_MATMUL = 19,          // a, b, bias? -> y                         eff_matmul
  EFF_K_CONV = 20,            // x, w, bias? -> y                         eff_conv
  EFF_K_CONV_PACKED = 21,     // x, packed -> y (scratch)                 eff_conv      f32; packed by eff_conv_pack
  EFF_K_CONV_TRANSPOSE = 22,  // x, w, bias? -> y                         eff_conv
  EFF_K_POOL = 23,            // x -> y, indices? (i64)                   eff_pool
  EFF_K_NORM = 24,            // x, scale?, bias? -> y, mean?, inv_std?   eff_norm
  EFF_K_RNN = 25,             // x, w, r, b?, lengths?(i32), h0?, c0?, p? -> y?, y_h?, y_c? (scratch)   eff_rnn
  EFF_K_RNN_PACKED = 26,      // x, packed, h0?, c0? -> y?, y_h?, y_c? (scratch)   eff_rnn   f32; packed by eff_rnn_pack
  EFF_K_RESIZE = 27,          // x -> y                                   eff_resize
  EFF_K_RANDOM = 28,          // state (eff_random_state, one per row), input? -> y   eff_random
  EFF_K_QUANTIZE = 29,        // x, scale, zero? -> y                     eff_quantize
  EFF_K_DEQUANTIZE = 30,      // x, scale, zero? -> y                     eff_quantize
  EFF_K_DYNAMIC_QUANTIZE = 31,// x -> y (u8), scale (f32), zero (u8)      eff_fill (count)
  EFF_K_MATMUL_INTEGER = 32,  // a, b, a_zero?, b_zero? -> y (i32)        eff_matmul
  EFF_K_ATTENTION = 33,       // q, k, v, mask? -> y (scratch)            eff_attention
  EFF_K_GRID_SAMPLE = 34,     // x, grid -> y                             eff_grid_sample
  EFF_K_LRN = 35,             // x -> y                                   eff_lrn
  EFF_K_DET = 36,             // x -> y (scratch: n*n)                    eff_det
  EFF_K_CONV_INTEGER = 37,    // x, w, x_zero?, w_zero? -> y (i32)        eff_conv
  // condition (bool), body, first row, both? eff_branch    calls other ops, for the rows that want them
  EFF_K_BRANCH = 60,
  EFF_K_TREES = 38,           // x, nodes, roots, leaves, targets, weights -> y, has (bool)   eff_trees   f32, f64
  EFF_K_COUNT = 64
};

// The kernel of an id for the element type(s) at an ISA level, or the best lower level; NULL where the type is not
// supported.
// `type` is the type of the first input. EFF_K_COPY, FILL, WHERE, GATHER*: of the data; SCATTER*: of the updates;
// ONE_HOT: of the values; RANDOM: of the input, any type where there is none.
eff_kernel eff_kernel_find(int32_t id, int32_t type, int32_t level);

// y[i] = fn(x[i]); alpha and beta as ONNX names them. Also the activation codes of the fused kernels.
enum {
  EFF_FN_IDENTITY = 0,
  EFF_FN_RELU = 1,
  EFF_FN_TANH = 2,
  EFF_FN_SIGMOID = 3,
  EFF_FN_ELU = 4 /* alpha */,
  EFF_FN_LEAKY_RELU = 5 /* alpha */,
  EFF_FN_SELU = 6 /* alpha, beta = gamma */,
  EFF_FN_CELU = 7 /* alpha */,
  EFF_FN_SOFTPLUS = 8,
  EFF_FN_SOFTSIGN = 9,
  EFF_FN_SWISH = 10 /* x sigmoid(alpha x) */,
  EFF_FN_MISH = 11,
  EFF_FN_GELU = 12 /* erf */,
  EFF_FN_GELU_TANH = 13,
  EFF_FN_HARD_SIGMOID = 14 /* alpha, beta */,
  EFF_FN_HARD_SWISH = 15,
  EFF_FN_THRESHOLDED_RELU = 16 /* alpha */,
  EFF_FN_CLIP = 17 /* [alpha, beta]; NaN stays NaN */,
  EFF_FN_AFFINE = 18 /* alpha x + beta */,
  EFF_FN_EXP = 19,
  EFF_FN_LOG = 20,
  EFF_FN_SQRT = 21,
  EFF_FN_RECIPROCAL = 22,
  EFF_FN_NEG = 23,
  EFF_FN_ABS = 24,
  EFF_FN_SIGN = 25,
  EFF_FN_FLOOR = 26,
  EFF_FN_CEIL = 27,
  EFF_FN_ROUND = 28 /* half to even */,
  EFF_FN_SIN = 29,
  EFF_FN_COS = 30,
  EFF_FN_TAN = 31,
  EFF_FN_ASIN = 32,
  EFF_FN_ACOS = 33,
  EFF_FN_ATAN = 34,
  EFF_FN_SINH = 35,
  EFF_FN_COSH = 36,
  EFF_FN_ASINH = 37,
  EFF_FN_ACOSH = 38,
  EFF_FN_ATANH = 39,
  EFF_FN_ERF = 40,
  EFF_FN_SQUARE = 41,
  EFF_FN_NOT = 42 /* bool */,
  EFF_FN_BIT_NOT = 43,
  EFF_FN_IS_NAN = 44 /* -> bool */,
  EFF_FN_IS_INF = 45 /* -> bool; alpha: detect -inf, beta: +inf */,
  EFF_FN_SCALED_TANH = 46 /* alpha tanh(beta x) */
};
typedef struct { int64_t count; int32_t fn, reserved; double alpha, beta; } eff_unary;

// y = fn(a, b), y dense over dims; strides in elements, 0 where broadcast.
enum {
  EFF_FN2_ADD = 0, EFF_FN2_SUB = 1, EFF_FN2_MUL = 2,
  EFF_FN2_DIV = 3,  // integers: toward zero; by zero gives 0
  EFF_FN2_POW = 4,
  EFF_FN2_MOD = 5,                   // sign of b
  EFF_FN2_FMOD = 6,                  // sign of a
  EFF_FN2_MIN = 7, EFF_FN2_MAX = 8,  // NaN wins in both
  EFF_FN2_PRELU = 9,                 // a < 0 ? a b : a
  EFF_FN2_AND = 10, EFF_FN2_OR = 11, EFF_FN2_XOR = 12,
  EFF_FN2_BIT_AND = 13, EFF_FN2_BIT_OR = 14, EFF_FN2_BIT_XOR = 15, EFF_FN2_SHIFT_LEFT = 16, EFF_FN2_SHIFT_RIGHT = 17,
  // 32 and above: y is bool
  EFF_FN2_EQUAL = 32, EFF_FN2_LESS = 33, EFF_FN2_LESS_EQUAL = 34, EFF_FN2_GREATER = 35, EFF_FN2_GREATER_EQUAL = 36
};
typedef struct { int32_t fn, rank; int64_t dims[EFF_RANK], a[EFF_RANK], b[EFF_RANK]; } eff_binary;
typedef struct { int32_t rank, reserved; int64_t dims[EFF_RANK], c[EFF_RANK], a[EFF_RANK], b[EFF_RANK]; } eff_where;

// Numeric conversion as a C cast; to bool: x != 0; float to integer: toward zero, saturating, NaN gives 0.
typedef struct { int64_t count; int32_t from, to; } eff_cast;

// y[y_offset + sum i*y[d]] = x[x_offset + sum i*x[d]] over dims; strides and offsets in elements, may be negative or 0.
// Serves transpose, slice, split, concat, expand, tile, constant padding.
typedef struct {
  int32_t rank, reserved;
  int64_t dims[EFF_RANK], x[EFF_RANK], y[EFF_RANK], x_offset, y_offset;
} eff_strided;
typedef struct { int64_t count; } eff_fill;

// x [outer, axis, inner], indices [indices] (i32 or i64, negative counts from the end, clamped) -> y [outer, indices,
// inner]
typedef struct { int64_t outer, axis, inner, indices; int32_t index_type, reserved; } eff_gather;
// GatherElements / ScatterElements. dims: shape of indices; data: shape of the gathered / scattered tensor. reduction:
// eff_scatter codes.
enum { EFF_SCATTER_SET = 0, EFF_SCATTER_ADD = 1, EFF_SCATTER_MUL = 2, EFF_SCATTER_MIN = 3, EFF_SCATTER_MAX = 4 };
typedef struct { int32_t rank, axis, index_type, reduction; int64_t dims[EFF_RANK], data[EFF_RANK]; } eff_elements;
// GatherND / ScatterND. batch: product of batch dims; tuples: index tuples per batch; depth: length of a tuple;
// data: the dims that a tuple indexes; inner: elements of a slice.
typedef struct { int32_t depth, index_type, reduction, reserved; int64_t batch, tuples, inner, data[EFF_RANK]; } eff_nd;
// indices [outer, inner] of index_type -> y [outer, depth, inner]; values[0] = off, values[1] = on; an index outside
// [-depth, depth) gives all off.
typedef struct { int64_t outer, depth, inner; int32_t index_type, reserved; } eff_one_hot;

// kept dims and reduced dims with x strides (elements); y is dense over the kept dims, in order.
enum {
  EFF_REDUCE_SUM = 0,
  EFF_REDUCE_MEAN = 1,
  EFF_REDUCE_MAX = 2,
  EFF_REDUCE_MIN = 3,
  EFF_REDUCE_PROD = 4,
  EFF_REDUCE_L1 = 5,
  EFF_REDUCE_L2 = 6,
  EFF_REDUCE_LOG_SUM = 7,
  EFF_REDUCE_LOG_SUM_EXP = 8,
  EFF_REDUCE_SUM_SQUARE = 9
};
typedef struct {
  int32_t fn, kept_rank, reduced_rank, reserved;
  int64_t kept[EFF_RANK], kept_stride[EFF_RANK], reduced[EFF_RANK], reduced_stride[EFF_RANK];
} eff_reduce;
// x [outer, n, inner] -> index of the extreme along n; last: of several equal ones take the last.
typedef struct { int64_t outer, n, inner; int32_t is_max, last; } eff_arg;
enum { EFF_SOFTMAX_SOFT = 0, EFF_SOFTMAX_LOG = 1, EFF_SOFTMAX_HARD = 2 };
typedef struct { int64_t outer, n, inner; int32_t fn, reserved; } eff_softmax;
typedef struct { int64_t outer, n, inner; int32_t exclusive, reverse, product, reserved; } eff_cumulate;
// x [outer, n, inner] -> [outer, k, inner], ties to the lower index, always sorted.
typedef struct { int64_t outer, n, inner, k; int32_t largest, reserved; } eff_topk;

// y[m, n] = act(x[m, k] W[k, n] + b[n]); rows of x are ldx, rows of y ldy elements apart; rows of a session multiply m.
// `weights` is the packed format: EFF_TYPE_F32, F16, BF16 or I8. packed is made for one ISA level and m by
// eff_dense_pack (f32 from 24 rows on has a format of its own).
// F16, BF16: weights rounded to nearest (BF16: within half a unit; below 1e-20 they count as 1e-20), x and sums stay
// f32.
// I8: one scale per output, weights within half a step of it; x is rounded to 16-bit integers, one scale per row and
// 512 inputs, and summed exactly.
// A value of x that is not finite makes its row of an I8 layer NaN.
typedef struct { int64_t m, k, n, ldx, ldy; int32_t act, weights; double alpha, beta; } eff_dense;
int64_t eff_dense_packed_size(const eff_dense *d, int32_t level);
// w[k_index * k_stride + n_index * n_stride], both at any address; bias may be NULL.
void eff_dense_pack(const eff_dense *d, int32_t level, const float *w, int64_t k_stride, int64_t n_stride,
                    const float *bias, void *packed);

// y[batch.., m, n] = act(alpha * a[batch.., m, k] b[batch.., k, n] + beta * bias); all strides in elements, batch
// strides 0 where broadcast; y dense; bias strides (m, n) with 0 for broadcast.
typedef struct {
  int64_t m, n, k, a_m, a_k, b_k, b_n, bias_m, bias_n;
  int32_t batch_rank, act;
  int64_t batch[EFF_RANK], a_batch[EFF_RANK], b_batch[EFF_RANK];
  double alpha, beta; double act_alpha, act_beta;
  int64_t a_zero_m, b_zero_n;  // MATMUL_INTEGER: stride of the zero points (0: one for all)
  int32_t b_type, reserved;    // MATMUL_INTEGER: type of b and its zero point (0: that of a)
} eff_matmul;

// x [batch, in_channels, in..] w [out_channels, in_channels/groups, kernel..] -> y [batch, out_channels, out..]; 1 to 3
// spatial dims.
// CONV_TRANSPOSE: w [in_channels, out_channels/groups, kernel..]; pads are those of ONNX (begin).
typedef struct {
  int64_t batch, in_channels, out_channels, groups; int32_t spatial, act; double alpha, beta;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
  int64_t w_zero_stride;  // CONV_INTEGER: 0 or 1
  int32_t w_type;         // CONV_INTEGER: type of w and its zero point (0: that of x)
  int32_t keeps_weights;  // CONV_PACKED: 1: packed weights are those of w in another order, and made of them nowhere
} eff_conv;
// 0: this convolution has no packed kernel, use EFF_K_CONV
int64_t eff_conv_packed_size(const eff_conv *c, int32_t level);
int64_t eff_conv_scratch_size(const eff_conv *c, int32_t level);
void eff_conv_pack(const eff_conv *c, int32_t level, const float *w, const float *bias, void *packed);

// x [batch, channels, in..] -> [batch, channels, out..]; out is given, so ceil_mode needs no code here.
enum { EFF_POOL_MAX = 0, EFF_POOL_AVERAGE = 1, EFF_POOL_LP = 2 };
typedef struct {
  int64_t batch, channels; int32_t spatial, fn, count_include_pad, column_major /* of the indices */; double p;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3];
} eff_pool;

// Normalizes `outer` groups of n contiguous elements: y = (x - mean) / sqrt(var + epsilon) * scale + bias (rms: no
// mean).
// mean and inv_std are f32 (f64 for f64), one per group.
// scale and bias have n elements where affine = EFF_NORM_ELEMENT; one per channel, channel = (group * n + i) / inner %
// channels, where EFF_NORM_CHANNEL.
enum { EFF_NORM_ELEMENT = 0, EFF_NORM_CHANNEL = 1 };
typedef struct {
  int64_t outer, n, channels, inner;
  int32_t rms, affine, act, reserved;
  double epsilon, alpha, beta;
} eff_norm;

// ONNX layouts: x [time, batch, input], w [dirs, gates*hidden, input], r [dirs, gates*hidden, hidden], b [dirs,
// 2*gates*hidden], h0, c0 [dirs, batch, hidden], p [dirs, 3*hidden] -> y [time, dirs, batch, hidden], y_h, y_c [dirs,
// batch, hidden].
// Gate order as in ONNX: LSTM i o f c; GRU z r h. y_h may not alias h0. act, alpha, beta: f, g, h of ONNX that the cell
// has (LSTM 3, GRU 2, PLAIN 1), all of the first direction, then those of the second.
enum { EFF_RNN_PLAIN = 0, EFF_RNN_GRU = 1, EFF_RNN_LSTM = 2 };
typedef struct {
  int32_t cell, dirs, reverse /* the single direction runs backward */, linear_before_reset, input_forget, has_clip;
  double clip;
  int64_t time, batch, input, hidden; int32_t act[6]; double alpha[6], beta[6];
  int32_t weights;  // RNN_PACKED: format as in eff_dense (0: f32)
  int32_t dynamic;  // RNN, LSTM: each step rounds the state h to 8 bits, as DYNAMIC_QUANTIZE does, before it meets r
} eff_rnn;
int64_t eff_rnn_scratch_size(const eff_rnn *r);
int64_t eff_rnn_packed_size(const eff_rnn *r, int32_t level);  // 0: no packed kernel for these options
int64_t eff_rnn_packed_scratch_size(const eff_rnn *r, int32_t level);
void eff_rnn_pack(const eff_rnn *r, int32_t level, const float *w, const float *recurrent, const float *b,
                  void *packed);

// x [outer, in..] -> y [outer, out..], up to 5 resized dims. coordinate: ONNX coordinate_transformation_mode in the
// order of the enum.
enum { EFF_RESIZE_NEAREST = 0, EFF_RESIZE_LINEAR = 1, EFF_RESIZE_CUBIC = 2 };
enum {
  EFF_COORD_HALF_PIXEL = 0,
  EFF_COORD_ASYMMETRIC = 1,
  EFF_COORD_ALIGN_CORNERS = 2,
  EFF_COORD_PYTORCH_HALF_PIXEL = 3,
  EFF_COORD_TF_CROP = 4,
  EFF_COORD_HALF_PIXEL_SYMMETRIC = 5
};
enum {
  EFF_NEAREST_ROUND_PREFER_FLOOR = 0,
  EFF_NEAREST_ROUND_PREFER_CEIL = 1,
  EFF_NEAREST_FLOOR = 2,
  EFF_NEAREST_CEIL = 3
};
typedef struct {
  int64_t outer; int32_t rank, mode, coordinate, nearest, exclude_outside, antialias; double cubic_a, extrapolation;
  int64_t in[5], out[5]; double scale[5], roi_start[5], roi_end[5];
} eff_resize;

// xoshiro256++, a generator per row: what a row draws depends on no other row, and a row for which the op is not called
// draws nothing. fn: 0 uniform [low, high), 1 normal(mean = low, std = high), 2 bernoulli (input = probability), 3
// multinomial (input = [outer, n] unnormalized log-probabilities -> count samples per outer).
typedef struct { uint64_t s[4]; } eff_random_state;
typedef struct { int64_t count, outer, n; int32_t fn, out_type; double low, high; } eff_random;
// The beginning of the stream of (seed, row).
EFF_RT void eff_random_seed(eff_random_state *state, uint64_t seed, uint64_t row);

// The position of the first number that is NaN or infinite, or -1.
EFF_RT int64_t eff_first_not_finite(const float *x, int64_t count);
// Sets what is NaN or infinite to 0; how many there were.
EFF_RT int64_t eff_clear_not_finite(float *x, int64_t count);

// [outer, axis, inner]; scale and zero have `axis` elements, or [outer, ceil(axis / block), inner] where block > 0.
// quantized: the integer type, also of zero; real: the type of the scale, and of y where it is DEQUANTIZE.
typedef struct { int64_t outer, axis, inner, block; int32_t quantized, real; } eff_quantize;

// q [batch, heads, lq, dk], k [batch, kv_heads, lk, dk], v [batch, kv_heads, lk, dv] -> y [batch, heads, lq, dv];
// strides in elements.
// y = softmax(scale q k' (softcap) + mask) v. mask f32 with strides (0 = broadcast); causal adds -inf above the
// diagonal (offset lk - lq: none, ONNX: query i sees keys <= i + past).
typedef struct {
  int64_t batch, heads, kv_heads, lq, lk, dk, dv, past; int32_t causal, reserved; double scale, softcap;
  int64_t q[4], k[4], v[4], y[4], mask[4];
} eff_attention;
int64_t eff_attention_scratch_size(const eff_attention *a);

// mode: 0 linear, 1 nearest, 2 cubic; padding: 0 zeros, 1 border, 2 reflection. x [batch, channels, in..], grid [batch,
// out.., spatial]
typedef struct {
  int64_t batch, channels;
  int32_t spatial, mode, padding, align_corners;
  int64_t in[3], out[3];
  int32_t grid_type /* 0: that of x */, reserved;
} eff_grid_sample;
typedef struct { int64_t batch, channels, inner, size; double alpha, beta, bias; } eff_lrn;
typedef struct { int64_t count, n; } eff_det;

// Calls the `count` ops at `body` for the rows whose condition is `wanted`, run by run of neighbours: what a row
// computes is what it computes alone, and a row that does not want the body is not touched by it. `first row` is an
// address that counts rows: it starts at 0 and moves one byte a row, so that a branch inside of a branch knows where
// its rows are. `both` points to a byte; where it is not 0, all rows want the body (to touch the memory of both
// branches ahead of time).
typedef struct { int64_t count; int32_t wanted, reserved; } eff_branch;

// A forest over x [batch, features]. roots (i32) and the branches of nodes: a node where not negative, else the
// complement of a leaf.
// leaves (i32): first weight and number of weights of each; targets (i32) and weights (type of x): one entry per
// weight.
// y[b, t]: sum, least or largest weight of the leaves that are reached; has[b, t]: whether there was one, else y is 0.
// No path visits a node twice (checked at load), so a walk takes as many steps as the tree is deep. A NaN goes the way
// of its comparison, but to `yes` where the mode has EFF_TREE_MISSING. The value of a node has the type of x.
enum {
  EFF_TREE_LEQ = 0,
  EFF_TREE_LT = 1,
  EFF_TREE_GTE = 2,
  EFF_TREE_GT = 3,
  EFF_TREE_EQ = 4,
  EFF_TREE_NEQ = 5,
  EFF_TREE_MISSING = 8
};
enum { EFF_TREES_SUM = 0, EFF_TREES_MIN = 1, EFF_TREES_MAX = 2 };
typedef struct { float value; int32_t feature_mode /* feature * 16 + mode */, yes, no; } eff_tree_node_f32;
typedef struct { double value; int32_t feature_mode, yes, no, reserved; } eff_tree_node_f64;
typedef struct {
  int64_t batch, features, trees, targets;
  int32_t aggregate, only_leq /* every mode is LEQ */;
} eff_trees;

#ifdef __cplusplus
}
#endif
