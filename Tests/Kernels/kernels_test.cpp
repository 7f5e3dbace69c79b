// The generic kernels against hand-computed values, most of them the examples of the ONNX operator documents, and
// against loops in double.
// Buffers have their exact size on the heap, so that the address sanitizer sees every stray access.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <initializer_list>

#include "../../Sources/Kernels/internal.h"

static int passed, failed;

static void check(const char *what, int64_t i, double got, double want, double tolerance = 1e-5) {
  const bool ok = got == want || (isnan(got) && isnan(want)) || fabs(got - want) <= tolerance * fmax(1, fabs(want));
  ok ? passed++ : failed++;
  if (!ok) printf("FAILED %s[%lld]: got %.9g, expected %.9g\n", what, (long long)i, got, want);
}

template <class T> struct array {
  T *p;
  int64_t n;
  explicit array(int64_t n) : p((T *)calloc((size_t)n, sizeof(T))), n(n) {}
  array(std::initializer_list<T> v) : array((int64_t)v.size()) {
    if (v.size()) memcpy(p, v.begin(), v.size() * sizeof(T));
  }
  array(const array &) = delete;
  ~array() { free(p); }
  operator T *() const { return p; }
  void iota(double from = 0, double step = 1) const {
    for (int64_t i = 0; i < n; i++) p[i] = (T)(from + step * (double)i);
  }
  // a fixed sequence in (-1, 1)
  void scramble(uint32_t s) const {
    for (int64_t i = 0; i < n; i++) s = s * 1664525u + 1013904223u, p[i] = (T)((double)s / 2147483648.0 - 1);
  }
  void are(const char *what, std::initializer_list<double> want, double tolerance = 1e-5) const {
    check(what, -1, (double)n, (double)want.size());
    for (int64_t i = 0; i < n && i < (int64_t)want.size(); i++)
      check(what, i, (double)p[i], want.begin()[i], tolerance);
  }
};

template <class P> static void run(int id, int type, const P &params, std::initializer_list<void *> p,
                                   std::initializer_list<int64_t> strides = {}, int64_t rows = 1) {
  eff_op op = {eff_kernel_find(id, type, EFF_ISA_NAIVE), &params, {}, {}};
  if (!op.run) return check("kernel exists", id, type, -1);
  for (size_t i = 0; i < p.size(); i++) op.p[i] = p.begin()[i];
  for (size_t i = 0; i < strides.size(); i++) op.stride[i] = strides.begin()[i];
  eff_ops_run(&op, 1, rows);
}

enum {
  F32 = EFF_TYPE_F32,
  F64 = EFF_TYPE_F64,
  F16 = EFF_TYPE_F16,
  BF16 = EFF_TYPE_BF16,
  I8 = EFF_TYPE_I8,
  U8 = EFF_TYPE_U8,
  I32 = EFF_TYPE_I32,
  I64 = EFF_TYPE_I64,
  U32 = EFF_TYPE_U32,
  BOOL = EFF_TYPE_BOOL
};

