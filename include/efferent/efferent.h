/* Efferent: an embeddable runtime that puts trained policies on robots.
 *
 *   bytes -> eff_policy (immutable) -> eff_session (mutable, one arena) -> step
 *
 * [RT]      real-time: no allocation, lock, system call or log; bounded time; returns a code and writes no message.
 *           Functions without the mark may do all of these.
 * Threads   a const handle may be used by many threads at once; a non-const handle by one caller at a time.
 * Pointers  must not be NULL unless a name or a comment says "or_null". Arguments are borrowed for the call unless
 * marked "kept".
 * Handles   are numbers in the guise of pointers: never read through one. Each names an object by slot and generation,
 *           and is looked up on entry, [RT] functions included. NULL, a destroyed handle, one of another kind or
 *           library and any other value give EFF_E_ARGUMENT (0 or NULL where no status is returned), and no freed
 *           memory is read. Exception: a call that is still at work on an object while another thread destroys it.
 * Counts    a size_t is checked: what cannot be (above a stated limit, 2^63 and more) gives EFF_E_ARGUMENT. A list in
 *           options is a pointer and a count: of 0 to 65536 items, NULL only with 0.
 * Errors    a negative eff_status; what failed, what was found and what was expected is in eff_last_error().
 * Structs   options start with struct_size, are filled by eff_..._default() and grow only at the end; zero means
 *           default.
 */
#ifndef EFFERENT_EFFERENT_H
#define EFFERENT_EFFERENT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef EFF_API
#if defined(__GNUC__)
#define EFF_API __attribute__((visibility("default")))
#else
#define EFF_API
#endif
#endif

/* Callable from Swift code that is compiled under @_noLocks; nothing for other compilers. */
#if defined(__swift__)
#define EFF_RT __attribute__((swift_attr("@_noLocks")))
#elif !defined(EFF_RT)
#define EFF_RT
#endif

/* ---- version ---- */

#define EFF_VERSION_MAJOR 0
#define EFF_VERSION_MINOR 1
#define EFF_VERSION_PATCH 0
#define EFF_VERSION (EFF_VERSION_MAJOR * 10000 + EFF_VERSION_MINOR * 100 + EFF_VERSION_PATCH)

/* EFF_VERSION of the library that is loaded. Any thread. */
EFF_API int32_t eff_version(void);

/* ---- status ---- */

typedef int32_t eff_status; /* values are frozen, append only */
enum {
  EFF_OK = 0,
  EFF_E_ARGUMENT = -1,     /* a NULL, a dead handle, a count or an index outside its range */
  EFF_E_STATE = -2,        /* a call that this object does not offer in its present state or shape */
  EFF_E_MEMORY = -3,       /* out of memory, or over a memory limit */
  EFF_E_IO = -4,           /* a file or socket cannot be opened, read or written */
  EFF_E_FORMAT = -5,       /* the bytes are not what they claim to be */
  EFF_E_UNSUPPORTED = -6,  /* well-formed, but outside what this library runs */
  EFF_E_SHAPE = -7,        /* shapes or types of a model, or of data given to it, do not fit together */
  EFF_E_NUMERIC = -8,      /* a value that is not finite where one is needed */
  EFF_E_TIMEOUT = -9,      /* nothing arrived in time */
  EFF_E_MISMATCH = -10     /* two parts that must agree (layout, schema, names) do not */
};

/* Name of a status such as "EFF_E_SHAPE"; "EFF_E_UNKNOWN" for a code that is not listed. Any thread; static, never
 * NULL. */
EFF_API const char *eff_status_name(eff_status status);

/* This thread's message of the last failed call that was not [RT]; "" before any. Valid until this thread's next
 * failure. Never NULL. */
EFF_API const char *eff_last_error(void);

/* ---- log ---- */

enum { EFF_LOG_DEBUG = 0, EFF_LOG_INFO = 1, EFF_LOG_WARNING = 2, EFF_LOG_ERROR = 3 };

/* Sets the process-wide log function, or none with NULL (the default: Efferent prints nothing). `fn` is called from any
 * thread that is not in an [RT] function, with levels of at least min_level; `text` is borrowed for the call. `user` is
 * kept. Call before other threads start. */
