// Kernels against the time that reading their weights takes, against Eigen with fixed sizes, and against the naive
// twins.
// Tests/Benchmarks/run.sh builds and runs it: kernels with the library's flags, this file and Eigen with -O3
// -march=native.
#define EIGEN_STACK_ALLOCATION_LIMIT 0
#include <Eigen/Dense>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <immintrin.h>

#include "../../Sources/Kernels/internal.h"
#include "bench.h"

static volatile float sink;

// reads bytes (a multiple of 64) once, as fast as one core can; `act` outputs are then passed through the activation's
// cost
__attribute__((noinline)) static void stream(const char *p, int64_t bytes) {
  __m256 a[8];
  for (auto &v : a) v = _mm256_setzero_ps();
  int64_t i = 0;
  for (; i + 256 <= bytes; i += 256)
    for (int j = 0; j < 8; j++) a[j] = _mm256_add_ps(a[j], _mm256_load_ps((const float *)(p + i + j * 32)));
  for (; i < bytes; i += 32) a[0] = _mm256_add_ps(a[0], _mm256_load_ps((const float *)(p + i)));
  a[0] = ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]));
  sink = a[0][0];
}

// a multilayer perceptron as a plan: one block of packed weights in order of execution
struct mlp {
  std::vector<eff_dense> layers;
  std::vector<eff_op> ops;
  std::vector<float> x, h[2];
  char *weights;
  int64_t bytes = 0, rows;
  mlp(const std::vector<int> &dims, int act, int level, int type, int64_t rows = 1) : rows(rows) {
    int widest = 0;
    for (size_t i = 0; i + 1 < dims.size(); i++) {
      layers.push_back({1, dims[i], dims[i + 1], dims[i], dims[i + 1], i + 2 < dims.size() ? act : 0, type, 1, 0});
      bytes += (eff_dense_packed_size(&layers[i], level) + 63) & ~63;
      widest = std::max(widest, dims[i + 1]);
    }
    weights = (char *)aligned_alloc(4096, (size_t)((bytes + 4095) & ~4095));
    x.assign((size_t)(rows * dims[0]), 0.1f);
    for (auto &v : h) v.resize((size_t)(rows * widest));
    char *p = weights;
    for (size_t i = 0; i < layers.size(); i++) {
      auto &d = layers[i];
      std::vector<float> w((size_t)(d.k * d.n)), b((size_t)d.n, 0.01f);
      for (auto &v : w) v = ((float)rand() / (float)RAND_MAX - 0.5f) / sqrtf((float)d.k);
      eff_dense_pack(&d, level, w.data(), d.n, 1, b.data(), p);
      eff_op op = {};
      op.run = eff_kernel_find(EFF_K_DENSE, EFF_TYPE_F32, level);
      op.params = &d;
      op.p[0] = i ? h[(i + 1) % 2].data() : x.data(), op.p[1] = p, op.p[2] = h[i % 2].data();
      op.stride[0] = d.k * 4, op.stride[2] = d.n * 4;
      ops.push_back(op);
      p += (eff_dense_packed_size(&d, level) + 63) & ~63;
    }
  }
  void run() { eff_ops_run(ops.data(), (int64_t)ops.size(), rows); }
};

