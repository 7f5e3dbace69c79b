// Packing for dense.h, which describes the format.
template <class T> static int64_t packed_bytes(int64_t n, int64_t k) {
  int64_t bytes = 0;
  while (n > 0) {
    int p = next_panel(n, k);
    bytes += panel_bytes<T>(p, k);
    n -= p > 0 ? p * W : -p;
  }
  return bytes ? bytes : 64;
}

// f32 panels without a multiply for every address: whole lines of w where inputs are contiguous, rows where outputs are
EFF_INLINE void pack_lanes(const eff_loose_float *w, int64_t ks, int64_t ns, int64_t k, int64_t outs, float *e) {
  int64_t i = 0;
  if (ks == 1)
    for (; i + 16 <= k; i += 16)
      for (int64_t o = 0; o < outs; o += W) {
        // more streams than the processor follows by itself
        for (int64_t j = 0; j < W; j++) __builtin_prefetch(w + (o + j) * ns + i + 32);
        for (int64_t j = i; j < i + 16; j += W) transpose(w + o * ns + j, ns, e + j * outs + o, outs);
      }
  for (; i < k; i++) {
    if (ns == 1) __builtin_memcpy(e + i * outs, w + i * ks, (size_t)outs * 4);
    else for (int64_t o = 0; o < outs; o++) e[i * outs + o] = w[i * ks + o * ns];
  }
}
EFF_INLINE void pack_dots(const eff_loose_float *w, int64_t ks, int64_t ns, int64_t k, int64_t outs, float *e) {
  for (int64_t i = 0; i < k; i += W, w += W * ks)
    for (int64_t o = 0; o < outs; o++, e += W) {
      const int64_t count = k - i < W ? k - i : (int64_t)W;
      const eff_loose_float *from = w + o * ns;
      if (ks == 1 && count == W) {
        __builtin_memcpy(e, from, 4 * W);
        continue;
      }
      for (int64_t j = 0; j < W; j++) e[j] = j < count ? from[j * ks] : 0;
    }
}

template <class T> static void pack_panels(const eff_dense *d, const eff_loose_float *w, int64_t ks, int64_t ns,
                                           const eff_loose_float *bias, char *panel) {
  int64_t k = d->k;
  for (int64_t n = 0; n < d->n;) {
    int p = next_panel(d->n - n, k);
    int64_t outs = p > 0 ? p * W : -p, head = p > 0 ? p * W : W, bytes = panel_bytes<T>(p, k),
            side = p > 0 ? (int64_t)T::together : (int64_t)T::together * W;
    float *b = (float *)panel;
    if constexpr (sizeof(typename T::element) == 4) {
      const int64_t first = header_bytes<T>(head), end = first + panel_depth<T>(p, k) * outs * 4;
      float *e = (float *)(panel + first);
      __builtin_memset(panel, 0, (size_t)first);
      __builtin_memset(panel + end, 0, (size_t)(bytes - end));
      for (int64_t o = 0; bias && o < outs; o++) b[o] = bias[n + o];
      if (p > 0) pack_lanes(w + n * ns, ks, ns, k, outs, e);
      else pack_dots(w + n * ns, ks, ns, k, outs, e);
      panel += bytes, n += outs;
      continue;
    }
    __builtin_memset(panel, 0, (size_t)bytes);
    typename T::element *e = (typename T::element *)(panel + header_bytes<T>(head));
    for (int64_t o = 0; o < outs; o++, n++) {
      const eff_loose_float *c = w + n * ns;
      float inverse = 1;
      if (bias) b[o] = bias[n];
      if (T::scaled) {
        float top = 0;
        for (int64_t i = 0; i < k; i++) top = __builtin_fabsf(c[i * ks]) > top ? __builtin_fabsf(c[i * ks]) : top;
        b[head + o] = top / 127;
        inverse = top > 0 ? 127 / top : 0;
      }
      typename T::element first = 0;
      for (int64_t i = 0; i < k; i++) {
        typename T::element *to = e + (i / side * outs + o) * side + i % side;
        float v = T::scaled ? c[i * ks] * inverse : c[i * ks];
        if constexpr (T::together == 2) *to = first = i % 2 ? T::store_second(v, first) : T::store(v);
        else *to = T::store(v);
      }
    }
    panel += bytes;
  }
}

static void pack_blocks(const eff_dense *d, const eff_loose_float *w, int64_t ks, int64_t ns,
                        const eff_loose_float *bias, char *packed) {
  const int64_t columns = block_columns(d);
  __builtin_memset(packed, 0, (size_t)lines(columns * 4));
  for (int64_t o = 0; bias && o < columns; o++) ((float *)packed)[o] = bias[o];
  float *to = (float *)(packed + lines(columns * 4));
  each_block(d, [&](int64_t i, int64_t depth, int64_t c) __attribute__((always_inline)) {
    pack_lanes(w + i * ks + c * ns, ks, ns, depth, COLUMNS, to);
    to += depth * COLUMNS;
  });
  eff_dense rest = *d;
  rest.n = d->n - columns;
  pack_panels<weights_f32>(&rest, w + columns * ns, ks, ns, bias ? bias + columns : nullptr,
                           packed + blocks_bytes(d));
}

int64_t dense_packed_size(const eff_dense *d) {
  if (in_blocks(d)) {
    const int64_t left = d->n - block_columns(d);
    return blocks_bytes(d) + (left ? packed_bytes<weights_f32>(left, d->k) : 0);
  }
  switch (d->weights) {
    case EFF_TYPE_F16: return packed_bytes<weights_f16>(d->n, d->k);
    case EFF_TYPE_BF16: return packed_bytes<weights_bf16>(d->n, d->k);
    case EFF_TYPE_I8: return packed_bytes<weights_i8>(d->n, d->k);
    default: return packed_bytes<weights_f32>(d->n, d->k);
  }
}

void dense_pack(const eff_dense *d, const float *w, int64_t k_stride, int64_t n_stride, const float *bias,
                void *packed) {
  if (in_blocks(d)) return pack_blocks(d, w, k_stride, n_stride, bias, (char *)packed);
  switch (d->weights) {
    case EFF_TYPE_F16: return pack_panels<weights_f16>(d, w, k_stride, n_stride, bias, (char *)packed);
    case EFF_TYPE_BF16: return pack_panels<weights_bf16>(d, w, k_stride, n_stride, bias, (char *)packed);
    case EFF_TYPE_I8: return pack_panels<weights_i8>(d, w, k_stride, n_stride, bias, (char *)packed);
    default: return pack_panels<weights_f32>(d, w, k_stride, n_stride, bias, (char *)packed);
  }
}