static void test_types() {
  for (int type : {(int)F16, (int)BF16}) {
    array<uint16_t> all(65536), back(65536);
    array<float> wide(65536);
    all.iota();
    run(EFF_K_CAST, type, eff_cast{65536, type, F32}, {all, wide});
    run(EFF_K_CAST, F32, eff_cast{65536, F32, type}, {wide, back});
    int64_t wrong = 0;
    for (int i = 0; i < 65536; i++) wrong += isnan(wide[i]) ? !(back[i] & 0x7f) && type == BF16 : back[i] != all[i];
    check("every 16-bit float survives f32", type, (double)wrong, 0);
  }
  // halfway cases go to even; the largest finite half is 65504
  array<float> ties{1 + 0x1p-11f, 1 + 3 * 0x1p-11f, 65519, 65520, 0x1p-25f, 1.5f * 0x1p-24f};
  array<uint16_t> half(6);
  run(EFF_K_CAST, F32, eff_cast{6, F32, F16}, {ties, half});
  half.are("round half", {0x3c00, 0x3c02, 0x7bff, 0x7c00, 0, 2});
  // 1 + 2^-11 + a little is not a tie, though it is one after rounding to f32
  array<double> sticky{1 + 0x1p-11 + 0x1p-40};
  run(EFF_K_CAST, F64, eff_cast{1, F64, F16}, {sticky, half});
  check("f64 to f16 rounds once", 0, half[0], 0x3c01);
  array<float> x{NAN, INFINITY, -INFINITY, 1e20f, -2.9f, 300, -0.5f};
  array<int32_t> i32(7);
  array<uint8_t> u8(7), flags(7);
  run(EFF_K_CAST, F32, eff_cast{7, F32, I32}, {x, i32});
  i32.are("f32 to i32", {0, INT32_MAX, INT32_MIN, INT32_MAX, -2, 300, 0});
  run(EFF_K_CAST, F32, eff_cast{7, F32, U8}, {x, u8});
  u8.are("f32 to u8", {0, 255, 0, 255, 0, 255, 0});
  run(EFF_K_CAST, F32, eff_cast{7, F32, BOOL}, {x, flags});
  flags.are("f32 to bool", {1, 1, 1, 1, 1, 1, 1});
}

static void test_elementwise() {
  array<float> x{-2, -0.5f, 0, 0.5f, 3, NAN}, y(6);
  const auto unary = [&](int fn, double a = 0, double b = 0) {
    run(EFF_K_UNARY, F32, eff_unary{6, fn, 0, a, b}, {x, y});
  };
  unary(EFF_FN_RELU), y.are("relu", {0, 0, 0, 0.5, 3, NAN});
  unary(EFF_FN_SIGMOID), y.are("sigmoid", {0.11920292, 0.37754067, 0.5, 0.62245933, 0.95257413, NAN});
  unary(EFF_FN_GELU), y.are("gelu", {-0.04550026, -0.15426877, 0, 0.34573123, 2.9959502, NAN});
  unary(EFF_FN_ELU, 2), y.are("elu", {-1.7293294, -0.78693868, 0, 0.5, 3, NAN});
  unary(EFF_FN_CLIP, -1, 1), y.are("clip", {-1, -0.5, 0, 0.5, 1, NAN});
  unary(EFF_FN_ROUND), y.are("round half to even", {-2, -0.0, 0, 0, 3, NAN});
  unary(EFF_FN_MISH), y.are("mish", {-0.25250148, -0.22074665, 0, 0.37524524, 2.9865351, NAN});
  array<int32_t> i{INT32_MIN, -7, 7}, j{-1, 2, 0}, k(3);
  run(EFF_K_UNARY, I32, eff_unary{3, EFF_FN_ABS, 0, 0, 0}, {i, k}), k.are("abs wraps", {INT32_MIN, 7, 7});
  const auto whole = [&](int fn) { run(EFF_K_BINARY, I32, eff_binary{fn, 1, {3}, {1}, {1}}, {i, j, k}); };
  whole(EFF_FN2_DIV), k.are("integer division", {INT32_MIN, -3, 0});
  whole(EFF_FN2_MOD), k.are("modulo", {0, 1, 0});
  whole(EFF_FN2_FMOD), k.are("remainder", {0, -1, 0});
  whole(EFF_FN2_MUL), k.are("product wraps", {INT32_MIN, -14, 0});
  whole(EFF_FN2_POW), k.are("integer power", {0, 49, 1});
  array<uint8_t> bits{255, 16, 1, 128}, by{1, 4, 8, 200}, shifted(4);
  run(EFF_K_BINARY, U8, eff_binary{EFF_FN2_SHIFT_LEFT, 1, {4}, {1}, {1}}, {bits, by, shifted}),
      shifted.are("shift left", {254, 0, 0, 0});
  run(EFF_K_BINARY, U8, eff_binary{EFF_FN2_SHIFT_RIGHT, 1, {4}, {1}, {1}}, {bits, by, shifted}),
      shifted.are("shift right", {127, 1, 0, 0});
  array<float> m{NAN, 1, -5.5f}, n{2, NAN, 3}, o(3);
  const auto real = [&](int fn) { run(EFF_K_BINARY, F32, eff_binary{fn, 1, {3}, {1}, {1}}, {m, n, o}); };
  real(EFF_FN2_MAX), o.are("NaN wins", {NAN, NAN, 3});
  real(EFF_FN2_MOD), o.are("modulo of floats", {NAN, NAN, 0.5});
  // [2, 1, 3] + [4, 1] for two rows that share b
  array<float> a(12), b(4), sum(48);
  a.iota(), b.iota(0, 100);
  run(EFF_K_BINARY, F32, eff_binary{EFF_FN2_ADD, 3, {2, 4, 3}, {3, 0, 1}, {0, 1, 0}}, {a, b, sum}, {24, 0, 96}, 2);
  for (int r = 0; r < 2; r++)
    for (int e = 0; e < 24; e++) check("broadcast", e, sum[r * 24 + e], r * 6 + e / 12 * 3 + e % 3 + e / 3 % 4 * 100);
  array<uint8_t> less(4), pick{1, 0, 1, 0};
  run(EFF_K_BINARY, F32, eff_binary{EFF_FN2_LESS, 1, {2}, {1}, {0}}, {a, b + 3, less}, {8, 0, 2}, 2),
      less.are("less", {1, 1, 1, 1});
  run(EFF_K_WHERE, F32, eff_where{1, 0, {4}, {1}, {1}, {0}}, {pick, a, b + 2, sum});
  for (int e = 0; e < 4; e++) check("where", e, sum[e], e % 2 ? 200 : e);
}

