// Kernels of the learner: forward, backward fused with the eligibility trace, and the weight update.
//
// A network is two lists of ops, forward and backward, over flat buffers of weights w, traces e and (where the
// optimizer keeps them) moments v, all in one layout, so an update is a plain loop over `count` elements. A dense layer
// with weights of its own is one op in either list: its forward pass makes the update that is still due as it reads the
// weights, its backward pass brings the trace up to date as it finds the gradient. All other ops are kernels of
// kernels.h and their derivatives, which add to gradients g; the parameters that they read are called loose, and lie
// behind those of the layers.
//
// The matrix of a layer is stored [rows, lanes]: the longer of its two sides is contiguous, so that vectors are full
// and nothing needs padding in common sizes. lanes is rounded up to 64 bytes; padding is zero in every buffer and every
// kernel keeps it zero.
//
// Two states (batch rows) go through the layers at once, because a TD error needs v(s) and v(s') under the same
// weights.
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

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

// What a pass over a network needs to know, and what the backward pass finds; the ops of its layers point to it.
typedef struct eff_learn_pass {
  double step;          // forward: the update w -= step e that is still due (OBGD), or 0
  eff_learn_rule rule;  // backward
  eff_learn_sums sums;  // backward: over the parameters of the layers that have been passed
} eff_learn_pass;

// A dense layer: y = W x + b, then LayerNorm in place where there is one, then h = act(y). These are the parameters of
// an op with the operands x [in padded], w [rows, lanes], b [out padded], y [out padded], h (NULL: y itself); e, e of b
// (NULL: b stays), v, v of b (NULL: no moments); d, the gradient of the outputs [out padded], which becomes that of y;
// the gradient of x (NULL: not wanted); and the eff_learn_pass.
enum {
  EFF_LAYER_X, EFF_LAYER_W, EFF_LAYER_B, EFF_LAYER_Y, EFF_LAYER_H, EFF_LAYER_E, EFF_LAYER_EB, EFF_LAYER_V, EFF_LAYER_VB,
  EFF_LAYER_D, EFF_LAYER_DX, EFF_LAYER_PASS, EFF_LAYER_OPERANDS
};
typedef struct eff_learn_layer {
  int64_t in, out;           // sizes
  int64_t rows, lanes;       // stored matrix: [out, in] where by_input is 0, [in, out] where it is 1; lanes padded
  int32_t by_input, act;     // act: EFF_FN_IDENTITY, RELU, LEAKY_RELU, TANH, ELU or SWISH of kernels.h
  int32_t norm;              // 1: LayerNorm without scale and shift before the activation
  int32_t adds;              // 1: the gradient of x has other parts, to which this one is added
  double epsilon, alpha;     // of LayerNorm; of the activation
  int64_t x_stride, y_stride, h_stride;  // elements from batch row 0 to 1; 0 where there is one row
  double inv_std;            // of LayerNorm, batch row 0; found by the forward pass
} eff_learn_layer;

// A recurrent cell with weights of its own: one step of EFF_K_RNN's LSTM or GRU with its standard functions, for one
// direction and one sequence. Its weights learn by SnAp-1 (arXiv 2006.07232). J holds, for every weight, how the unit
// that the weight writes to depends on it by way of all steps so far; ways through other units are left away:
//   J = D J + I      D: the unit's new state by its old one; I: by the weight, with the old state held
//   gradient = d(outputs) / d(unit) J
// A unit of an LSTM has two numbers, c and h, and so has J. A GRU's reset gate before the product (linear_before_reset
// 0) reaches every unit at once: its gradient is exact in the present step, and J keeps its own unit's part.
// A diagonal cell (EFF_CELL_DIAGONAL) is a recurrent trace unit (arXiv 2409.01449), linear, for which J is exact:
//   h = lambda h + phi (W1 + i W2) x     lambda = exp(-exp(nu) + i exp(a)), phi = sqrt(1 - |lambda|^2)
// x [input], w [2 hidden, input]: W1, W2; r [2, hidden]: nu, a; b: NULL; state and output [2 hidden]: real, imaginary.
// The forward pass may run any number of times; the backward pass, or the one that only advances J, runs once a step.
enum {
  EFF_CELL_X, EFF_CELL_W, EFF_CELL_R, EFF_CELL_B, EFF_CELL_H0, EFF_CELL_C0, EFF_CELL_Y, EFF_CELL_YH, EFF_CELL_YC,
  EFF_CELL_GATES /* scratch [6 hidden] */, EFF_CELL_INFLUENCE /* J */, EFF_CELL_OPERANDS
};
enum { EFF_CELL_DIAGONAL = 3 };
typedef struct eff_learn_cell {
  int32_t cell, linear_before_reset;  // EFF_RNN_LSTM, EFF_RNN_GRU or EFF_CELL_DIAGONAL
  int64_t input, hidden;
  // gradients of x, w, r and b, to which is added; NULL: not wanted, and no J for it
  void *dx, *dw, *dr, *db;
  // of y, y_h and y_c; NULL: none
  const void *dy, *dyh, *dyc;
  const void *mask;  // [1]: what the state was multiplied by on its way here; NULL: nothing
} eff_learn_cell;

