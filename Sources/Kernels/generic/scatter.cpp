// EFF_K_SCATTER_ELEMENTS and EFF_K_SCATTER_ND; the output holds the data already.
#include "generic.h"

EFF_SMALL_BEGIN
namespace eff {
namespace {

template <class W> W combine(int32_t reduction, W a, W b) {
  switch (reduction) {
    case EFF_SCATTER_ADD: return a + b;
    case EFF_SCATTER_MUL: return a * b;
    case EFF_SCATTER_MIN: return a < b || a != a ? a : b;
    case EFF_SCATTER_MAX: return a > b || a != a ? a : b;
    default: return b;
  }
}
// signed sums and products wrap
template <> int64_t combine(int32_t reduction, int64_t a, int64_t b) {
  if (reduction == EFF_SCATTER_MIN) return a < b ? a : b;
  if (reduction == EFF_SCATTER_MAX) return a > b ? a : b;
  return (int64_t)combine(reduction, (uint64_t)a, (uint64_t)b);
}

template <class T> struct scatter_elements {
  static void run(const eff_op *op, int64_t rows) {
    const eff_elements &p = *(const eff_elements *)op->params;
    int64_t strides[EFF_RANK];
    const int64_t step = dense_strides(p.data, p.rank, strides, p.axis);
    if (product(p.dims, p.rank) == 0 || p.data[p.axis] <= 0) return;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const void *indices = at.at<const void>(0);
      const T *updates = at.at<const T>(1);
      T *y = at.at<T>(2);
      walker<1> w{p.rank, p.dims, {strides}, {}, {}};
      int64_t i = 0;
      do {
        T *to = y + w.offset[0] + index_at(indices, p.index_type, i, p.data[p.axis]) * step;
        if (p.reduction == EFF_SCATTER_SET) *to = updates[i];
        else store(to, combine<wide_t<T>>(p.reduction, load(to), load(updates + i)));
        i++;
      } while (w.next());
    }
  }
};

template <class T> struct scatter_nd {
  static void run(const eff_op *op, int64_t rows) {
    const eff_nd &p = *(const eff_nd *)op->params;
    const int64_t block = product(p.data, p.depth) * p.inner;
    if (block == 0) return;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const void *indices = at.at<const void>(0);
      const T *updates = at.at<const T>(1);
      T *y = at.at<T>(2);
      for (int64_t b = 0; b < p.batch; b++, y += block) {
        for (int64_t t = 0; t < p.tuples; t++, updates += p.inner) {
          T *to = y + tuple_offset(p, indices, b * p.tuples + t);
          if (p.reduction == EFF_SCATTER_SET) memcpy(to, updates, (size_t)p.inner * sizeof(T));
          else
            for (int64_t i = 0; i < p.inner; i++)
              store(to + i, combine<wide_t<T>>(p.reduction, load(to + i), load(updates + i)));
        }
      }
    }
  }
};

}  // namespace

eff_kernel find_scatter(int32_t id, int32_t type) {
  return id == EFF_K_SCATTER_ND ? pick<scatter_nd>(type) : pick<scatter_elements>(type);
}

}  // namespace eff
EFF_SMALL_END