static void test_movement() {
  array<int16_t> x(24), y(24);
  x.iota();
  run(EFF_K_COPY, EFF_TYPE_I16, eff_strided{3, 0, {4, 2, 3}, {1, 12, 4}, {6, 3, 1}, 0, 0}, {x, y});
  for (int e = 0; e < 24; e++) check("transpose", e, y[e], e / 6 + e / 3 % 2 * 12 + e % 3 * 4);
  run(EFF_K_COPY, EFF_TYPE_I16, eff_strided{1, 0, {6}, {-1}, {1}, 5, 6}, {x, y}, {12, 24}, 2);
  for (int e = 0; e < 6; e++) check("reverse", e, y[18 + e], 11 - e);
  array<float> data{1, 1.2f, 2.3f, 3.4f, 4.5f, 5.7f}, out(4);
  array<int64_t> rows{-3, INT64_MAX}, wild{INT64_MIN, -1};
  run(EFF_K_GATHER, F32, eff_gather{1, 3, 2, 2, I64, 0}, {data, rows, out}),
      out.are("gather clamps", {1, 1.2, 4.5, 5.7});
  run(EFF_K_GATHER, F32, eff_gather{1, 3, 2, 2, I64, 0}, {data, wild, out}),
      out.are("gather clamps", {1, 1.2, 4.5, 5.7});
  array<int32_t> grid{1, 2, 3, 4, 5, 6, 7, 8, 9}, six(6);
  array<int64_t> at{1, 2, 0, 2, 0, 0};
  run(EFF_K_GATHER_ELEMENTS, I32, eff_elements{2, 0, I64, 0, {2, 3}, {3, 3}}, {grid, at, six}),
      six.are("gather elements", {4, 8, 3, 7, 2, 3});
  array<int64_t> tuple{0, 0, 1, 1};
  run(EFF_K_GATHER_ND, I32, eff_nd{2, I64, 0, 0, 1, 2, 1, {2, 2}}, {grid, tuple, six}),
      check("gather nd", 1, six[1], 4);
  array<float> five{1, 2, 3, 4, 5}, updates{1.1f, 2.1f};
  array<int64_t> same{1, 1}, spots{1, -2};
  run(EFF_K_SCATTER_ELEMENTS, F32, eff_elements{2, 1, I64, EFF_SCATTER_SET, {1, 2}, {1, 5}}, {spots, updates, five}),
      five.are("scatter", {1, 1.1, 3, 2.1, 5});
  run(EFF_K_SCATTER_ELEMENTS, F32, eff_elements{2, 1, I64, EFF_SCATTER_ADD, {1, 2}, {1, 5}}, {same, updates, five}),
      five.are("scatter adds twice", {1, 4.3, 3, 2.1, 5});
  array<int64_t> nd{4, -4, 3, 1 << 20};
  array<int8_t> eight{1, 2, 3, 4, 5, 6, 7, 8}, four{9, 10, 11, 12};
  run(EFF_K_SCATTER_ND, I8, eff_nd{1, I64, EFF_SCATTER_MAX, 0, 1, 4, 1, {8}}, {nd, four, eight}),
      eight.are("scatter nd", {1, 2, 3, 11, 10, 6, 7, 12});
  array<float> values{2, 5}, hot(6);
  array<int64_t> which{-1, 3};
  run(EFF_K_ONE_HOT, F32, eff_one_hot{2, 3, 1, I64, 0}, {which, values, hot}), hot.are("one hot", {2, 2, 5, 2, 2, 2});
}

