// What the contenders are held against: reading the weights once, doing the multiplications alone, waiting, and
// fixed-size Eigen.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <immintrin.h>
#include <sys/mman.h>
#define EIGEN_STACK_ALLOCATION_LIMIT 0
#include <Eigen/Dense>

static volatile float sink;

// as wide as this processor's: -march=native says so
#ifdef __AVX512F__
enum { WIDE = 64 };
#else
enum { WIDE = 32 };
#endif
typedef float wide __attribute__((vector_size(WIDE)));
#ifdef __clang__
// clang halves them by itself where a processor had to clock down
#define AT_FULL_WIDTH __attribute__((noinline, min_vector_width(WIDE * 8)))
#else
#define AT_FULL_WIDTH __attribute__((noinline))
#endif

// reads `bytes` once, as fast as one core can
struct stream_control {
  size_t bytes;
  char *memory;
  explicit stream_control(size_t n)
      : bytes((n + 511) & ~(size_t)511),
        memory((char *)aligned_alloc(2 << 20, (bytes + (2 << 20) - 1) & ~(size_t)((2 << 20) - 1))) {
    madvise(memory, (bytes + (2 << 20) - 1) & ~(size_t)((2 << 20) - 1), MADV_HUGEPAGE);  // as the weights are
    memset(memory, 0, bytes);
  }
  ~stream_control() { free(memory); }
  AT_FULL_WIDTH void step() const {
    wide a[8] = {};
    for (size_t i = 0; i < bytes; i += 8 * WIDE)
      for (int j = 0; j < 8; j++) a[j] += *(const wide *)(memory + i + j * WIDE);
    a[0] = ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]));
    sink = a[0][0];
  }
};

// `count` multiply-adds from registers
AT_FULL_WIDTH static void multiply_add(int64_t count) {
  const wide c = wide{} + 0.001f, m = wide{} + 0.999f;
  wide a[12];
  for (auto &v : a) v = c;
  for (int64_t i = 0; i < count; i += 12 * WIDE / 4)
    for (auto &v : a) v = v * m + c;
  for (auto &v : a) sink = v[0];
}

// a loop of known length: its tail is the machine's
__attribute__((noinline)) static void spin(int64_t turns) {
  for (int64_t i = 0; i < turns; i++) __asm__ volatile("");
}

// the same network as a C++ programmer writes it, every size known to the compiler; weights from the file beside the
// net
struct eigen_none { template <class V> static void apply(V &) {} };
struct eigen_relu { template <class V> static void apply(V &v) { v = v.cwiseMax(0.f); } };
struct eigen_tanh { template <class V> static void apply(V &v) { v = v.array().tanh(); } };
struct eigen_elu {
  template <class V> static void apply(V &v) { v = (v.array() < 0).select(v.array().exp() - 1, v.array()); }
};
template <int Out, int In> using eigen_matrix = Eigen::Matrix<float, Out, In, Eigen::ColMajor>;
template <class Act, class Last, int In, int Out, int... Rest> struct eigen_net {
  eigen_matrix<Out, In> w;
  Eigen::Matrix<float, Out, 1> b, y;
  eigen_net<Act, Last, Out, Rest...> next;
  void load(FILE *f) {
    Eigen::Matrix<float, Out, In, Eigen::RowMajor> file;
    if (fread(file.data(), 4, Out * In, f) != Out * In || fread(b.data(), 4, Out, f) != Out) exit(1);
    w = file;
    next.load(f);
  }
  const float *run(const Eigen::Matrix<float, In, 1> &x) {
    y.noalias() = w * x;
    y += b;
    Act::apply(y);
    return next.run(y);
  }
};
template <class Act, class Last, int In, int Out> struct eigen_net<Act, Last, In, Out> {
  eigen_matrix<Out, In> w;
  Eigen::Matrix<float, Out, 1> b, y;
  void load(FILE *f) {
    Eigen::Matrix<float, Out, In, Eigen::RowMajor> file;
    if (fread(file.data(), 4, Out * In, f) != Out * In || fread(b.data(), 4, Out, f) != Out) exit(1);
    w = file;
  }
  const float *run(const Eigen::Matrix<float, In, 1> &x) {
    y.noalias() = w * x;
    y += b;
    Last::apply(y);
    return y.data();
  }
};

// the step of the Eigen twin of a net called `name`, reading x and writing y; empty where there is none
template <class Act, class Last, int In, int... Rest>
std::function<void()> eigen_twin(const std::string &weights, const float *x, float *y) {
  FILE *f = fopen(weights.c_str(), "rb");
  if (!f) return {};
  auto *net = new eigen_net<Act, Last, In, Rest...>;
  auto *in = new Eigen::Matrix<float, In, 1>;
  net->load(f);
  fclose(f);
  constexpr int sizes[] = {Rest...}, out = sizes[sizeof...(Rest) - 1];
  return [=] {
    memcpy(in->data(), x, sizeof *in);
    memcpy(y, net->run(*in), out * sizeof(float));
  };
}
inline std::function<void()> eigen_step(const std::string &path, const float *x, float *y) {
  std::string stem = path.substr(0, path.rfind('.')), name = stem.substr(stem.rfind('/') + 1),
              weights = stem + ".weights";
  if (name == "a_tanh_64") return eigen_twin<eigen_tanh, eigen_none, 8, 64, 64, 2>(weights, x, y);
  if (name == "b_relu_256") return eigen_twin<eigen_relu, eigen_tanh, 17, 256, 256, 6>(weights, x, y);
  if (name == "c_elu_512") return eigen_twin<eigen_elu, eigen_none, 48, 512, 256, 128, 12>(weights, x, y);
  if (name == "d_relu_400") return eigen_twin<eigen_relu, eigen_tanh, 376, 400, 300, 17>(weights, x, y);
  return {};
}
