// EFF_K_CAST: 13 types to 13 types in two steps over short blocks, through double, int64_t or uint64_t, each of which
// is exact.
#include "generic.h"

namespace eff {
namespace {

constexpr int64_t block = 64;
union wide_block { double f[block]; int64_t i[block]; uint64_t u[block]; };

template <class T, class W> void read(const void *x, W *w, int64_t n) {
  for (int64_t i = 0; i < n; i++) w[i] = (W)load((const T *)x + i);
}

// which member of wide_block holds the result: 'f', 'i' or 'u'
char read_block(int32_t type, const char *x, wide_block &w, int64_t n) {
  switch (type) {
    case EFF_TYPE_F32: return read<float>(x, w.f, n), 'f';
    case EFF_TYPE_F64: return read<double>(x, w.f, n), 'f';
    case EFF_TYPE_F16: return read<half>(x, w.f, n), 'f';
    case EFF_TYPE_BF16: return read<bfloat>(x, w.f, n), 'f';
    case EFF_TYPE_I8: return read<int8_t>(x, w.i, n), 'i';
    case EFF_TYPE_I16: return read<int16_t>(x, w.i, n), 'i';
    case EFF_TYPE_I32: return read<int32_t>(x, w.i, n), 'i';
    case EFF_TYPE_I64: return read<int64_t>(x, w.i, n), 'i';
    case EFF_TYPE_U8: return read<uint8_t>(x, w.u, n), 'u';
    case EFF_TYPE_U16: return read<uint16_t>(x, w.u, n), 'u';
    case EFF_TYPE_U32: return read<uint32_t>(x, w.u, n), 'u';
    case EFF_TYPE_U64: return read<uint64_t>(x, w.u, n), 'u';
    default: return read<bool>(x, w.u, n), 'u';
  }
}

template <class T> inline void put(T *y, double v) { *y = saturate<T>(v); }
inline void put(float *y, double v) { *y = (float)v; }
inline void put(double *y, double v) { *y = v; }
inline void put(half *y, double v) { store(y, v); }
inline void put(bfloat *y, double v) { store(y, v); }
inline void put(bool *y, double v) { *y = v != 0; }

template <class T, class I> inline void put_integer(T *y, I v) { *y = (T)v; }
template <class I> inline void put_integer(half *y, I v) { store(y, (double)v); }
template <class I> inline void put_integer(bfloat *y, I v) { store(y, (double)v); }
template <class I> inline void put_integer(bool *y, I v) { *y = v != 0; }

template <class T> void write(void *y, char kind, const wide_block &w, int64_t n) {
  T *t = (T *)y;
  if (kind == 'f') for (int64_t i = 0; i < n; i++) put(t + i, w.f[i]);
  else if (kind == 'i') for (int64_t i = 0; i < n; i++) put_integer(t + i, w.i[i]);
  else for (int64_t i = 0; i < n; i++) put_integer(t + i, w.u[i]);
}

void write_block(int32_t type, char *y, char kind, const wide_block &w, int64_t n) {
  switch (type) {
    case EFF_TYPE_F32: return write<float>(y, kind, w, n);
    case EFF_TYPE_F64: return write<double>(y, kind, w, n);
    case EFF_TYPE_F16: return write<half>(y, kind, w, n);
    case EFF_TYPE_BF16: return write<bfloat>(y, kind, w, n);
    case EFF_TYPE_I8: return write<int8_t>(y, kind, w, n);
    case EFF_TYPE_I16: return write<int16_t>(y, kind, w, n);
    case EFF_TYPE_I32: return write<int32_t>(y, kind, w, n);
    case EFF_TYPE_I64: return write<int64_t>(y, kind, w, n);
    case EFF_TYPE_U8: return write<uint8_t>(y, kind, w, n);
    case EFF_TYPE_U16: return write<uint16_t>(y, kind, w, n);
    case EFF_TYPE_U32: return write<uint32_t>(y, kind, w, n);
    case EFF_TYPE_U64: return write<uint64_t>(y, kind, w, n);
    default: return write<bool>(y, kind, w, n);
  }
}

void run(const eff_op *op, int64_t rows) {
  const eff_cast &p = *(const eff_cast *)op->params;
  const int64_t from = size_of_type(p.from), to = size_of_type(p.to);
  int64_t n = p.count;
  if (op->stride[0] == n * from && op->stride[1] == n * to) n *= rows, rows = 1;
  for (int64_t r = 0; r < rows; r++) {
    row at{op, r};
    const char *x = at.at<const char>(0);
    char *y = at.at<char>(1);
    if (p.from == p.to) {
      if (x != y) memcpy(y, x, (size_t)(n * from));
      continue;
    }
    for (int64_t i = 0; i < n; i += block) {
      wide_block w;
      const int64_t c = min_of(block, n - i);
      const char kind = read_block(p.from, x + i * from, w, c);
      write_block(p.to, y + i * to, kind, w, c);
    }
  }
}

}  // namespace

eff_kernel find_cast(int32_t type) { return size_of_type(type) ? run : nullptr; }

}  // namespace eff
