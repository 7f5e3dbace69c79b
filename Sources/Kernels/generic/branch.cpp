// EFF_K_BRANCH: other ops, for the rows that want them.
#include "generic.h"

EFF_SMALL_BEGIN
namespace eff {
namespace {

// Calls ops for `rows` rows from row `first` on, counted from the row that their addresses are of.
void call(const eff_op *ops, int64_t count, int64_t first, int64_t rows) {
  for (int64_t i = 0; i < count; i++) {
    if (first == 0) {
      ops[i].run(&ops[i], rows);
      continue;
    }
    eff_op moved = ops[i];
    // through integers: an address that counts rows starts at 0
    for (int k = 0; k < EFF_OP_OPERANDS; k++)
      moved.p[k] = (void *)((uintptr_t)moved.p[k] + (uintptr_t)(first * moved.stride[k]));
    moved.run(&moved, rows);
  }
}

void run(const eff_op *op, int64_t rows) {
  const eff_branch &p = *(const eff_branch *)op->params;
  const uint8_t *condition = (const uint8_t *)op->p[0], *both = (const uint8_t *)op->p[3];
  const eff_op *body = (const eff_op *)op->p[1];
  const int64_t base = (int64_t)(uintptr_t)op->p[2];
  const bool all = both && *both;
  for (int64_t r = 0; r < rows;) {
    const int64_t first = r;
    while (r < rows && (all || (condition[r * op->stride[0]] != 0) == (p.wanted != 0))) r++;
    if (r > first) call(body, p.count, base + first, r - first);
    else r++;
  }
}

}  // namespace

eff_kernel find_branch() { return run; }

}  // namespace eff
EFF_SMALL_END