static void test_reductions() {
  array<float> x{5, 1, 20, 2, 30, 1, 40, 2, 55, 1, 60, 2}, y(6);
  const auto middle = [&](int fn) {
    run(EFF_K_REDUCE, F32, eff_reduce{fn, 2, 1, 0, {3, 2}, {4, 1}, {2}, {2}}, {x, y});
  };
  middle(EFF_REDUCE_MEAN), y.are("mean", {12.5, 1.5, 35, 1.5, 57.5, 1.5});
  middle(EFF_REDUCE_PROD), y.are("product", {100, 2, 1200, 2, 3300, 2});
  middle(EFF_REDUCE_LOG_SUM_EXP),
      y.are("log sum exp", {20.0000003, 2.31326169, 40.0000454, 2.31326169, 60.0067153, 2.31326169});
  middle(EFF_REDUCE_L2), y.are("l2", {20.6155281, 2.23606798, 50, 2.23606798, 81.3941030, 2.23606798});
  run(EFF_K_REDUCE, F32, eff_reduce{EFF_REDUCE_MAX, 0, 1, 0, {}, {}, {0}, {1}}, {x, y}),
      check("max of nothing", 0, y[0], -INFINITY);
  array<int64_t> where(3), order(4);
  run(EFF_K_ARG, F32, eff_arg{3, 4, 1, 0, 0}, {x, where}), where.are("argmin", {1, 1, 1});
  array<float> twos{2, 2, 1, 2}, top(4), soft(3), line{-1, 0, 1};
  run(EFF_K_ARG, F32, eff_arg{1, 4, 1, 1, 1}, {twos, where}), check("last argmax", 0, (double)where[0], 3);
  run(EFF_K_TOPK, F32, eff_topk{1, 4, 1, 4, 1, 0}, {twos, top, order}), order.are("top k keeps order", {0, 1, 3, 2}),
      top.are("top k", {2, 2, 2, 1});
  run(EFF_K_SOFTMAX, F32, eff_softmax{1, 3, 1, EFF_SOFTMAX_SOFT, 0}, {line, soft}),
      soft.are("softmax", {0.09003058, 0.24472848, 0.66524094});
  run(EFF_K_SOFTMAX, F32, eff_softmax{1, 3, 1, EFF_SOFTMAX_LOG, 0}, {line, soft}),
      soft.are("log softmax", {-2.4076061, -1.407606, -0.407606});
  run(EFF_K_SOFTMAX, F32, eff_softmax{1, 3, 1, EFF_SOFTMAX_HARD, 0}, {line, soft}), soft.are("hardmax", {0, 0, 1});
  array<double> five{1, 2, 3, 4, 5}, sums(5);
  run(EFF_K_CUMULATE, F64, eff_cumulate{1, 5, 1, 1, 1, 0, 0}, {five, sums}),
      sums.are("exclusive reverse sum", {14, 12, 9, 5, 0});
}

