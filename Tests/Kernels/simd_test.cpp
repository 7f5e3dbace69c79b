// Every SIMD kernel against a double-precision reference: values, independence of rows, and nothing touched out of
// bounds.
// clang++ -std=c++17 -I Sources/Kernels/include Sources/Kernels/*.cpp Sources/Kernels/{generic,simd}/*.cpp
// Tests/Kernels/simd_*.cpp
#include "simd_test.h"

int passed, failed;
char what[256];

double reference_fn(int fn, double x, double a, double b) {
  switch (fn) {
    case EFF_FN_RELU: return x < 0 ? 0 : x;
    case EFF_FN_TANH: return tanh(x);
    case EFF_FN_SIGMOID: return 1 / (1 + exp(-x));
    case EFF_FN_ELU: return x < 0 ? a * expm1(x) : x;
    case EFF_FN_LEAKY_RELU: return x < 0 ? a * x : x;
    case EFF_FN_SELU: return b * (x < 0 ? a * expm1(x) : x);
    case EFF_FN_CELU: return x < 0 ? a * expm1(x / a) : x;
    case EFF_FN_SOFTPLUS: return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case EFF_FN_SOFTSIGN: return x / (1 + fabs(x));
    case EFF_FN_SWISH: return x == -INFINITY ? 0 : x / (1 + exp(-a * x));
    case EFF_FN_MISH: return x == -INFINITY ? 0 : x * tanh(x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)));
    case EFF_FN_GELU: return x == -INFINITY ? 0 : 0.5 * x * erfc(-x * M_SQRT1_2);
    case EFF_FN_GELU_TANH: return x == -INFINITY ? 0 : x / (1 + exp(-2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case EFF_FN_HARD_SIGMOID: return isnan(x) ? x : fmax(0, fmin(1, a * x + b));
    case EFF_FN_HARD_SWISH: return isnan(x) ? x : x * fmax(0, fmin(1, x / 6 + 0.5));
    case EFF_FN_THRESHOLDED_RELU: return x > a ? x : isnan(x) ? x : 0;
    case EFF_FN_CLIP: return isnan(x) ? x : fmin(b, fmax(a, x));
    case EFF_FN_AFFINE: return a * x + b;
    case EFF_FN_EXP: return exp(x);
    case EFF_FN_LOG: return log(x);
    case EFF_FN_SQRT: return sqrt(x);
    case EFF_FN_RECIPROCAL: return 1 / x;
    case EFF_FN_NEG: return -x;
    case EFF_FN_ABS: return fabs(x);
    case EFF_FN_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x;
    case EFF_FN_FLOOR: return floor(x);
    case EFF_FN_CEIL: return ceil(x);
    case EFF_FN_ROUND: return rint(x);
    case EFF_FN_SIN: return sin(x);
    case EFF_FN_COS: return cos(x);
    case EFF_FN_TAN: return tan(x);
    case EFF_FN_ASIN: return asin(x);
    case EFF_FN_ACOS: return acos(x);
    case EFF_FN_ATAN: return atan(x);
    case EFF_FN_SINH: return sinh(x);
    case EFF_FN_COSH: return cosh(x);
    case EFF_FN_ASINH: return asinh(x);
    case EFF_FN_ACOSH: return acosh(x);
    case EFF_FN_ATANH: return atanh(x);
    case EFF_FN_ERF: return erf(x);
    case EFF_FN_SQUARE: return x * x;
    case EFF_FN_SCALED_TANH: return a * tanh(b * x);
    default: return x;
  }
}

// simd_test [dense]: all kernels, or those of dense layers
int main(int argc, char **argv) {
  bool all = argc < 2 || strcmp(argv[1], "dense") != 0;
  for (int level = 1; level < EFF_ISA_COUNT; level++) {
    if (!eff_isa_supported(level)) {
      printf("skipped %s: this processor does not run it\n", eff_isa_name(level));
      continue;
    }
    int before = failed;
    test_dense(level);
    if (all) {
      test_unary(level);
      test_rnn(level);
      test_conv(level);
      test_pool(level);
      test_matmul(level);
      test_binary(level);
      test_rows(level);
    }
    printf("%s%s: %s\n", eff_isa_name(level), eff_byte_dots[level] ? " with byte dots" : "",
           failed == before ? "ok" : "FAILED");
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