EFF_API void eff_set_log(void (*fn_or_null)(void *user, int32_t level, const char *text), void *user,
                         int32_t min_level);

/* ---- memory ---- */

/* Source of weights and arenas. alloc returns NULL on failure; align is a power of two of at most 4096. Both kept while
 * an object made with it lives, and called by whoever creates, swaps, reclaims or destroys it. */
typedef struct eff_allocator {
  void *(*alloc)(void *user, size_t size, size_t align);
  void (*free)(void *user, void *p, size_t size);
  void *user;
} eff_allocator;

/* Blocks  a policy has one (weights in the order of their use), because several sessions share it. A session has one
 * (bound ops, activations, state) and nothing else but a handle of fixed size. A policy that is swapped in brings its
 * bound ops in a block of their own, from the session's allocator.
 * Huge pages  are asked for where a block takes 128 KiB or more; nothing depends on them. A file of 128 KiB to 2 MiB is
 * read into one, and the policy lies beside it where it fits.
 * Kept memory  two huge pages (4 MiB) of destroyed policies are kept for the next ones, until the process ends: to
 * clear one takes as long as reading a small policy. Locked memory and that of an allocator is not kept.
 * Locked memory  `locked` in options keeps what a step reads from being paged out (mlock). It counts against
 * RLIMIT_MEMLOCK, huge pages whole:
 * EFF_E_MEMORY where that is too low, saying what it is, and nothing is created. Memory that the caller brings is the
 * caller's to lock; code and stack are the process's (mlockall). */

/* ---- tensors ---- */

enum { EFF_MAX_RANK = 8 };

/* Element types: the codes of ONNX TensorProto.DataType. */
enum {
  EFF_F32 = 1, EFF_U8 = 2, EFF_I8 = 3, EFF_U16 = 4, EFF_I16 = 5, EFF_I32 = 6, EFF_I64 = 7,
  EFF_BOOL = 9, EFF_F16 = 10, EFF_F64 = 11, EFF_U32 = 12, EFF_U64 = 13, EFF_BF16 = 16
};

/* Roles: what an input or output is for.
 * Input:  EFF_ROLE_OBSERVATION, EFF_ROLE_STATE where the session carries it, or EFF_ROLE_AUX where no output depends on
 * it or another was named.
 * Output: EFF_ROLE_ACTION (at most one), EFF_ROLE_STATE, or EFF_ROLE_AUX for all others (values, log-probabilities,
 * constants).
 * The action is decided, never guessed. In this order: `action` of the options; the metadata key "efferent.action"; one
 * clear name (action, actions, continuous_actions, mu, mean, joint_targets, ...); the only output left without state
 * and names that are never an action (value, log_prob, std, features, contact, ...). Of a sampled action and the same
 * one without noise it is the latter. q values that are the only candidate are the action; so are action indices (i64),
 * which eff_session_step does not write. Otherwise the policy loads without an action: eff_session_step gives
 * EFF_E_STATE, and eff_policy_info.step_refusal has the candidates and how to choose.
 * State is recognized by name where two names are equal but for a marker (h_in and h_out, hx and hy, prev_deter and
 * deter, carry_0 and new_carry_0), have a word for state (h, c, hidden, cell, memory, state, ...), type and shape are
 * equal, all parts of a group have their pair, and an observation is left; otherwise by `states` of the options or the
 * metadata key "efferent.state", a JSON object such as {"a": "b"}, or {} for none.
 * What was decided by name is told once to the log and by eff_policy_note. */
enum { EFF_ROLE_OBSERVATION = 0, EFF_ROLE_ACTION = 1, EFF_ROLE_STATE = 2, EFF_ROLE_AUX = 3 };

typedef struct eff_tensor_spec {
  size_t struct_size;          /* set by the caller to sizeof(eff_tensor_spec) */
  const char *name;            /* owned by the policy */
  int32_t role, dtype, rank;   /* EFF_ROLE_..., EFF_F32..., 0 to EFF_MAX_RANK */
  int32_t pair;                /* EFF_ROLE_STATE: index of the output (input) that belongs to this input (output);
                                  otherwise -1 */
  int64_t shape[EFF_MAX_RANK]; /* shape of one row; entries from rank on are 0 */
  size_t count;                /* elements of one row: product of shape */
  size_t size;                 /* bytes of one row */
  const char *reason;          /* why it has its role: "told", "by metadata", "by name", "only candidate", ...; "" where
                                  that needs no word */
} eff_tensor_spec;