static void test_products() {
  // every tail of the tiles, both layouts of b
  for (int m : {1, 3, 4, 6}) for (int n : {1, 8, 9, 40, 47}) for (int transposed : {0, 1}) {
    const int k = 19;
    array<float> a(m * k), b(k * n), bias(n), y(m * n);
    a.scramble(1), b.scramble(2), bias.scramble(3);
    eff_matmul p = {};
    p.m = m, p.n = n, p.k = k, p.a_m = k, p.a_k = 1, p.b_k = transposed ? 1 : n, p.b_n = transposed ? k : 1,
    p.bias_n = 1, p.alpha = 2, p.beta = 0.5;
    p.act = EFF_FN_TANH;
    run(EFF_K_MATMUL, F32, p, {a, b, bias, y});
    double worst = 0;
    for (int i = 0; i < m * n; i++) {
      double s = 0;
      for (int e = 0; e < k; e++) s += (double)a[i / n * k + e] * b[transposed ? i % n * k + e : e * n + i % n];
      worst = fmax(worst, fabs(tanh(2 * s + 0.5 * bias[i % n]) - y[i]));
    }
    check("matmul", m * 100 + n, worst, 0, 1e-5);
    eff_dense d = {m, k, n, k, n, EFF_FN_IDENTITY, F32, 0, 0};
    array<float> packed(eff_dense_packed_size(&d, EFF_ISA_NAIVE) / 4);
    eff_dense_pack(&d, EFF_ISA_NAIVE, b, transposed ? 1 : n, transposed ? k : 1, bias, packed);
    run(EFF_K_DENSE, F32, d, {a, packed, y});
    double s = bias[n - 1];
    for (int e = 0; e < k; e++) s += (double)a[(m - 1) * k + e] * b[transposed ? (n - 1) * k + e : e * n + n - 1];
    check("dense", m * 100 + n, y[m * n - 1], s);
  }
  array<uint8_t> a{11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0}, b{1, 4, 2, 5, 3, 6}, za{12}, zb{0};
  array<int32_t> y(8);
  eff_matmul p = {};
  p.m = 4, p.n = 2, p.k = 3, p.a_m = 3, p.a_k = 1, p.b_k = 2, p.b_n = 1;
  run(EFF_K_MATMUL_INTEGER, U8, p, {a, b, za, zb, y}),
      y.are("matmul integer", {-38, -83, -44, -98, -50, -113, -56, -128});
}

static eff_conv conv2d(int64_t in, int64_t out, int64_t kernel, int64_t pad) {
  return {1, 1, 1, 1, 2, 0, 0, 0, {in, in}, {out, out}, {kernel, kernel}, {1, 1}, {1, 1}, {pad, pad}, 0, 0, 0};
}