// the same network as a C++ programmer writes it, every size known to the compiler
struct eigen_relu { template <class V> static void apply(V &v) { v = v.cwiseMax(0.f); } };
struct eigen_tanh { template <class V> static void apply(V &v) { v = v.array().tanh(); } };
struct eigen_elu {
  template <class V> static void apply(V &v) { v = (v.array() < 0).select(v.array().exp() - 1, v.array()); }
};
template <class Act, int In, int Out, int... Rest> struct eigen_net {
  Eigen::Matrix<float, Out, In> *w = new Eigen::Matrix<float, Out, In>;
  Eigen::Matrix<float, Out, 1> b, y;
  eigen_net<Act, Out, Rest...> next;
  eigen_net() { w->setRandom(); *w /= sqrtf(In); b.setConstant(0.01f); }
  void run(const Eigen::Matrix<float, In, 1> &x) {
    y.noalias() = *w * x;
    y += b;
    Act::apply(y);
    next.run(y);
  }
};
template <class Act, int In, int Out> struct eigen_net<Act, In, Out> {
  Eigen::Matrix<float, Out, In> *w = new Eigen::Matrix<float, Out, In>;
  Eigen::Matrix<float, Out, 1> b, y;
  eigen_net() { w->setRandom(); *w /= sqrtf(In); b.setConstant(0.01f); }
  void run(const Eigen::Matrix<float, In, 1> &x) {
    y.noalias() = *w * x;
    y += b;
    sink = y[0];
  }
};

template <class Act, int In, int... Rest> static void net(const char *title, int act) {
  std::vector<int> dims = {In, Rest...};
  mlp best(dims, act, eff_isa_best(), EFF_TYPE_F32), sse(dims, act, EFF_ISA_SSE2, EFF_TYPE_F32),
      bf(dims, act, eff_isa_best(), EFF_TYPE_BF16), half(dims, act, eff_isa_best(), EFF_TYPE_F16),
      i8(dims, act, eff_isa_best(), EFF_TYPE_I8), naive(dims, act, 0, EFF_TYPE_F32);
  auto *eigen = new eigen_net<Act, In, Rest...>;
  Eigen::Matrix<float, In, 1> x;
  x.setConstant(0.1f);
  std::vector<contender> all = {{"floor", [&] { stream(best.weights, best.bytes); }, {}},
                                {"f32", [&] { best.run(); }, {}},
                                {"eigen", [&] { eigen->run(x); }, {}},
                                {"bf16", [&] { bf.run(); }, {}},
                                {"f16", [&] { half.run(); }, {}},
                                {"int8", [&] { i8.run(); }, {}},
                                {"sse2", [&] { sse.run(); }, {}}};
  if (naive.ops[0].run) all.push_back({"naive", [&] { naive.run(); }, {}});
  compare(title, all);
}

static void recurrent(const char *title, int cell, int64_t input, int64_t hidden) {
  int level = eff_isa_best();
  eff_rnn r = {};
  r.cell = cell, r.dirs = 1, r.linear_before_reset = 1, r.time = 1, r.batch = 1, r.input = input, r.hidden = hidden;
  r.act[0] = EFF_FN_SIGMOID, r.act[1] = r.act[2] = EFF_FN_TANH;
  int64_t g = cell == EFF_RNN_LSTM ? 4 : 3, bytes = eff_rnn_packed_size(&r, level);
  std::vector<float> w((size_t)(g * hidden * input)), u((size_t)(g * hidden * hidden)),
      b((size_t)(2 * g * hidden), 0.1f), x((size_t)input, 0.2f), h((size_t)hidden, 0.1f), c(h), y(h), yc(h),
      scratch((size_t)eff_rnn_packed_scratch_size(&r, level));
  for (auto *v : {&w, &u}) for (auto &f : *v) f = ((float)rand() / (float)RAND_MAX - 0.5f) * 0.1f;
  char *packed = (char *)aligned_alloc(4096, (size_t)((bytes + 4095) & ~4095));
  eff_rnn_pack(&r, level, w.data(), u.data(), b.data(), packed);
  eff_op op = {};
  op.run = eff_kernel_find(EFF_K_RNN_PACKED, EFF_TYPE_F32, level);
  op.params = &r;
  void *p[] = {x.data(),
               packed,
               h.data(),
               cell == EFF_RNN_LSTM ? c.data() : nullptr,
               nullptr,
               y.data(),
               cell == EFF_RNN_LSTM ? yc.data() : nullptr,
               scratch.data()};
  memcpy(op.p, p, sizeof p);
  std::vector<contender> all = {{"floor", [&] { stream(packed, bytes); }, {}}, {"f32", [&] { op.run(&op, 1); }, {}}};
  compare(title, all);
}