/* ---- policy: what a trainer exported, ready to run. Immutable, reference counted. ---- */

typedef struct eff_policy eff_policy;

/* Size, at least 1, of a dimension: by its name ("seq"), as "batch" for leading ones that are not bound, or by
 * position, INPUT[AXIS]. The last also gives an unnamed dimension its size ("obs[1]"), an input without a shape its
 * axes, and changes a batch that the file has fixed ("obs[0]", 1). */
typedef struct eff_dim_binding { const char *name; int64_t size; } eff_dim_binding;
/* Recurrent state: output feeds input at the next step. */
typedef struct eff_state_pair { const char *input, *output; } eff_state_pair;

/* Input -> value fixed at load; the input disappears. */
typedef struct eff_constant_binding {
  const char *input; int32_t dtype, rank; int64_t shape[EFF_MAX_RANK]; const void *data;     /* data is copied */
} eff_constant_binding;

typedef struct eff_policy_options {
  size_t struct_size;
  int32_t weights;                         /* storage of layers: EFF_F32, EFF_F16, EFF_BF16 or EFF_I8 (scale per
                                              output); 0 (default): as the metadata "efferent.weights" says
                                              ("i8,i8,f32", an entry per layer), EFF_F32 without it */
  int32_t no_state;                        /* 1: recognize no recurrent state */
  const eff_dim_binding *dims;             size_t dim_count;      /* unbound leading (batch) dimensions are 1 */
  const eff_constant_binding *constants;   size_t constant_count;
  const eff_state_pair *states;            size_t state_count;    /* none: pairs are recognized by name and shape */
  const eff_allocator *allocator;          /* or NULL */
  size_t memory_limit;                     /* bound in bytes on weights and tensors while loading, and on each file; 0:
                                              4 GiB */
  const char *folder;                      /* eff_policy_load_memory: folder of external data files, or NULL to refuse
                                              them */
  int32_t learnable;                       /* 1: a copy of the file is kept, so that a learner can start from the
                                              policy */
  int32_t locked;                          /* 1: weights and plan are locked in memory (see "locked memory"), but for
                                              those of `allocator` */
  const int32_t *layer_weights; size_t layer_count; /* storage layer by layer, in the order of eff_policy_layer; an
                                                       entry of 0: as `weights` */
  const char *action;                      /* name of the output that moves the robot, or NULL: see "roles" */
  const char *observation;                 /* name of the input that eff_session_step writes, or NULL; other inputs keep
                                              what was written to them */
  const char *const *outputs; size_t output_count; /* names of the outputs that are wanted, in order; none: all. Those
                                                      of recurrent state follow them; what none of them needs is left
                                                      out */
} eff_policy_options;

/* Fills options with defaults. `struct_size` is sizeof(eff_policy_options) of the caller. Any thread. */
EFF_API void eff_policy_options_default(eff_policy_options *options, size_t struct_size);

/* Loads an ONNX file (opset 7 to 28), or a safetensors file with an architecture (in its metadata, or in FILE.json
 * beside FILE.safetensors; Sources/Safetensors/FORMAT.md). The content tells which. *out is NULL on failure; release it
 * with eff_policy_release.
 * Files  are read into memory first: nothing depends on them afterwards. One that is written to meanwhile gives
 * EFF_E_IO; one that was written less than 10 ms ago is waited for that long. External data lies in the folder of the
 * path and, where the path is a link, in that of the real file; links in them must not lead out of both.
 * Definitions  each node is held against the definition of its operator in the declared opset. Refused by name are: an
 * attribute, input or output that this definition does not have; an attribute, or a value of one, that is not
 * implemented; an operator that came later or ended before.
 * Attributes whose names begin with __ belong to tools and are passed over.
 * Opsets  above 28 nothing is known of any definition, so the first node that uses one is refused; nodes inside a
 * function of the model use the opset of the function. Below 7, operators run whose definition is that of opset 7, and
 * Add, Sub, Mul, Div, Pow, And, Or, Xor, Equal, Less, Greater, Gemm (with their attributes broadcast and axis), Concat,
 * Reshape, AveragePool, Dropout and BatchNormalization.
 * Errors: EFF_E_IO, EFF_E_FORMAT, EFF_E_UNSUPPORTED, EFF_E_SHAPE, EFF_E_MEMORY, EFF_E_ARGUMENT. Any thread. */