static void test_windows() {
  array<float> x(25), w(18), y(25), z(50);
  x.iota(), w.iota(1, 0);
  run(EFF_K_CONV, F32, conv2d(5, 5, 3, 1), {x, w, nullptr, y});
  y.are("conv",
        {12, 21, 27, 33, 24, 33, 54, 63, 72, 51, 63, 99, 108, 117, 81, 93, 144, 153, 162, 111, 72, 111, 117, 123, 84});
  eff_conv t = conv2d(3, 5, 3, 0);
  t.out_channels = 2;
  run(EFF_K_CONV_TRANSPOSE, F32, t, {x, w, nullptr, z});
  for (int e = 0; e < 2; e++)
    check("conv transpose", e, z[e * 25 + 12], 36), check("conv transpose", e, z[e * 25 + 19], 13);
  array<uint8_t> q{2, 3, 4, 5, 6, 7, 8, 9, 10}, ones{1, 1, 1, 1}, zero{1};
  array<int32_t> i(4);
  run(EFF_K_CONV_INTEGER, U8, conv2d(3, 2, 2, 0), {q, ones, zero, nullptr, i}), i.are("conv integer", {12, 16, 24, 28});
  x.iota(1);
  array<float> best(4);
  array<int64_t> where(4);
  eff_pool p = {1, 1, 2, EFF_POOL_MAX, 0, 1, 0, {5, 5}, {2, 2}, {2, 2}, {2, 2}, {1, 1}, {}, {}};
  run(EFF_K_POOL, F32, p, {x, best, where}), best.are("max pool", {7, 9, 17, 19}),
      where.are("column major", {6, 16, 8, 18});
  p = {1, 1, 2, EFF_POOL_AVERAGE, 0, 0, 0, {5, 5}, {5, 5}, {5, 5}, {1, 1}, {1, 1}, {2, 2}, {2, 2}};
  run(EFF_K_POOL, F32, p, {x, y, nullptr}), check("average", 0, y[0], 7), check("average", 9, y[9], 11.5),
      check("average", 24, y[24], 19);
  p.count_include_pad = 1;
  run(EFF_K_POOL, F32, p, {x, y, nullptr}), check("average with padding", 0, y[0], 63 / 25.0);
  array<float> four{1, 2, 3, 4}, big(16), one(1), cube(16);
  eff_resize r = {1, 2, EFF_RESIZE_LINEAR, EFF_COORD_HALF_PIXEL, 0, 0, 0, -0.75, 0, {2, 2}, {4, 4}, {2, 2}, {}, {}};
  run(EFF_K_RESIZE, F32, r, {four, big}),
      big.are("bilinear", {1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4});
  r.mode = EFF_RESIZE_NEAREST;
  run(EFF_K_RESIZE, F32, r, {four, big}), big.are("nearest", {1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4});
  cube.iota(1);
  r = {1, 2, EFF_RESIZE_CUBIC, EFF_COORD_HALF_PIXEL, 0, 0, 1, -0.75, 0, {4, 4}, {2, 2}, {0.6, 0.6}, {}, {}};
  run(EFF_K_RESIZE, F32, r, {cube, best}),
      best.are("antialiased cubic", {2.5180721, 4.2858863, 9.589329, 11.357142}, 1e-4);
  array<float> grid{-1, -1, -0.2f, -0.6f, 1, -1}, seen(3);
  cube.iota();
  eff_grid_sample g = {1, 1, 2, 0, 0, 0, {4, 4}, {1, 3}, 0, 0};
  run(EFF_K_GRID_SAMPLE, F32, g, {cube, grid, seen}), seen.are("grid sample", {0, 2.3, 0.75});
}

static void test_layers() {
  array<float> x{1, 2, 3, 4, -1, 0, 0, 5}, scale{1, 1, 2, 2}, bias{0, 1, 0, 1}, y(8), mean(2), inverse(2);
  run(EFF_K_NORM, F32, eff_norm{2, 4, 4, 1, 0, EFF_NORM_ELEMENT, 0, 0, 0, 0, 0}, {x, scale, bias, y, mean, inverse});
  mean.are("mean", {2.5, 1}), inverse.are("inverse deviation", {0.89442719, 0.42640143});
  y.are("layer norm", {-1.3416408, 0.5527864, 0.89442719, 3.6832816, -0.85280287, 0.57359857, -0.85280287, 4.4112115});
  // one unit, two steps, by hand: every weight 1, no bias
  array<float> in{0.5f, -0.25f}, ones(4), h(1), c(1), out(2);
  ones.iota(1, 0);
  eff_rnn r = {};
  r.time = 2, r.batch = r.input = r.hidden = r.dirs = 1;
  const auto lay = [&](int cell, std::initializer_list<int> acts) {
    int i = 0;
    r.cell = cell;
    for (int a : acts) r.act[i++] = a;
    array<double> scratch(eff_rnn_scratch_size(&r) / 8);
    run(EFF_K_RNN, F32, r, {in, ones, ones, nullptr, nullptr, nullptr, nullptr, nullptr, out, h, c, scratch});
  };
  const auto s = [](double v) { return 1 / (1 + exp(-v)); };
  lay(EFF_RNN_PLAIN, {EFF_FN_TANH});
  out.are("rnn", {tanh(0.5), tanh(-0.25 + tanh(0.5))});
  lay(EFF_RNN_GRU, {EFF_FN_SIGMOID, EFF_FN_TANH});
  const double h1 = (1 - s(0.5)) * tanh(0.5), z = s(-0.25 + h1);
  out.are("gru", {h1, (1 - z) * tanh(-0.25 + z * h1) + z * h1});
  lay(EFF_RNN_LSTM, {EFF_FN_SIGMOID, EFF_FN_TANH, EFF_FN_TANH});
  const double c1 = s(0.5) * tanh(0.5), l1 = s(0.5) * tanh(c1), g = s(-0.25 + l1), c2 = g * c1 + g * tanh(-0.25 + l1);
  out.are("lstm", {l1, g * tanh(c2)}), check("lstm h", 0, h[0], g * tanh(c2)), check("lstm c", 0, c[0], c2);
  array<float> q{1, 0}, k{1, 0, 0, 1}, v{10, 20}, attended(1);
  eff_attention a = {1, 1, 1, 1, 2, 2, 1, 0, 0, 0, 1, 0, {0, 0, 2, 1}, {0, 0, 2, 1}, {0, 0, 1, 1}, {0, 0, 1, 1}, {}};
  array<double> scores(eff_attention_scratch_size(&a) / 8);
  run(EFF_K_ATTENTION, F32, a, {q, k, v, nullptr, attended, scores}),
      check("attention", 0, attended[0], (10 * exp(1) + 20) / (exp(1) + 1));
  a.causal = 1;
  run(EFF_K_ATTENTION, F32, a, {q, k, v, nullptr, attended, scores}), check("causal", 0, attended[0], 10);
}

