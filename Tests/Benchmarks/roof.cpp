// What share of the processor's multiply-adds the kernels reach, per shape, on one thread. The peak is measured beside
// every shape. Tests/Benchmarks/roof.sh builds and runs it.
//
// dense: weights known at load, packed. product: two operands known only at run time; product of a transposed b beside
// it. Eigen, OpenBLAS and BLIS take two operands of run time. Every number is the median of rounds in which all take
// turns.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <time.h>

#include "../../Sources/Kernels/internal.h"
#include "bench.h"

extern "C" void roof_eigen(int64_t m, int64_t n, int64_t k, const float *a, const float *b, int transposed, float *y);
extern "C" double roof_peak(int64_t steps, float *out);

static int level, rounds = 41;
static double slice_us = 300;

// time that this thread had a core
static double cpu_us() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

struct blas {
  const char *name, *file;
  void (*gemm)(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
};
static blas libraries[] = {
    {"openblas", "libopenblas.so.0", nullptr},
    {"blis", "libblis.so.4", nullptr},
};
static void open_libraries() {
  setenv("OPENBLAS_NUM_THREADS", "1", 1), setenv("BLIS_NUM_THREADS", "1", 1);
  for (auto &l : libraries) {
    void *library = dlopen(l.file, RTLD_NOW | RTLD_LOCAL);
    if (library) l.gemm = (decltype(l.gemm))dlsym(library, "cblas_sgemm");
    if (!l.gemm)
      printf("%s is left out: no %s here (Debian: apt-get install %s)\n", l.name, l.file,
             strcmp(l.name, "blis") ? "libopenblas0-serial" : "libblis4-serial");
  }
}

struct buffer {
  float *p;
  explicit buffer(int64_t n) {
    p = (float *)aligned_alloc(4096, (size_t)((n * 4 + 8191) / 4096 * 4096));
    for (int64_t i = 0; i < n; i++) p[i] = (float)rand() / (float)RAND_MAX - 0.5f;
  }
  ~buffer() { free(p); }
  buffer(const buffer &) = delete;
};

// The share of the peak that each contender reaches, which does `work` floating-point operations.
static std::vector<double> shares(double work, std::vector<std::function<void()>> calls) {
  static float seed[1] = {0};
  std::vector<int> counts;
  for (auto &call : calls) {
    call();
    double begin = cpu_us();
    call();
    double once = cpu_us() - begin;
    counts.push_back(once > slice_us ? 1 : (int)(slice_us / (once > 0.05 ? once : 0.05)));
  }
  std::vector<std::vector<double>> found(calls.size());
  for (int r = 0; r < rounds; r++)
    for (size_t i = 0; i < calls.size(); i++) {
      const size_t c = r % 2 ? i : calls.size() - 1 - i;
      double begin = cpu_us(), peak = roof_peak(4000, seed);
      peak /= cpu_us() - begin;
      calls[c]();  // refills the caches that the others used
      begin = cpu_us();
      for (int j = 0; j < counts[c]; j++) calls[c]();
      found[c].push_back(work * counts[c] / (cpu_us() - begin) / peak);
    }
  std::vector<double> out;
  for (auto &f : found) out.push_back(median(f));
  return out;
}

static int below = 0, all = 0;
static void cell(double share) {
  if (share < 0) return (void)printf(" %9s", "-");
  printf(" %9.2f", share);
}
static void own(double share) {
  cell(share);
  all++, below += share < 0.9;
}

// Eigen's product is the reference: a kernel that is wrong is not fast
static void check(const char *what, const float *y, const float *want, int64_t count, int64_t k) {
  for (int64_t i = 0; i < count; i++)
    if (!(fabsf(y[i] - want[i]) <= 1e-6f * (float)k + 1e-4f)) {
      fprintf(stderr, "%s: %g at %lld, Eigen has %g\n", what, (double)y[i], (long long)i, (double)want[i]);
      exit(1);
    }
}

static void product(int64_t m, int64_t k, int64_t n) {
  buffer a(m * k), b(k * n), transposed(k * n), y(m * n), want(m * n);
  for (int64_t i = 0; i < k; i++)
    for (int64_t j = 0; j < n; j++) transposed.p[j * k + i] = b.p[i * n + j];
  eff_dense d = {m, k, n, k, n, EFF_FN_IDENTITY, EFF_TYPE_F32, 1, 0};
  buffer packed(eff_dense_packed_size(&d, level) / 4);
  eff_dense_pack(&d, level, b.p, n, 1, nullptr, packed.p);
  eff_matmul plain = {};
  plain.m = m, plain.n = n, plain.k = k, plain.a_m = k, plain.a_k = 1, plain.b_k = n, plain.b_n = 1;
  plain.alpha = plain.beta = 1;
  eff_matmul turned = plain;
  turned.b_k = 1, turned.b_n = k;
  auto op = [&](int32_t kernel, const void *params, float *second, int out) {
    eff_op o = {};
    o.run = eff_kernel_find(kernel, EFF_TYPE_F32, level), o.params = params;
    o.p[0] = a.p, o.p[1] = second, o.p[out] = y.p;
    return o;
  };
  const eff_op ops[] = {op(EFF_K_DENSE, &d, packed.p, 2), op(EFF_K_MATMUL, &plain, b.p, 3),
                        op(EFF_K_MATMUL, &turned, transposed.p, 3)};
  roof_eigen(m, n, k, a.p, b.p, 0, want.p);
  const char *names[] = {"dense", "product", "product of a transposed b"};
  for (int i = 0; i < 3; i++) {
    memset(y.p, 0xff, (size_t)(m * n) * 4);
    ops[i].run(&ops[i], 1);
    check(names[i], y.p, want.p, m * n, k);
  }
  std::vector<std::function<void()>> calls;
  for (auto &o : ops) calls.push_back([&o] { o.run(&o, 1); });
  for (int t = 0; t < 2; t++) calls.push_back([&, t] { roof_eigen(m, n, k, a.p, t ? transposed.p : b.p, t, y.p); });
  for (auto &l : libraries)
    if (l.gemm)
      calls.push_back([&] {
        l.gemm(101, 111, 111, (int)m, (int)n, (int)k, 1, a.p, (int)k, b.p, (int)n, 0, y.p, (int)n);
      });
  const auto found = shares(2.0 * (double)m * (double)k * (double)n, calls);
  printf("%5lld %5lld %5lld", (long long)m, (long long)k, (long long)n);
  for (int i = 0; i < 3; i++) own(found[(size_t)i]);
  cell(found[3]), cell(found[4]);
  size_t next = 5;
  for (auto &l : libraries) cell(l.gemm ? found[next++] : -1);
  printf("\n");
  fflush(stdout);
}

static void convolution(const char *what, int spatial, int64_t ic, int64_t oc, int64_t groups, int64_t size,
                        int64_t kernel, int64_t stride) {
  eff_conv c = {};
  c.batch = 1, c.in_channels = ic, c.out_channels = oc, c.groups = groups, c.spatial = spatial;
  int64_t in = 1, out = 1, positions = 1;
  for (int i = 0; i < spatial; i++) {
    c.in[i] = size, c.kernel[i] = kernel, c.stride[i] = stride, c.dilation[i] = 1, c.pad[i] = kernel / 2;
    c.out[i] = (size + 2 * (kernel / 2) - kernel) / stride + 1;
    in *= size, out *= c.out[i], positions *= kernel;
  }
  buffer x(ic * in), y(oc * out), w(oc * ic / groups * positions), bias(oc);
  buffer packed(eff_conv_packed_size(&c, level) / 4), scratch(eff_conv_scratch_size(&c, level) / 4 + 16);
  eff_conv_pack(&c, level, w.p, bias.p, packed.p);
  eff_op op = {};
  op.run = eff_kernel_find(EFF_K_CONV_PACKED, EFF_TYPE_F32, level), op.params = &c;
  op.p[0] = x.p, op.p[1] = packed.p, op.p[2] = y.p, op.p[3] = scratch.p;
  const double work = 2.0 * (double)(oc * out * (ic / groups) * positions);
  const auto found = shares(work, {[&] { op.run(&op, 1); }});
  printf("%-34s %4lld -> %4lld, %3lld, kernel %lld, stride %lld", what, (long long)ic, (long long)oc, (long long)size,
         (long long)kernel, (long long)stride);
  own(found[0]);
  printf("\n");
  fflush(stdout);
}

int main(int argc, char **argv) {
  const char *forced = getenv("EFFERENT_ISA");
  level = forced ? eff_isa_parse(forced) : eff_isa_best();
  if (level <= EFF_ISA_NAIVE || !eff_isa_supported(level))
    return fprintf(stderr, "EFFERENT_ISA is '%s', which this processor does not have\n", forced), 1;
  if (argc > 1 && !strcmp(argv[1], "quick")) rounds = 9, slice_us = 100;
  open_libraries();
  static float seed[1];
  double begin = cpu_us(), peak = roof_peak(2000000, seed);
  printf("kernels and Eigen for %s; peak %.1f GFLOP/s f32, one thread; shares of the peak\n", eff_isa_name(level),
         peak / (cpu_us() - begin) / 1e3);
  printf("\n%5s %5s %5s %9s %9s %9s %9s %9s %9s %9s\n", "m", "k", "n", "dense", "product", "b turned", "eigen",
         "b turned", "openblas", "blis");
  const int64_t shapes[][3] = {
      {4, 64, 64},      {4, 256, 256},    {4, 1024, 1024},  {8, 256, 256},   {16, 64, 64},    {16, 256, 256},
      {16, 1024, 1024}, {32, 32, 32},     {64, 64, 64},     {100, 64, 100},  {100, 100, 64},  {100, 256, 256},
      {100, 256, 1024}, {100, 1024, 256}, {128, 128, 128},  {256, 256, 256}, {512, 512, 512}, {1024, 1024, 1024},
      {1024, 64, 32},   {1024, 32, 1024}, {64, 1024, 64},   {5, 17, 33},     {37, 53, 71},    {101, 99, 97},
      {130, 257, 131},  {7, 300, 400},
  };
  if (argc > 3) return product(atoi(argv[argc - 3]), atoi(argv[argc - 2]), atoi(argv[argc - 1])), 0;
  for (auto &s : shapes) product(s[0], s[1], s[2]);
  printf("\nconvolutions\n");
  convolution("3x3", 2, 64, 64, 1, 24, 3, 1);
  convolution("3x3", 2, 128, 128, 1, 12, 3, 1);
  convolution("1x1", 2, 64, 128, 1, 24, 1, 1);
  convolution("8x8, few channels", 2, 4, 32, 1, 84, 8, 4);
  convolution("7x7, few channels", 2, 3, 64, 1, 96, 7, 2);
  convolution("3x3, one channel", 2, 1, 16, 1, 64, 3, 1);
  convolution("3x3, few outputs", 2, 16, 4, 1, 64, 3, 1);
  convolution("3x3 depthwise", 2, 64, 64, 64, 48, 3, 1);
  convolution("3x3 depthwise, strided", 2, 64, 64, 64, 48, 3, 2);
  convolution("5x5 depthwise", 2, 64, 64, 64, 24, 5, 1);
  convolution("1-D", 1, 64, 128, 1, 64, 5, 1);
  convolution("1-D depthwise", 1, 128, 128, 128, 64, 5, 1);
  printf("\n%d of %d are below 0.90\n", below, all);
}
