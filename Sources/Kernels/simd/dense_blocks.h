// f32 layers that always have many rows (a sequence): weights in the order in which tiles of 6 rows by 2 vectors read
// them, so that nothing is copied. Included by dense.h.
//
// blocks = [bias of all columns][per GROUP columns: per DEPTH inputs: per 2 vectors of columns: weights (k-major)]
// [panels of the columns that are left]. A block of weights stays in the first cache until all rows have used it; a
// chunk of rows' inputs of one depth and outputs of one group stay in the second.
enum { COLUMNS = 2 * W, DEPTH = 4096 / COLUMNS, GROUP = 256 };

EFF_INLINE bool in_blocks(const eff_dense *d) {
  const bool narrow = d->weights == EFF_TYPE_F16 || d->weights == EFF_TYPE_BF16 || d->weights == EFF_TYPE_I8;
  return BLOCKS && !narrow && d->m >= MANY && d->n >= COLUMNS && d->k > 0;
}
EFF_INLINE int64_t block_columns(const eff_dense *d) { return d->n / COLUMNS * COLUMNS; }
EFF_INLINE int64_t blocks_bytes(const eff_dense *d) {
  return lines(block_columns(d) * 4) + d->k * block_columns(d) * 4;  // each part is whole lines
}

// visit(first input, inputs, first column) of every block, in the order of the weights
template <class F> EFF_INLINE void each_block(const eff_dense *d, F visit) {
  for (int64_t g = 0, columns = block_columns(d); g < columns; g += GROUP)
    for (int64_t i = 0; i < d->k; i += DEPTH)
      for (int64_t c = g; c < columns && c < g + GROUP; c += COLUMNS)
        visit(i, d->k - i < DEPTH ? d->k - i : (int64_t)DEPTH, c);
}

static void blocks_run(const eff_dense *d, const float *x, int64_t ldx, const char *packed, float *y, int64_t ldy,
                       int64_t m) {
  const int64_t columns = block_columns(d), tiles = (m + 5) / 6;
  const float *bias = (const float *)packed, *w = (const float *)(packed + lines(columns * 4));
  each_block(d, [&](int64_t i, int64_t depth, int64_t c) __attribute__((always_inline)) {
    const int64_t part = (depth + tiles - 1) / tiles, ldfrom = i ? ldy : 0;
    for (int64_t t = 0, r = 0; t < tiles; t++) {
      const int64_t count = (m - r + tiles - t - 1) / (tiles - t);
      float *to = y + r * ldy + c;
      const float *from = i ? to : bias + c, *at = x + r * ldx + i;
      const char *ahead = (const char *)(w + (depth + t * part) * COLUMNS);
      if (count == 6) tile<6, 2>(at, ldx, depth, w, from, ldfrom, to, ldy, ahead, COLUMNS * 4);
      else tile<5, 2>(at, ldx, depth, w, from, ldfrom, to, ldy, ahead, COLUMNS * 4);
      r += count;
    }
    w += depth * COLUMNS;
    // the last block of a group: its outputs are still near
    const int64_t next = c + COLUMNS;
    if (!d->act || i + depth < d->k || (next < columns && next % GROUP)) return;
    const int64_t first = c / GROUP * GROUP;
    for (int64_t r = 0; r < m; r++) {
      float *at = y + r * ldy + first;
      activate(at, at, next - first, d->act, (float)d->alpha, (float)d->beta);
    }
  });
  if (columns == d->n) return;
  y += columns;
  each_panel(float_panels<weights_f32>{x, ldx, m, d->k, y, ldy}, d->n - columns, d->k, packed + blocks_bytes(d));
  for (int64_t r = 0; d->act && r < m; r++)
    activate(y + r * ldy, y + r * ldy, d->n - columns, d->act, (float)d->alpha, (float)d->beta);
}
