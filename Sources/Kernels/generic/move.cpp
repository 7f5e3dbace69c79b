// Data movement: EFF_K_COPY, FILL, GATHER, GATHER_ELEMENTS, GATHER_ND, ONE_HOT. Only the element size matters here.
#include "generic.h"

namespace eff {
namespace {

template <class T> struct copy {
  static void run(const eff_op *op, int64_t rows) {
    const eff_strided &p = *(const eff_strided *)op->params;
    const int64_t size = sizeof(T);
    // the rows are one more dim, so that they merge like any other
    int64_t all[EFF_RANK + 1], sx[EFF_RANK + 1], sy[EFF_RANK + 1];
    all[0] = rows, sx[0] = op->stride[0] / size, sy[0] = op->stride[1] / size;
    for (int32_t d = 0; d < p.rank; d++) all[d + 1] = p.dims[d], sx[d + 1] = p.x[d], sy[d + 1] = p.y[d];
    const int64_t *in[2] = {sx, sy};
    int64_t dims[EFF_RANK + 1], s[2][EFF_RANK + 1];
    const int32_t rank = merge<2>(p.rank + 1, all, in, dims, s), last = rank - 1;
    if (product(dims, rank) == 0) return;
    const int64_t n = dims[last], dx = s[0][last], dy = s[1][last];
    const T *x = (const T *)op->p[0] + p.x_offset;
    T *y = (T *)op->p[1] + p.y_offset;
    walker<2> w{last, dims, {s[0], s[1]}, {}, {}};
    do {
      const T *from = x + w.offset[0];
      T *to = y + w.offset[1];
      if (dx == 1 && dy == 1 && n >= 16) memmove(to, from, (size_t)(n * size));
      else if (dy == 1) for (int64_t i = 0; i < n; i++) to[i] = from[i * dx];
      else for (int64_t i = 0; i < n; i++) to[i * dy] = from[i * dx];
    } while (w.next());
  }
};

template <class T> struct fill {
  static void run(const eff_op *op, int64_t rows) {
    const int64_t n = ((const eff_fill *)op->params)->count;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T v = *at.at<const T>(0);
      T *y = at.at<T>(1);
      for (int64_t i = 0; i < n; i++) y[i] = v;
    }
  }
};

template <class T> struct gather {
  static void run(const eff_op *op, int64_t rows) {
    const eff_gather &p = *(const eff_gather *)op->params;
    if (p.axis <= 0) return;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      const void *indices = at.at<const void>(1);
      T *y = at.at<T>(2);
      for (int64_t o = 0; o < p.outer; o++, x += p.axis * p.inner) {
        for (int64_t i = 0; i < p.indices; i++, y += p.inner) {
          const T *from = x + index_at(indices, p.index_type, i, p.axis) * p.inner;
          if (p.inner < 16) for (int64_t j = 0; j < p.inner; j++) y[j] = from[j];
          else memcpy(y, from, (size_t)p.inner * sizeof(T));
        }
      }
    }
  }
};

template <class T> struct gather_elements {
  static void run(const eff_op *op, int64_t rows) {
    const eff_elements &p = *(const eff_elements *)op->params;
    int64_t strides[EFF_RANK];
    const int64_t step = dense_strides(p.data, p.rank, strides, p.axis);
    if (product(p.dims, p.rank) == 0 || p.data[p.axis] <= 0) return;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      const void *indices = at.at<const void>(1);
      T *y = at.at<T>(2);
      walker<1> w{p.rank, p.dims, {strides}, {}, {}};
      int64_t i = 0;
      do {
        y[i] = x[w.offset[0] + index_at(indices, p.index_type, i, p.data[p.axis]) * step];
        i++;
      } while (w.next());
    }
  }
};

template <class T> struct gather_nd {
  static void run(const eff_op *op, int64_t rows) {
    const eff_nd &p = *(const eff_nd *)op->params;
    const int64_t block = product(p.data, p.depth) * p.inner;
    if (block == 0) return;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      const void *indices = at.at<const void>(1);
      T *y = at.at<T>(2);
      for (int64_t b = 0; b < p.batch; b++, x += block) {
        for (int64_t t = 0; t < p.tuples; t++, y += p.inner) {
          const T *from = x + tuple_offset(p, indices, b * p.tuples + t);
          memcpy(y, from, (size_t)p.inner * sizeof(T));
        }
      }
    }
  }
};

template <class T> struct one_hot {
  static void run(const eff_op *op, int64_t rows) {
    const eff_one_hot &p = *(const eff_one_hot *)op->params;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const void *indices = at.at<const void>(0);
      const T *values = at.at<const T>(1);
      T *y = at.at<T>(2);
      const T off = values[0], on = values[1];
      for (int64_t i = 0; i < p.outer * p.depth * p.inner; i++) y[i] = off;
      for (int64_t o = 0; o < p.outer; o++) {
        for (int64_t i = 0; i < p.inner; i++) {
          int64_t v = index_any(indices, p.index_type, o * p.inner + i);
          if (v < 0 && v >= -p.depth) v += p.depth;
          if (v >= 0 && v < p.depth) y[(o * p.depth + v) * p.inner + i] = on;
        }
      }
    }
  }
};

}  // namespace

eff_kernel find_move(int32_t id, int32_t type) {
  switch (id) {
    case EFF_K_COPY: return pick_size<copy>(type);
    case EFF_K_FILL: return pick_size<fill>(type);
    case EFF_K_GATHER: return pick_size<gather>(type);
    case EFF_K_GATHER_ELEMENTS: return pick_size<gather_elements>(type);
    case EFF_K_GATHER_ND: return pick_size<gather_nd>(type);
    case EFF_K_ONE_HOT: return pick_size<one_hot>(type);
    default: return nullptr;
  }
}

}  // namespace eff
