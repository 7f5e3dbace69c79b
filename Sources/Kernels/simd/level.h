// What the families of one level offer each other. Included inside a level's namespace.
#define EFF_HIDDEN __attribute__((visibility("hidden")))
EFF_HIDDEN void activate(const float *x, float *y, int64_t n, int32_t fn, float a, float b);
EFF_HIDDEN void unary(const eff_op *op, int64_t rows);
EFF_HIDDEN void binary(const eff_op *op, int64_t rows);
EFF_HIDDEN void dense(const eff_op *op, int64_t rows);
EFF_HIDDEN int64_t dense_packed_size(const eff_dense *d);
EFF_HIDDEN void dense_pack(const eff_dense *d, const float *w, int64_t k_stride, int64_t n_stride, const float *bias, void *packed);