EFF_API eff_status eff_policy_load_file(const char *path, const eff_policy_options *options_or_null, eff_policy **out);

/* The same from a buffer, which is borrowed for the call. The architecture of safetensors must be in its metadata. */
EFF_API eff_status eff_policy_load_memory(const void *bytes, size_t size, const eff_policy_options *options_or_null,
                                          eff_policy **out);

/* Number of inputs (constants bound at load are not counted) and of outputs, in graph order. 0 for a dead handle. */
EFF_API size_t eff_policy_input_count(const eff_policy *policy);
EFF_API size_t eff_policy_output_count(const eff_policy *policy);

/* Describes one input or output. EFF_E_ARGUMENT: index out of range, struct_size not set. */
EFF_API eff_status eff_policy_input(const eff_policy *policy, size_t index, eff_tensor_spec *out);
EFF_API eff_status eff_policy_output(const eff_policy *policy, size_t index, eff_tensor_spec *out);

/* Index of a name, or -1. */
EFF_API int64_t eff_policy_find_input(const eff_policy *policy, const char *name);
EFF_API int64_t eff_policy_find_output(const eff_policy *policy, const char *name);

/* Value of a metadata key, or NULL if absent; and the keys by index, NULL past the last. Owned by the policy. */
EFF_API const char *eff_policy_metadata(const eff_policy *policy, const char *key);
EFF_API const char *eff_policy_metadata_key(const eff_policy *policy, size_t index);

/* Facts about the loaded model and its plan. */
typedef struct eff_policy_info {
  size_t struct_size;
  int64_t opset, ir_version;        /* as declared by the file; 0 for safetensors */
  size_t parameter_count;           /* elements of floating-point weights */
  size_t weight_bytes;              /* constants and packed weights held by the policy */
  size_t arena_bytes;               /* arena of a session with one row */
  size_t node_count, op_count;      /* nodes in the file; ops in the plan, after folding and fusion */
  size_t state_count;               /* recurrent state pairs */
  int64_t multiply_adds;            /* estimated multiply-add operations of one step of one row */
  const char *isa;                  /* instruction set of the kernels: "sse2", "avx2", "avx512", "neon" or "naive" */
  const char *producer;             /* as written by the exporter; "" if absent */
  size_t layer_count;               /* dense and recurrent layers */
  size_t unfused_op_count;          /* ops after folding, before fusion */
  size_t state_bytes;               /* recurrent state in the arena, both buffers */
  size_t peak_bytes;                /* most bytes of intermediate tensors that live at the same time during a step of
                                       one row */
  uint64_t hash;                    /* XXH64 of the file's bytes, its external data, and the options that change what
                                       the policy does (dims, constants, states, storage of weights, ...); with default
                                       options and no external data that of the file, as `xxhsum -H64` prints. Never 0;
                                       the same on every processor */
  const char *step_refusal;         /* why eff_session_step gives EFF_E_STATE, with the candidates and how to choose; ""
                                       where it runs */
  const char *operators;            /* operators of the file's graph by their ONNX names, with how often each stands
                                       there: "Gemm 4, Elu 3"; "" for safetensors */
} eff_policy_info;
EFF_API eff_status eff_policy_describe(const eff_policy *policy, eff_policy_info *out);

/* A dense or recurrent layer of the plan, in order of execution: what can be stored in fewer bits. */
typedef struct eff_layer {
  size_t struct_size;      /* set by the caller to sizeof(eff_layer) */
  int32_t weights;         /* EFF_F32, EFF_F16, EFF_BF16 or EFF_I8 */
  int32_t op;              /* index for eff_policy_op */
  size_t parameter_count;  /* weights, without biases */
  size_t bytes;            /* as stored, with biases and scales; 0 where the layer is f32 whatever is asked for */
} eff_layer;