// `flops` of fused multiply-adds that wait for nothing
__attribute__((noinline)) static void multiply(double flops) {
  __m256 a[12], m = _mm256_set1_ps(0.999f), c = _mm256_set1_ps(0.001f);
  for (auto &v : a) v = c;
  for (int64_t n = (int64_t)(flops / (16 * 12)); n > 0; n--)
    for (auto &v : a) v = _mm256_fmadd_ps(v, m, c);
  for (auto &v : a) sink = v[0];
}

// convolutions in a row, against the time their multiplications take
static void convolutions(const char *title, std::vector<eff_conv> layers) {
  int level = eff_isa_best();
  double flops = 0;
  std::vector<eff_op> ops;
  float *x = nullptr;
  for (auto &c : layers) {
    int64_t in = c.batch * c.in_channels * c.in[0] * (c.spatial > 1 ? c.in[1] : 1),
            pixels = c.out[0] * (c.spatial > 1 ? c.out[1] : 1);
    int64_t k = c.in_channels / c.groups * c.kernel[0] * (c.spatial > 1 ? c.kernel[1] : 1);
    flops += 2.0 * (double)(c.batch * c.out_channels * pixels * k);
    std::vector<float> w((size_t)(c.out_channels * k), 0.01f), b((size_t)c.out_channels, 0.1f);
    char *packed = (char *)aligned_alloc(64, (size_t)((eff_conv_packed_size(&c, level) + 63) & ~63));
    eff_conv_pack(&c, level, w.data(), b.data(), packed);
    if (!x) {
      x = (float *)aligned_alloc(64, (size_t)((in * 4 + 63) & ~63));
      for (int64_t i = 0; i < in; i++) x[i] = 0.1f;
    }
    float *y = (float *)aligned_alloc(64, (size_t)((c.batch * c.out_channels * pixels * 4 + 63) & ~63));
    eff_op op = {};
    op.run = eff_kernel_find(EFF_K_CONV_PACKED, EFF_TYPE_F32, level);
    op.params = &c;
    op.p[0] = x, op.p[1] = packed, op.p[2] = y,
    op.p[3] = aligned_alloc(64, (size_t)((eff_conv_scratch_size(&c, level) + 127) & ~63));
    ops.push_back(op);
    x = y;
  }
  std::vector<contender> all = {{"floor", [&] { multiply(flops); }, {}},
                                {"f32", [&] { eff_ops_run(ops.data(), (int64_t)ops.size(), 1); }, {}}};
  compare(title, all, 101);
}
static eff_conv conv2(int64_t ic, int64_t oc, int64_t size, int64_t kernel, int64_t stride, int64_t pad,
                      int64_t groups = 1) {
  eff_conv c = {};
  c.batch = 1, c.in_channels = ic, c.out_channels = oc, c.groups = groups, c.spatial = 2, c.act = EFF_FN_RELU;
  for (int i = 0; i < 2; i++)
    c.in[i] = size, c.kernel[i] = kernel, c.stride[i] = stride, c.dilation[i] = 1, c.pad[i] = pad,
    c.out[i] = (size + 2 * pad - kernel) / stride + 1;
  return c;
}
static eff_conv conv1(int64_t ic, int64_t oc, int64_t size, int64_t kernel, int64_t pad) {
  eff_conv c = {};
  c.batch = 1, c.in_channels = ic, c.out_channels = oc, c.groups = 1, c.spatial = 1, c.act = EFF_FN_RELU;
  c.in[0] = size, c.kernel[0] = kernel, c.stride[0] = c.dilation[0] = 1, c.pad[0] = pad,
  c.out[0] = size + 2 * pad - kernel + 1;
  return c;
}

