// EFF_K_RANDOM: xoshiro256++ (Blackman and Vigna, 2019), seeded by splitmix64, a stream per row; normal by Box and
// Muller.
#include "generic.h"

EFF_SMALL_BEGIN
namespace eff {
namespace {

inline uint64_t rotate(uint64_t v, int by) { return v << by | v >> (64 - by); }

inline uint64_t next(eff_random_state *state) {
  uint64_t *s = state->s;
  const uint64_t result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
  s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3], s[2] ^= t, s[3] = rotate(s[3], 45);
  return result;
}
// 53 bits in [0, 1)
inline double unit(eff_random_state *s) { return (double)(next(s) >> 11) * 0x1p-53; }

inline double normal(eff_random_state *s) {
  const double radius = sqrt(-2 * log(1 - unit(s)));
  return radius * cos(6.283185307179586477 * unit(s));
}

// the input is of the float type T; the output of out_type
template <class T> struct random {
  static void put(void *y, int32_t type, int64_t i, double v) {
    switch (type) {
      case EFF_TYPE_F32: store((float *)y + i, v); break;
      case EFF_TYPE_F64: store((double *)y + i, v); break;
      case EFF_TYPE_F16: store((half *)y + i, v); break;
      case EFF_TYPE_BF16: store((bfloat *)y + i, v); break;
      case EFF_TYPE_I32: case EFF_TYPE_U32: ((int32_t *)y)[i] = (int32_t)v; break;
      case EFF_TYPE_I64: case EFF_TYPE_U64: ((int64_t *)y)[i] = (int64_t)v; break;
      case EFF_TYPE_I16: case EFF_TYPE_U16: ((int16_t *)y)[i] = (int16_t)v; break;
      default: ((uint8_t *)y)[i] = (uint8_t)v; break;
    }
  }
  // the largest value below high, so that rounding to a short type stays inside the half-open interval
  static double uniform(const eff_random &p, double u) {
    double v = p.low + (p.high - p.low) * u;
    if (p.out_type == EFF_TYPE_F32 && (float)v >= (float)p.high && p.high > p.low)
      v = nextafterf((float)p.high, (float)p.low);
    return v;
  }
  // the first of n classes at which the sum of exp(logit - top) exceeds u
  static int64_t sample(const T *logits, int64_t n, double top, double u) {
    int64_t last = 0;
    for (int64_t i = 0; i < n; i++) {
      const double e = exp((double)load(logits + i) - top);
      if (u < e) return i;
      if (e > 0) last = i;
      u -= e;
    }
    return last;
  }
  static void multinomial(const eff_random &p, eff_random_state *s, const T *logits, void *y) {
    for (int64_t o = 0; o < p.outer; o++, logits += p.n) {
      double top = -INFINITY, sum = 0;
      for (int64_t i = 0; i < p.n; i++) top = fmax(top, (double)load(logits + i));
      for (int64_t i = 0; i < p.n; i++) sum += exp((double)load(logits + i) - top);
      for (int64_t i = 0; i < p.count; i++)
        put(y, p.out_type, o * p.count + i, (double)sample(logits, p.n, top, sum * unit(s)));
    }
  }
  static void run(const eff_op *op, int64_t rows) {
    const eff_random &p = *(const eff_random *)op->params;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      eff_random_state *s = at.at<eff_random_state>(0);
      const T *input = at.at<const T>(1);
      void *y = at.at<void>(2);
      switch (p.fn) {
        case 0: for (int64_t i = 0; i < p.count; i++) put(y, p.out_type, i, uniform(p, unit(s))); break;
        case 1: for (int64_t i = 0; i < p.count; i++) put(y, p.out_type, i, p.low + p.high * normal(s)); break;
        case 2: for (int64_t i = 0; i < p.count; i++) put(y, p.out_type, i, unit(s) < (double)load(input + i)); break;
        default: multinomial(p, s, input, y);
      }
    }
  }
};

}  // namespace

eff_kernel find_random(int32_t type) {
  // uniform and normal have no input: any type finds them
  eff_kernel k = pick_float<random>(type);
  return k ? k : random<float>::run;
}

}  // namespace eff

// the output function of splitmix64, a bijection
static uint64_t mixed(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

// row 0 has the stream of the plain seed; the others start where a hash of both numbers says, so that near seeds and
// rows share nothing
extern "C" void eff_random_seed(eff_random_state *state, uint64_t seed, uint64_t row) {
  if (row) seed = mixed(seed ^ mixed(row + 0x9e3779b97f4a7c15ull));
  for (int i = 0; i < 4; i++) state->s[i] = mixed(seed += 0x9e3779b97f4a7c15ull);
}
EFF_SMALL_END
