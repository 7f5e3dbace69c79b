/* Efferent receiver: the plant's side of a bridge without the runtime. Linked as libefferent_receiver.a with libzmq; or
 * as libefferent_receiver_local.a, which has unix and shm alone and needs nothing; or as their source
 * (share/efferent/receiver).
 *
 *   control thread  -- eff_receiver_post [RT] -->    link thread: eff_receiver_poll    -- STEP --> bridge
 *                   <-- eff_receiver_latest [RT] --                                    <-- ACT --
 *
 * The newest observation goes out, one at a time; the newest action is there with its age. One thread polls. The thread
 * that posts and reads may be the same one, or a real-time one beside it: they share no lock and never wait for each
 * other. What is not answered is asked again with the same number, and runs once. A link that is silent is opened
 * again, for as long as poll is called.
 * A dead link is noticed by age, on this side: what to do above which age is the caller's to decide.
 * Memory is taken at create; polling takes none (libzmq may; over shm WELCOME maps the library's). After fork the
 * child's calls give EFF_E_STATE.
 * The conventions ([RT], threads, pointers, structs, codes) are those of efferent.h, whose functions are not needed. */
#ifndef EFFERENT_RECEIVER_H
#define EFFERENT_RECEIVER_H

#include "efferent.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct eff_receiver eff_receiver;

/* What became of one poll. */
enum {
  EFF_RECEIVER_NONE = 0,      /* nothing happened in time, or a signal ended the wait */
  EFF_RECEIVER_CONNECTED = 1, /* the library said WELCOME: recurrent state is clear, in the middle of an episode too */
  EFF_RECEIVER_RESET = 2,     /* the episode that eff_receiver_reset asked for has begun */
  EFF_RECEIVER_ACTION = 3,    /* a new action is there */
  EFF_RECEIVER_LOST = 4       /* the library said goodbye, knows this plant no longer, was silent for lost_ms, or, over
                               * unix and shm, its process ended */
};

typedef struct eff_receiver_options {
  size_t struct_size;
  const char *endpoint;     /* where the bridge is: "tcp://127.0.0.1:5555", "ipc:///run/policy", "inproc://name"; on its
                             * machine without libzmq (Linux) "unix:/run/policy" and, the quickest, "shm:/run/policy" */
  size_t observation_size;  /* bytes of the arrays of a STEP, 1 to 2^28. One array is its bytes alone, [rows, count]; of
                             * several each begins at a multiple of 64. The handshake compares the size */
  size_t action_size;       /* the same of an ACT */
  int32_t rows;             /* of every observation and action; 0: 1 */
  int32_t aux;              /* 1: ACT carries the aux outputs too, and action_size counts them */
  uint64_t policy, schema;  /* hashes that WELCOME must have, for a policy or layout that may be no other; 0: any */
  int32_t retry_ms;         /* a frame without an answer goes again, the same bytes; 0: 20 */
  int32_t timeout_ms;       /* an observation that has none for so long gives way to a newer one; 0: 100 */
  int32_t lost_ms;          /* silence after which the link is opened again: longer than the slowest step; 0: 1000 */
  int32_t ttl_ms;           /* age at which the library refuses an observation; 0: never */
  int32_t checksum;         /* 1: every frame has a crc32c, at 5 ns a byte */
  int32_t reserved;         /* 0 */
  void *context;            /* kept: the caller's ZeroMQ context (zmq_ctx_new), needed for inproc; NULL: own one.
                             * unix and shm refuse one */
  /* Keys, for tcp (CURVE): a bridge on another machine is reached with them alone. A key is 40 characters of Z85. */
  const char *server_key;   /* the bridge's public key; NULL: nothing is encrypted, and the endpoint is on this
                               machine */
  const char *secret_key;   /* this plant's secret key, whose public one the bridge allows */
  const char *key_file;     /* or a file with the line "secret KEY", mode 0600 (efferent keys new) */
} eff_receiver_options;

/* Fills options with defaults. `struct_size` is sizeof(eff_receiver_options) of the caller. Any thread. */
void eff_receiver_options_default(eff_receiver_options *options, size_t struct_size);

