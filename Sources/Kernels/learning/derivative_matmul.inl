// a, b, bias?, y, and their gradients. Of the strides of b one is 1: the inner loops run along it.

template <class T> static inline T dot(const T *x, const T *y, int64_t n) {
#pragma clang fp reassociate(on) contract(fast)
  T sum = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
  return sum;
}

template <class T> static inline void add_scaled(T *y, T c, const T *x, int64_t n) {
#pragma clang fp contract(fast)
  for (int64_t i = 0; i < n; i++) y[i] += c * x[i];
}

// one row of a against matrices that change too often to be packed; anything else goes to the ordinary kernel
template <class T, int32_t level> struct product {
  static void run(const eff_op *op, int64_t rows) {
    const eff_matmul &p = *(const eff_matmul *)op->params;
    const T *a = (const T *)op->p[0], *b = (const T *)op->p[1], *c = (const T *)op->p[2];
    T *y = (T *)op->p[3];
    if (p.m != 1 || p.a_k != 1 || p.b_k != 1 || p.act || eff::product(p.batch, p.batch_rank) != 1)
      return eff_kernel_find(EFF_K_MATMUL, sizeof(T) == 4 ? EFF_TYPE_F32 : EFF_TYPE_F64, level)(op, rows);
    for (int64_t j = 0; j < p.n; j++)
      y[j] = (T)p.alpha * dot(a, b + j * p.b_n, p.k) + (c ? (T)p.beta * c[j * p.bias_n] : 0);
  }
};

template <class T> using product_128 = product<T, EFF_BASE_LEVEL>;
template <class T> using product_256 = product<T, EFF_ISA_AVX2>;
template <class T> using product_512 = product<T, EFF_ISA_AVX512>;

template <class T> struct matmul {
  static void one(const eff_matmul &p, const T *a, const T *b, const T *g, T *da, T *db) {
    const bool by_row = p.b_n == 1;
    const T alpha = (T)p.alpha;
    for (int64_t i = 0; i < p.m; i++, g += p.n) {
      const T *x = a + i * p.a_m;
      T *dx = da ? da + i * p.a_m : nullptr;
      if (by_row) {
        for (int64_t l = 0; l < p.k; l++) {
          if (dx) dx[l * p.a_k] += alpha * dot(g, b + l * p.b_k, p.n);
          if (db) add_scaled(db + l * p.b_k, alpha * x[l * p.a_k], g, p.n);
        }
      } else if (p.b_k == 1 && p.a_k == 1) {
        for (int64_t j = 0; j < p.n; j++) {
          if (g[j] == 0) continue;  // behind a relu half of the rows
          if (dx) add_scaled(dx, alpha * g[j], b + j * p.b_n, p.k);
          if (db) add_scaled(db + j * p.b_n, alpha * g[j], x, p.k);
        }
      } else {
        for (int64_t j = 0; j < p.n; j++)
          for (int64_t l = 0; l < p.k; l++) {
            if (dx) dx[l * p.a_k] += alpha * g[j] * b[l * p.b_k + j * p.b_n];
            if (db) db[l * p.b_k + j * p.b_n] += alpha * g[j] * x[l * p.a_k];
          }
      }
    }
  }

  static void run(const eff_op *op, int64_t) {
    const eff_matmul &p = *(const eff_matmul *)op->params;
    const T *a = (const T *)op->p[0], *b = (const T *)op->p[1], *g = (const T *)op->p[7];
    T *da = (T *)op->p[4], *db = (T *)op->p[5], *dc = (T *)op->p[6];
    if (eff::product(p.batch, p.batch_rank) == 0) return;
    eff::walker<2> w{p.batch_rank, p.batch, {p.a_batch, p.b_batch}, {}, {}};
    do {
      one(p, a + w.offset[0], b + w.offset[1], g, da ? da + w.offset[0] : nullptr, db ? db + w.offset[1] : nullptr);
      for (int64_t i = 0; i < p.m && dc; i++)
        for (int64_t j = 0; j < p.n; j++) dc[i * p.bias_m + j * p.bias_n] += (T)p.beta * g[i * p.n + j];
      g += p.m * p.n;
    } while (w.next());
  }
};