static void batch(const char *title, const std::vector<int> &dims, int64_t rows) {
  mlp best(dims, EFF_FN_RELU, eff_isa_best(), EFF_TYPE_F32, rows);
  std::vector<Eigen::MatrixXf> w, b, y;
  Eigen::MatrixXf x = Eigen::MatrixXf::Constant(dims[0], rows, 0.1f);
  double flops = 0;
  for (size_t i = 0; i + 1 < dims.size(); i++) {
    w.push_back(Eigen::MatrixXf::Random(dims[i + 1], dims[i]));
    b.push_back(Eigen::MatrixXf::Random(dims[i + 1], 1));
    y.push_back(Eigen::MatrixXf::Zero(dims[i + 1], rows));
    flops += 2.0 * dims[i] * dims[i + 1] * (double)rows;
  }
  std::vector<contender> all = {{"floor", [&] { multiply(flops); }, {}},
                                {"f32", [&] { best.run(); }, {}},
                                {"eigen",
                                 [&] {
                                   for (size_t i = 0; i < w.size(); i++) {
                                     y[i].noalias() = w[i] * (i ? y[i - 1] : x);
                                     y[i].colwise() += b[i].col(0);
                                     y[i] = y[i].cwiseMax(0.f);
                                   }
                                 },
                                 {}}};
  compare(title, all, 101);
}

int main(int argc, char **argv) {
  auto wanted = [&](const char *name) {
    if (argc < 2) return true;
    for (int i = 1; i < argc; i++) if (!strcmp(argv[i], name)) return true;
    return false;
  };
  double peak = 0;
  for (int i = 0; i < 50; i++) {
    double t = now_us();
    multiply(1e7);
    peak = std::max(peak, 1e7 / (now_us() - t) / 1e3);
  }
  printf("level %s, FMA peak %.0f GFLOP/s, microseconds (ratio to the first)\n", eff_isa_name(eff_isa_best()), peak);
  if (wanted("mlp")) {
    net<eigen_tanh, 8, 64, 64, 2>("a 8-64-64-2 tanh", EFF_FN_TANH);
    net<eigen_relu, 17, 256, 256, 6>("b 17-256-256-6 relu", EFF_FN_RELU);
    net<eigen_elu, 48, 512, 256, 128, 12>("c 48-512-256-128-12 elu", EFF_FN_ELU);
    net<eigen_relu, 376, 400, 300, 17>("d 376-400-300-17 relu", EFF_FN_RELU);
  }
  if (wanted("rnn")) {
    recurrent("e LSTM 64-256", EFF_RNN_LSTM, 64, 256);
    recurrent("f GRU 64-128", EFF_RNN_GRU, 64, 128);
  }
  if (wanted("conv")) {
    convolutions("g Nature DQN, 3 conv",
                 {conv2(4, 32, 84, 8, 4, 0), conv2(32, 64, 20, 4, 2, 0), conv2(64, 64, 9, 3, 1, 0)});
    convolutions("  conv 1", {conv2(4, 32, 84, 8, 4, 0)});
    convolutions("  conv 2", {conv2(32, 64, 20, 4, 2, 0)});
    convolutions("  conv 3", {conv2(64, 64, 9, 3, 1, 0)});
    convolutions("3x3 padded, 64 of 28x28", {conv2(64, 64, 28, 3, 1, 1)});
    convolutions("1x1, 128 of 14x14", {conv2(128, 128, 14, 1, 1, 0)});
    convolutions("depthwise 3x3, 64 of 28x28", {conv2(64, 64, 28, 3, 1, 1, 64)});
    convolutions("1-D, 256 of 16, kernel 5", {conv1(256, 256, 16, 5, 2)});
  }
  if (wanted("batch")) {
    for (int64_t rows : {2, 4, 8, 16, 64, 256})
      batch(("c, batch " + std::to_string(rows)).c_str(), {48, 512, 256, 128, 12}, rows);
  }
}
