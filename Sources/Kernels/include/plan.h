// The plan of a policy as one block of bytes without addresses: what the planner writes and every reader reads.
//
// header | parts | program | what only people read | weights
//
// All numbers are little endian. Parts begin at multiples of 64; a part is a list of one struct, or bytes. The program
// is the parts up to EFF_PLAN_NAMES: two plans whose programs and arenas are equal run with each other's weights. A
// kernel is found again from its code, the element type and the instruction set (eff_kernel_find). Packed weights are
// made for one instruction set.
#pragma once
#include <stdint.h>

#define EFF_PLAN_MAGIC 0x4e414c5046464500u /* "\0EFFPLAN" */

// Counts up with every change of this file, of a struct of kernels.h, or of how weights are packed.
enum { EFF_PLAN_VERSION = 2 };

// The parts of a block, in order.
enum {
  EFF_PLAN_OPS = 0,        // eff_plan_op, in order of execution; the ops of a branch follow it
  EFF_PLAN_OPERANDS = 1,   // eff_plan_operand
  EFF_PLAN_PARAMS = 2,     // bytes: structs of kernels.h at multiples of 16
  EFF_PLAN_INPUTS = 3,     // eff_plan_port
  EFF_PLAN_OUTPUTS = 4,    // eff_plan_port
  EFF_PLAN_DIMS = 5,       // int64_t: the shapes of ports
  EFF_PLAN_STATES = 6,     // int64_t: which input holds each recurrent state
  EFF_PLAN_CONSTANTS = 7,  // eff_plan_constant
  EFF_PLAN_LAYERS = 8,     // eff_plan_layer
  EFF_PLAN_NAMES = 9,      // text of ports and ops; each ends with a zero byte
  EFF_PLAN_REASONS = 10,   // int64_t: why each input, then each output, has its role
  EFF_PLAN_NOTES = 11,     // int64_t: places in EFF_PLAN_TEXT
  EFF_PLAN_METADATA = 12,  // int64_t: places of key and value in EFF_PLAN_TEXT, entry after entry
  EFF_PLAN_TEXT = 13,      // the file's producer and operators, why stepping is refused (may be empty), notes,
                           // metadata
  EFF_PLAN_WEIGHTS = 14,   // bytes: packed weights and constants in the order in which the ops read them
  EFF_PLAN_PARTS = 15
};

// Bytes from the start of the block.
typedef struct { int64_t start, size; } eff_plan_part;

// The parts follow it.
typedef struct {
  uint64_t magic;
  uint64_t checksum;  // XXH64 of all that follows it; of an image alone (Plan+Image)
  int32_t version, isa;
  int64_t size;   // of the block
  uint64_t hash;  // of the policy: the same on every processor
  int64_t arena;  // bytes of one row
  int64_t peak;   // most bytes of intermediate tensors that live at the same time, of one row
  int64_t work;   // multiply-adds of one row
  int32_t main_count;  // ops that always run
  int32_t uses_random;
  // of the file
  int64_t opset, ir_version, node_count, unfused_count, parameter_count;
  int64_t producer, operators, refusal;  // places in EFF_PLAN_TEXT
} eff_plan_header;

typedef struct {
  int32_t code, type;    // EFF_K_..., EFF_TYPE_...
  int32_t first, count;  // operands
  int64_t params;        // place in EFF_PLAN_PARAMS
  int32_t position;      // in the table of a session: the ops that always run, then the bodies of branches
  int32_t text;          // place in EFF_PLAN_NAMES
} eff_plan_op;

// Where an operand is. Offsets in the arena are those of a session with one row; n rows multiply them by n.
enum {
  EFF_SPACE_NONE = 0,
  EFF_SPACE_WEIGHTS = 1,
  EFF_SPACE_ARENA = 2,
  EFF_SPACE_STATE_IN = 3,
  EFF_SPACE_STATE_OUT = 4,
  EFF_SPACE_RANDOM = 5,
  EFF_SPACE_TABLE = 6,
  EFF_SPACE_ROW = 7,
  EFF_SPACE_REHEARSAL = 8
};
typedef struct {
  int64_t space;
  int64_t place;   // offset of the root in its space, index of the recurrent state, or position in the table of ops
  int64_t view;    // bytes from the start of the root to the operand
  int64_t stride;  // bytes of one row of the root; 0 where all rows share it
} eff_plan_operand;

typedef struct {
  int64_t size;   // bytes of one row
  int64_t place;  // in the arena; of a recurrent state: of the first of its two buffers
  int32_t name;   // place in EFF_PLAN_NAMES
  int32_t type, rank, dims;  // dims: place in EFF_PLAN_DIMS
  int32_t state;  // index, or -1
  int32_t role;
  int32_t pair;   // index of the paired output (input), or -1
  int32_t reserved;
} eff_plan_port;

// A value that a session writes once, when it is created: `size` bytes of EFF_PLAN_WEIGHTS.
typedef struct { int64_t place, weights, size; } eff_plan_constant;

// weights: their storage; bytes: 0 where they are operands like any other.
typedef struct { int64_t op, weights, parameters, bytes; } eff_plan_layer;
