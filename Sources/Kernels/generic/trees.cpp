// EFF_K_TREES: decision trees, one walk from root to leaf each.
#include "generic.h"

namespace eff {
namespace {

template <class T> struct node_of { using type = eff_tree_node_f32; };
template <> struct node_of<double> { using type = eff_tree_node_f64; };

template <class T> struct trees {
  using node = typename node_of<T>::type;

  static bool holds(int32_t mode, T v, T value) {
    switch (mode) {
      case EFF_TREE_LEQ: return v <= value;
      case EFF_TREE_LT: return v < value;
      case EFF_TREE_GTE: return v >= value;
      case EFF_TREE_GT: return v > value;
      case EFF_TREE_EQ: return v == value;
      default: return v != value;
    }
  }
  static int32_t next(const node &n, const T *x) {
    const T v = x[n.feature_mode >> 4];
    const int32_t mode = n.feature_mode & 15;
    return holds(mode & 7, v, n.value) || ((mode & EFF_TREE_MISSING) && v != v) ? n.yes : n.no;
  }
  static int32_t walk(const node *nodes, int32_t at, const T *x) {
    while (at >= 0) at = next(nodes[at], x);
    return at;
  }
  // walks of trees with one kind of comparison go together: each waits for memory alone
  static constexpr int together = 8;
  static void walk_leq(const node *nodes, const int32_t *roots, const T *x, int32_t *at) {
    bool moved = false;
    for (int i = 0; i < together; i++) at[i] = roots[i], moved |= at[i] >= 0;
    while (moved) {
      moved = false;
      for (int i = 0; i < together; i++) {
        if (at[i] < 0) continue;
        const node &n = nodes[at[i]];
        at[i] = x[n.feature_mode >> 4] <= n.value ? n.yes : n.no;
        moved |= at[i] >= 0;
      }
    }
  }

  struct forest {
    const eff_trees &p;
    const int32_t *leaves, *targets;
    const T *weights;
    T *y;
    uint8_t *has;

    void add(int32_t at) const {
      const int32_t *leaf = leaves + 2 * (int64_t)~at;
      for (int32_t w = leaf[0]; w < leaf[0] + leaf[1]; w++) {
        const int32_t t = targets[w];
        const T v = weights[w];
        if (p.aggregate == EFF_TREES_SUM) y[t] += v;
        else if (!has[t] || (p.aggregate == EFF_TREES_MIN ? v < y[t] : v > y[t])) y[t] = v;
        has[t] = 1;
      }
    }
  };

  static void run(const eff_op *op, int64_t rows) {
    const eff_trees &p = *(const eff_trees *)op->params;
    for (int64_t r = 0; r < rows; r++) {
      row at{op, r};
      const T *x = at.at<const T>(0);
      const node *nodes = at.at<const node>(1);
      const int32_t *roots = at.at<const int32_t>(2);
      forest f{p, at.at<const int32_t>(3), at.at<const int32_t>(4), at.at<const T>(5), at.at<T>(6), at.at<uint8_t>(7)};
      for (int64_t b = 0; b < p.batch; b++, x += p.features, f.y += p.targets, f.has += p.targets) {
        for (int64_t t = 0; t < p.targets; t++) f.y[t] = 0, f.has[t] = 0;
        int64_t tree = 0;
        if (p.only_leq) {
          int32_t found[together];
          for (; tree + together <= p.trees; tree += together) {
            walk_leq(nodes, roots + tree, x, found);
            for (int i = 0; i < together; i++) f.add(found[i]);
          }
        }
        for (; tree < p.trees; tree++) f.add(walk(nodes, roots[tree], x));
      }
    }
  }
};

}  // namespace

eff_kernel find_trees(int32_t type) {
  switch (type) {
    case EFF_TYPE_F32: return trees<float>::run;
    case EFF_TYPE_F64: return small<trees<double>>::run;
    default: return nullptr;
  }
}

}  // namespace eff