/* Makes a receiver. Nothing is sent before the first poll; nobody need listen yet. Strings are copied. *out is NULL on
 * failure. Errors: EFF_E_ARGUMENT (options, endpoint, keys), EFF_E_MEMORY, EFF_E_IO (no socket, key_file),
 * EFF_E_UNSUPPORTED (keys, and a libzmq that is built without CURVE; an endpoint that this receiver is built
 * without). */
eff_status eff_receiver_create(const eff_receiver_options *options, eff_receiver **out);

/* This thread's message of the last function here that failed and is not [RT]; "" before any. Never NULL. */
const char *eff_receiver_last_error(void);

/* Sends and receives what is due, and waits up to timeout_ms (0: not at all) for one thing to happen. An
 * observation that another thread posts goes out within 1 ms. One caller at a time. `kind_or_null`:
 * EFF_RECEIVER_...; NONE with an error. What the library refuses is an error of this call, and is tried again by
 * later ones; eff_receiver_last_error has its words: EFF_E_MISMATCH (layout, policy), EFF_E_STATE (another plant
 * is connected; a child of the process), EFF_E_TIMEOUT (older than ttl_ms), EFF_E_NUMERIC (an observation that is
 * not finite), EFF_E_FORMAT, EFF_E_IO, or what the policy's run gave. */
eff_status eff_receiver_poll(eff_receiver *receiver, int32_t timeout_ms, int32_t *kind_or_null);

/* [RT] Hands over the newest observation, `size` bytes; it replaces one that has not gone out (counted as superseded).
 * One caller at a time, beside poll. EFF_E_ARGUMENT: size is not observation_size. */
EFF_RT eff_status eff_receiver_post(eff_receiver *receiver, const void *observation, size_t size);

/* [RT] Copies the newest action, `size` bytes. Its age is that of the observation which it answers: nanoseconds
 * from post to now, CLOCK_MONOTONIC. One caller at a time, beside poll. EFF_E_STATE: no action of this episode has
 * arrived yet; EFF_E_ARGUMENT: size is not action_size. */
EFF_RT eff_status eff_receiver_latest(eff_receiver *receiver, void *action, size_t size, uint64_t *age_ns_or_null);

/* [RT] Begins an episode: recurrent state is cleared before the next observation. From this call on no observation
 * and no action of the episode before is used. Called by the thread that posts. */
EFF_RT eff_status eff_receiver_reset(eff_receiver *receiver);

enum { EFF_RECEIVER_REASONS = 16 };

/* Counters since create. */
typedef struct eff_receiver_stats {
  size_t struct_size;          /* set by the caller to sizeof(eff_receiver_stats) */
  uint64_t connected;          /* 1 between WELCOME and the loss of the link */
  uint64_t connects, losts;    /* every connect after the first cleared recurrent state */
  uint64_t posts, superseded;  /* observations; of these, replaced before they went, or of an episode that was over */
  uint64_t steps, actions;     /* STEP frames without repetitions; actions that arrived */
  uint64_t resets;             /* RESET frames that were answered: episodes, and reconnects within them */
  uint64_t retries, given_up;  /* frames that went again; observations that gave way to a newer one */
  uint64_t ignored;            /* frames that were none, or answered nothing that was asked: late answers, mostly */
  uint64_t refused[EFF_RECEIVER_REASONS]; /* by EFF_BRIDGE_... of bridge.h */
  uint64_t round_trip_ns;      /* of the newest action: from its frame's first sending to its arrival */
  uint64_t policy;             /* hash of the policy, as the last WELCOME had it */
} eff_receiver_stats;

/* [RT] Copies the counters. Any thread. */
EFF_RT eff_status eff_receiver_read_stats(const eff_receiver *receiver, eff_receiver_stats *out);

/* Says BYE, waits at most 100 ms for it to leave, closes and frees; NULL is fine. In a child of the process it
 * does nothing. */
void eff_receiver_destroy(eff_receiver *receiver);

#ifdef __cplusplus
}
#endif

#endif
