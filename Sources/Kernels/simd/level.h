// What the families of one level offer each other. Included inside a level's namespace.
#define EFF_HIDDEN __attribute__((visibility("hidden")))
EFF_HIDDEN void activate(const float *x, float *y, int64_t n, int32_t fn, float a, float b);
EFF_HIDDEN void unary(const eff_op *op, int64_t rows);
EFF_HIDDEN void binary(const eff_op *op, int64_t rows);
EFF_HIDDEN void dense(const eff_op *op, int64_t rows);
EFF_HIDDEN void dense_run(const eff_dense *d, const float *x, int64_t ldx, const char *packed, float *y, int64_t ldy,
                          int64_t m);
EFF_HIDDEN int64_t dense_packed_size(const eff_dense *d);
EFF_HIDDEN void dense_pack(const eff_dense *d, const float *w, int64_t k_stride, int64_t n_stride, const float *bias,
                           void *packed);
EFF_HIDDEN void rnn(const eff_op *op, int64_t rows);
EFF_HIDDEN int64_t rnn_packed_size(const eff_rnn *r);
EFF_HIDDEN int64_t rnn_scratch_size(const eff_rnn *r);
EFF_HIDDEN void rnn_pack(const eff_rnn *r, const float *w, const float *recurrent, const float *b, void *packed);
EFF_HIDDEN void conv(const eff_op *op, int64_t rows);
EFF_HIDDEN int64_t conv_packed_size(const eff_conv *c);
EFF_HIDDEN int64_t conv_scratch_size(const eff_conv *c);
EFF_HIDDEN void conv_pack(const eff_conv *c, const float *w, const float *bias, void *packed);
EFF_HIDDEN void pool(const eff_op *op, int64_t rows);
EFF_HIDDEN void norm(const eff_op *op, int64_t rows);
EFF_HIDDEN void softmax(const eff_op *op, int64_t rows);
EFF_HIDDEN float exponentials(const float *x, float *y, int64_t n, float scale);
EFF_HIDDEN void reduce(const eff_op *op, int64_t rows);
EFF_HIDDEN void matmul(const eff_op *op, int64_t rows);
EFF_HIDDEN void attention(const eff_op *op, int64_t rows);