enum { EFF_CELL_FORWARD = 0, EFF_CELL_BACKWARD = 1, EFF_CELL_ADVANCE = 2 };
// A kernel whose parameters are an eff_learn_cell, for EFF_TYPE_F32 or EFF_TYPE_F64 at an EFF_ISA_... level.
eff_kernel eff_learn_cell_find(int32_t type, int32_t level, int32_t pass);

typedef struct eff_learn_net {
  const eff_op *forward, *backward;          // backward: from the outputs to the inputs
  int64_t forward_count, backward_count;
  int64_t count, loose;      // elements of w, e, v with padding; of them, those before the loose parameters
  void *w, *e, *v;           // v is NULL where the optimizer keeps no moments
  void *g;                   // gradients of the loose parameters [count - loose]
  void *gradients; size_t gradient_size;     // that and those of values, in bytes; cleared before backward
  // inputs: the observation as it is, and normalized; NULL where it is not read
  void *raw, *normalized;
  void *output, *d;          // outputs, and the gradient of those of batch row 0, to be written before backward
  int64_t input_stride, output_stride;       // elements from batch row 0 to 1
  eff_learn_pass *pass;
  const eff_op *cells;       // advance J of the cells that learn
  int64_t cell_count;
} eff_learn_net;

typedef struct eff_learn_kernels {
  // Kernels of ops whose parameters are an eff_learn_layer, for 1 or 2 batch rows, and for batch row 0.
  eff_kernel forward, backward[EFF_LEARN_RULES];
  // e (and v) of the loose parameters, of which g has been found, are brought up to date.
  void (*accumulate[EFF_LEARN_RULES])(const eff_learn_net *n);
  // w -= step e / s, from element `first` on
  void (*apply[EFF_LEARN_RULES])(const eff_learn_net *n, const eff_learn_rule *r, double step, int64_t first);
  int32_t level;  // EFF_ISA_... of kernels.h
} eff_learn_kernels;

// Kernels for EFF_TYPE_F32 or EFF_TYPE_F64 at an EFF_ISA_... level or the best lower one; -1: best of this processor.
const eff_learn_kernels *eff_learn_kernels_find(int32_t type, int32_t level);

// Of a layer's op, with the trace by this rule.
static inline eff_kernel eff_learn_layer_backward(const eff_learn_kernels *k, int32_t rule) {
  return k->backward[rule];
}

static inline EFF_RT void eff_learn_apply(const eff_learn_kernels *k, int32_t rule, const eff_learn_net *n,
                                          const eff_learn_rule *r, double step) {
  k->apply[rule](n, r, step, 0);
}

// outputs = network(inputs) for 1 or 2 batch rows, after the update w -= step e that is still due (OBGD; 0: none).
static inline EFF_RT void eff_learn_forward(const eff_learn_kernels *k, const eff_learn_net *n, int64_t batch,
                                            double step) {
  const eff_learn_rule none = {0, 0, 0, 1, 0};
  if (step != 0 && n->loose < n->count) k->apply[EFF_LEARN_OBGD](n, &none, step, n->loose);
  n->pass->step = step;
  eff_ops_run(n->forward, n->forward_count, batch);
}

// From d, for batch row 0: e (and v) of all parameters are brought up to date.
static inline EFF_RT eff_learn_sums eff_learn_backward(const eff_learn_kernels *k, int32_t rule, const eff_learn_net *n,
                                                       const eff_learn_rule *r) {
  const eff_learn_sums none = {0, 0, 0};
  n->pass->rule = *r;
  n->pass->sums = none;
  if (n->gradient_size) memset(n->gradients, 0, n->gradient_size);
  eff_ops_run(n->backward, n->backward_count, 1);
  if (n->loose < n->count) k->accumulate[rule](n);
  return n->pass->sums;
}

// In the place of the backward pass where nothing learns: what the weights have done to the recurrent state goes on.
static inline EFF_RT void eff_learn_advance(const eff_learn_net *n) { eff_ops_run(n->cells, n->cell_count, 1); }

// The last layer of a critic that gives a distribution: outputs [groups, atoms], all linear in the same inputs.
typedef struct eff_learn_head {
  int64_t weight, bias;                // elements of w before its matrix and its bias
  int64_t inputs, atoms, groups;
  int64_t out_stride, in_stride;       // elements from the weight of one output, or input, to that of the next
} eff_learn_head;

// For all k: w_k -= step[k] e_0 / s_0 - common e_k / s_k, with e_0 of output 0 of the group. With the shared update
// w_k -= common e_k / s_k, made before or after, output k has moved by step[k] along the trace of output 0. Returns the
// L1 distance.
EFF_RT double eff_learn_turn_head(int32_t type, const eff_learn_head *h, const eff_learn_net *n, int32_t rule,
                                  const eff_learn_rule *r, const double *step, double common);

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
static inline EFF_RT double eff_learn_expm1(double x) { return expm1(x); }
static inline EFF_RT double eff_learn_log(double x) { return log(x); }
static inline EFF_RT double eff_learn_log1p(double x) { return log1p(x); }
static inline EFF_RT double eff_learn_erf(double x) { return erf(x); }
static inline EFF_RT double eff_learn_pow(double x, double y) { return pow(x, y); }
static inline EFF_RT double eff_learn_tanh(double x) { return tanh(x); }
static inline EFF_RT double eff_learn_cos(double x) { return cos(x); }
static inline EFF_RT double eff_learn_sin(double x) { return sin(x); }

#ifdef __cplusplus
}
#endif