/* Describes one layer. EFF_E_ARGUMENT: index out of range, struct_size not set. */
EFF_API eff_status eff_policy_layer(const eff_policy *policy, size_t index, eff_layer *out);

/* The ops of the plan in order, as text such as "dense [48 -> 512] elu"; NULL past the last. Owned by the policy. */
EFF_API const char *eff_policy_op(const eff_policy *policy, size_t index);

/* What was decided at load and the file does not say: pairs of state, what no output needs, why a step is refused. The
 * lines of the log, by index; NULL past the last. Owned by the policy. */
EFF_API const char *eff_policy_note(const eff_policy *policy, size_t index);

/* Adds a reference and returns the same handle; NULL for a dead one. Any thread. */
EFF_API eff_policy *eff_policy_retain(const eff_policy *policy);

/* Gives a reference back; the last one frees the policy. NULL is fine. Sessions keep their own reference. Any
 * thread. */
EFF_API void eff_policy_release(eff_policy *policy);

/* ---- session: one running instance. Up to max_rows independent robots (rows) in one arena. ---- */

typedef struct eff_session eff_session;

/* What eff_session_step and eff_session_step_n do with numbers of an observation or action that are NaN or infinite.
 * eff_session_run passes all:
 * what it takes may be a mask of infinities. */
typedef enum eff_non_finite {
  EFF_NON_FINITE_REFUSE = 0,  /* EFF_E_NUMERIC, for all rows: recurrent state is as before the step, action holds the
                                 last one given (zeros before) */
  EFF_NON_FINITE_PASS = 1,    /* the policy sees them, the caller gets them */
  EFF_NON_FINITE_CLEAR = 2    /* each becomes 0 and is counted (eff_session_explain) */
} eff_non_finite;

typedef struct eff_session_options {
  size_t struct_size;
  size_t max_rows;                 /* rows that one step may take, at most 1048576; 0: 1 */
  void *arena;                     /* kept: memory owned by the caller, aligned to 64 bytes, or NULL to allocate */
  size_t arena_size;               /* bytes of arena; at least eff_session_arena_size() */
  const eff_allocator *allocator;  /* or NULL; used where arena is NULL */
  uint64_t seed;                   /* of the random numbers of stochastic policies; each row has a stream of its own,
                                      see first_row */
  int32_t locked, reserved;        /* 1: all that a step reads is locked in memory, but for what `arena` or `allocator`
                                      gave; reserved: 0 */
  uint64_t first_row;              /* row r draws from the stream of (seed, first_row + r): a session of one row with
                                      the same seed and first_row = r draws what row r of a session draws, whatever the
                                      other rows do */
  int32_t non_finite;              /* an eff_non_finite */
  int32_t reserved2;               /* 0 */
} eff_session_options;

EFF_API void eff_session_options_default(eff_session_options *options, size_t struct_size);

/* Bytes that a session uses: its arena holds all of it. */
EFF_API eff_status eff_session_arena_size(const eff_policy *policy, const eff_session_options *options_or_null,
                                          size_t *out);

/* Creates a session and retains the policy. Recurrent state starts at zero. *out is NULL on failure. Any thread; many
 * may make sessions of one policy at once. */
EFF_API eff_status eff_session_create(const eff_policy *policy, const eff_session_options *options_or_null,
                                      eff_session **out);

/* Indices  a constant index outside its tensor refuses the file (Gather, GatherElements, GatherND, ScatterElements,
 * ScatterND). One that is computed or given while running is never read or written outside: a negative one counts from
 * the end, and what is still outside becomes the nearest index inside. In OneHot it selects nothing: all are the off
 * value. Sequence lengths are cut to 0 and the number of steps. */

/* Callers  one at a time. A call that meets another one in the same session is refused (EFF_E_STATE); where both began
 * at the same instant one of them is told at its end, and what the two wrote is worth nothing. */

/* [RT] The common case: reads observation [rows, observation count], runs, writes action [rows, action count];
 * recurrent state is carried.
 * For policies with exactly one observation input and one action output, both f32 (EFF_E_STATE otherwise:
 * eff_policy_info.step_refusal says why).
 * 1 <= rows <= max_rows (EFF_E_ARGUMENT). observation_count and action_count are the lengths of the two arrays, rows
 * times those of one row (EFF_E_SHAPE). EFF_E_NUMERIC: eff_session_options.non_finite. Whatever the code,
 * eff_session_explain has it in words. */