static void test_rest() {
  array<float> x{0, 2, 3, 1000, -254, -1000}, step{2}, back(6), small{0, 2, -3, -2.5f, 1.34f, 0.5f}, scale(1);
  array<uint8_t> zero{128}, y(6), z(1);
  eff_quantize p = {1, 1, 6, 0, U8, F32};
  run(EFF_K_QUANTIZE, F32, p, {x, step, zero, y}), y.are("quantize", {128, 129, 130, 255, 1, 0});
  run(EFF_K_DEQUANTIZE, U8, p, {y, step, zero, back}), back.are("dequantize", {0, 2, 4, 254, -254, -256});
  run(EFF_K_DYNAMIC_QUANTIZE, F32, eff_fill{6}, {small, y, scale, z}), y.are("dynamic", {153, 255, 0, 26, 221, 179});
  check("dynamic scale", 0, scale[0], 0.0196078438), check("dynamic zero", 0, z[0], 153);
  array<float> m{0, 2, 1, 1, 1, 0, 3, 0, 1}, det(1), room(9);
  run(EFF_K_DET, F32, eff_det{1, 3}, {m, det, room}), check("determinant", 0, det[0], -5);
  array<float> ten{1, 2, 3}, l(3);
  run(EFF_K_LRN, F32, eff_lrn{1, 3, 1, 3, 3, 1, 1}, {ten, l}), l.are("lrn", {1 / 6.0, 2 / 15.0, 3 / 14.0});
  eff_random_state s, again;
  eff_random_seed(&s, 7, 0), eff_random_seed(&again, 7, 0);
  array<float> u(20000), v(20000);
  run(EFF_K_RANDOM, F32, eff_random{20000, 0, 0, 0, F32, -1, 3}, {&s, nullptr, u});
  run(EFF_K_RANDOM, F32, eff_random{20000, 0, 0, 0, F32, -1, 3}, {&again, nullptr, v});
  check("same seed, same numbers", 0, memcmp(u, v, 80000), 0);
  double mean = 0, square = 0, outside = 0;
  for (int i = 0; i < 20000; i++) mean += u[i] / 20000, outside += u[i] < -1 || u[i] >= 3;
  check("uniform mean", 0, mean, 1, 0.03), check("uniform range", 0, outside, 0);
  run(EFF_K_RANDOM, F32, eff_random{20000, 0, 0, 1, F32, 0, 2}, {&s, nullptr, u});
  for (int i = 0; i < 20000; i++) square += u[i] * u[i] / 20000;
  check("normal variance", 0, square, 4, 0.05);
  check("isa names", 0, eff_isa_parse(eff_isa_name(eff_isa_best())), eff_isa_best()),
      check("unknown isa", 0, eff_isa_parse("mmx"), -1);
}

int main() {
  test_types(), test_elementwise(), test_movement(), test_reductions(), test_products(), test_windows(), test_layers(),
      test_rest();
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
