// Kernels of the learner: forward, backward fused with the eligibility trace, and the weight update of a small dense
// network.
//
// A network is one flat buffer of weights w, one of traces e (and one of moments v where the optimizer keeps them), in
// the same layout, so an update is a plain loop over `count` elements. The matrix of a layer is stored [rows, lanes]:
// the longer of its two sides is contiguous, so that vectors are full and nothing needs padding in common sizes. lanes
// is rounded up to 64 bytes; padding is zero in every buffer and every kernel keeps it zero.
//
// A network is layers, or a graph: the ops of a loaded policy and their derivatives, with its parameters in the same
// kind of buffers.
//
// Two states (batch rows) go through `forward` at once, because a TD error needs v(s) and v(s') under the same weights.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct eff_learn_layer {
  int64_t in, out;           // sizes
  int64_t rows, lanes;       // stored matrix: [out, in] where by_input is 0, [in, out] where it is 1; lanes padded
  int64_t weight, bias;      // offsets into w, e and v, in elements; bias has out elements, padded
  int32_t by_input, act;     // act: EFF_FN_IDENTITY, RELU, LEAKY_RELU, TANH, ELU or SWISH of kernels.h
  int32_t norm, reserved;    // 1: LayerNorm without scale and shift before the activation
  double epsilon, alpha;     // of LayerNorm; of the activation
  void *x; int64_t x_stride; // input of batch row 0 [in padded]; elements to batch row 1
  void *y; int64_t y_stride; // before the activation [out padded]
  void *d;                   // gradient [out padded]: of the outputs on entry to backward (last layer only)
  double inv_std;            // of LayerNorm, batch row 0
} eff_learn_layer;

// A loaded policy, one row: ops that read w, and derivatives that add to gradients.
typedef struct eff_learn_graph {
  const eff_op *forward, *backward;          // backward: from the outputs to the inputs
  int64_t forward_count, backward_count;
  void *gradients; size_t gradient_size;     // of the values between, in bytes; cleared before backward
  void *g;                                   // of the parameters, laid out like w
  // inputs: the observation as it is, and as the other networks see it; NULL where it is not read
  void *raw, *normalized;
} eff_learn_graph;

// x of layer i + 1 is the activated output of layer i. The last layer is linear and its y is the output of the network.
typedef struct eff_learn_net {
  eff_learn_layer *layer;
  int64_t layers, count;     // count: elements of w, e, v with padding
  void *w, *e, *v;           // v is NULL where the optimizer keeps no moments
  const eff_learn_graph *graph; // or NULL; of a graph, the only layer names its outputs (y) and their gradient (d)
} eff_learn_net;

enum { EFF_LEARN_OBGD = 0, EFF_LEARN_ADAPTIVE = 1, EFF_LEARN_INTENTIONAL = 2, EFF_LEARN_RULES = 3 };

// What the fused pass needs to know. g is the gradient of the loss whose descent is wanted.
typedef struct eff_learn_rule {
  double decay;       // e = decay e + g
  double delta;       // ADAPTIVE: v = beta v + (1 - beta) (delta e)^2
  double beta;        // INTENTIONAL: v = beta v + (1 - beta) g^2
  double correction;  // 1 - beta^t
  double epsilon;     // ADAPTIVE: s = sqrt(v / correction + epsilon); INTENTIONAL: s = sqrt(v / correction) + epsilon
} eff_learn_rule;

// Sums over all parameters, with s = 1 for OBGD.
typedef struct eff_learn_sums {
  double l1;      // |e| / s
  double energy;  // INTENTIONAL: e^2 / s
  double power;   // INTENTIONAL: g^2 / s
} eff_learn_sums;

typedef struct eff_learn_kernels {
  // y = network(x) for 1 or 2 batch rows. Where step is not 0 the update w -= step e that is still due is made on the
  // way (OBGD).
  void (*forward)(const eff_learn_net *n, int64_t batch, double step);
  // From d of the last layer, for batch row 0: e (and v) of all parameters are brought up to date.
  eff_learn_sums (*backward[EFF_LEARN_RULES])(const eff_learn_net *n, const eff_learn_rule *r);
  // The same for a graph, of which g has been found.
  eff_learn_sums (*accumulate[EFF_LEARN_RULES])(const eff_learn_net *n, const eff_learn_rule *r);
  // w -= step e / s
  void (*apply[EFF_LEARN_RULES])(const eff_learn_net *n, const eff_learn_rule *r, double step);
  int32_t level;  // EFF_ISA_... of kernels.h
} eff_learn_kernels;

// Kernels for EFF_TYPE_F32 or EFF_TYPE_F64 at an EFF_ISA_... level or the best lower one; -1: best of this processor.
const eff_learn_kernels *eff_learn_kernels_find(int32_t type, int32_t level);

static inline EFF_RT void eff_learn_apply(const eff_learn_kernels *k, int32_t rule, const eff_learn_net *n,
                                          const eff_learn_rule *r, double step) {
  k->apply[rule](n, r, step);
}

static inline EFF_RT void eff_learn_forward(const eff_learn_kernels *k, const eff_learn_net *n, int64_t batch,
                                            double step) {
  if (!n->graph) { k->forward(n, batch, step); return; }
  eff_learn_rule none = {0, 0, 0, 1, 0};
  if (step != 0) k->apply[EFF_LEARN_OBGD](n, &none, step);
  eff_ops_run(n->graph->forward, n->graph->forward_count, 1);
}

static inline EFF_RT eff_learn_sums eff_learn_backward(const eff_learn_kernels *k, int32_t rule, const eff_learn_net *n,
                                                       const eff_learn_rule *r) {
  const eff_learn_graph *a = n->graph;
  if (!a) return k->backward[rule](n, r);
  memset(a->gradients, 0, a->gradient_size);
  eff_ops_run(a->backward, a->backward_count, 1);
  return k->accumulate[rule](n, r);
}

// A kernel of kernels.h for weights that change at every step: eff_kernel_find, but for products, where rows that are
// packed elsewhere are not.
eff_kernel eff_learn_kernel_find(int32_t id, int32_t type, int32_t level);

// Derivative of a kernel of kernels.h for f32 or f64; NULL where it has none. p[0 ..< n] are the operands of the
// kernel, p[n ..< 2n] their gradients, NULL where not wanted; n is eff_derivative_operands(id). It adds to the
// gradients of the inputs, for one row.
eff_kernel eff_derivative_find(int32_t id, int32_t type, int32_t level);
int32_t eff_derivative_operands(int32_t id);

// libm for code under @_noLocks
static inline EFF_RT double eff_learn_sqrt(double x) { return __builtin_sqrt(x); }
static inline EFF_RT double eff_learn_exp(double x) { return exp(x); }
static inline EFF_RT double eff_learn_log(double x) { return log(x); }
static inline EFF_RT double eff_learn_log1p(double x) { return log1p(x); }
static inline EFF_RT double eff_learn_pow(double x, double y) { return pow(x, y); }
static inline EFF_RT double eff_learn_tanh(double x) { return tanh(x); }
static inline EFF_RT double eff_learn_cos(double x) { return cos(x); }
static inline EFF_RT double eff_learn_sin(double x) { return sin(x); }

#ifdef __cplusplus
}
#endif