EFF_API EFF_RT eff_status eff_session_step_n(eff_session *session, size_t rows, const float *observation,
                                             size_t observation_count, float *action, size_t action_count);

/* [RT] The same for a caller who vouches for the lengths. */
EFF_API EFF_RT eff_status eff_session_step(eff_session *session, size_t rows, const float *observation, float *action);

/* The last refusal of an [RT] call of this session in words, and how many numbers were cleared; "" where there was
 * neither. NULL for a dead handle.
 * Not while a call is at work; the text is valid until the next call of this function for the session. */
EFF_API const char *eff_session_explain(eff_session *session);

/* [RT] Memory of input `index`, [max_rows, count], aligned to 64 bytes, to be written before eff_session_run; NULL for
 * a bad index.
 * The address is fixed, but for recurrent state, where it changes with every run: writing there overrides the carried
 * state. */
EFF_API EFF_RT void *eff_session_input(eff_session *session, size_t index);

/* [RT] Runs rows rows, for any number and type of inputs and outputs. Inputs keep their values. */
EFF_API EFF_RT eff_status eff_session_run(eff_session *session, size_t rows);

/* [RT] Memory of output `index`, [max_rows, count], valid until the next run; NULL for a bad index. */
EFF_API EFF_RT const void *eff_session_output(const eff_session *session, size_t index);

/* [RT] Clears the recurrent state of one row, or of all rows with -1, and begins its stream of random numbers anew:
 * after a reset a row repeats what it did after the last, given the same observations. Rows that a step does not take
 * draw nothing. EFF_E_ARGUMENT: no such row. */
EFF_API EFF_RT eff_status eff_session_reset(eff_session *session, int64_t row);

/* [RT] Rehearses a step of one row, so that a step after a pause finds its weights, code and arena in the caches. Takes
 * as long as two steps; outputs, recurrent state and random numbers are afterwards as before. */
EFF_API EFF_RT eff_status eff_session_prewarm(eff_session *session);

/* [RT] Reads the weights that the session steps with, once, and runs nothing. For the stepping thread, where the pause
 * is too short for a rehearsal; or for the thread that calls eff_session_swap, eff_session_reclaim or
 * eff_publisher_publish (another one only while none of these runs), which is worth it where both share a cache, as two
 * hardware threads of one core do. Between two cores it may make the step longer: measure
 * (Tests/Benchmarks/policies.sh periodic). EFF_E_ARGUMENT: session is NULL or dead. */
EFF_API EFF_RT eff_status eff_session_prewarm_weights(const eff_session *session);

/* Offers a policy with the same plan (other weights): adopted by one atomic exchange at the beginning of the next step,
 * run or prewarm, with recurrent state kept. An offer that waits is replaced by a newer one, as if it had never been
 * made; what a step replaced is freed here or by eff_session_reclaim. One thread besides the stepping thread may call
 * this and eff_session_reclaim. EFF_E_MISMATCH: another plan, naming the
 * first difference. EFF_E_STATE: a learner publishes to the session, or yet another thread swaps it. */
EFF_API eff_status eff_session_swap(eff_session *session, const eff_policy *next);

typedef struct eff_session_swap_options {
  size_t struct_size;
  int32_t reset_state;             /* 1: at adoption, all rows are reset as by eff_session_reset(session, -1) */
  int32_t reserved;                /* 0 */
} eff_session_swap_options;

EFF_API void eff_session_swap_options_default(eff_session_swap_options *options, size_t struct_size);

/* The same with options. */
EFF_API eff_status eff_session_swap_with(eff_session *session, const eff_policy *next,
                                         const eff_session_swap_options *options_or_null);

/* Frees what the last adopted swap has replaced. */
EFF_API eff_status eff_session_reclaim(eff_session *session);

/* Frees the session; NULL is fine. A caller's arena is no longer used. */
EFF_API void eff_session_destroy(eff_session *session);

#ifdef __cplusplus
}
#endif

#include "learner.h"

#endif
