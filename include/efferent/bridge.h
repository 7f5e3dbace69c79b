/* Efferent bridge: a session served in lock-step over ZeroMQ, or on one machine over a Unix socket or shared memory.
 * Only in libraries that are built with the trait Bridge.
 *
 *   plant (simulator or robot side, DEALER)  -- HELLO, RESET, STEP, BYE -->  bridge (ROUTER)
 *                                            <-- WELCOME, ACK, ACT, ERR, BYE --
 *   bridge -- input, run, output --> eff_session
 *
 * Poll often, or start the bridge's own thread: connections are let in, bounded and ended while the bridge polls.
 * One plant is connected at a time; each of its frames but BYE is answered. A frame that comes again is answered again
 * and does not run again.
 * A bridge is its process's: after fork the child's calls fail (EFF_E_STATE) and destroy does nothing there.
 * The layout of the frames is in Sources/Bridge/PROTOCOL.md; the conventions
 * ([RT], threads, pointers, handles, errors, structs) are those of efferent.h. No function here is [RT]: every
 * transport calls the system. The tick itself (STEP in, ACT out) allocates nothing in Efferent and never waits for the
 * plant. */
#ifndef EFFERENT_BRIDGE_H
#define EFFERENT_BRIDGE_H

#include "efferent.h"
#include "controller.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct eff_bridge eff_bridge;

/* What became of one wait. */
enum {
  EFF_BRIDGE_NONE = 0,   /* nothing arrived in time, or the wait was interrupted by a signal */
  EFF_BRIDGE_HELLO = 1,  /* a plant connected: a new bridge session, recurrent state cleared */
  EFF_BRIDGE_RESET = 2,  /* an episode began: recurrent state of its rows cleared */
  EFF_BRIDGE_STEP = 3,   /* the policy ran and the action was sent */
  EFF_BRIDGE_BYE = 4,    /* the plant said goodbye; with reason EFF_BRIDGE_SESSION: its connection (unix, shm) ended
                            without */
  EFF_BRIDGE_DROP = 5,   /* a frame was refused; see reason */
  EFF_BRIDGE_IDLE = 6,   /* the plant has been silent for idle_timeout_ms; said once per silence */
  EFF_BRIDGE_RETRY = 7   /* a frame that was answered before came again: it got the same answer, nothing ran */
};

/* Why a frame was refused. Also the index into eff_bridge_stats.dropped and the code in an ERR frame. Frozen, append
 * only. */
enum {
  EFF_BRIDGE_OK = 0,
  EFF_BRIDGE_MALFORMED = 1,  /* wrong size, parts, magic or type */
  EFF_BRIDGE_VERSION = 2,    /* another protocol version */
  EFF_BRIDGE_CHECKSUM = 3,   /* crc32c does not match */
  EFF_BRIDGE_SESSION = 4,    /* not the connected plant, or a bridge session that is over: say HELLO */
  EFF_BRIDGE_SCHEMA = 5,     /* schema hash of another layout */
  EFF_BRIDGE_EPISODE = 6,    /* an episode that is over, or has not begun */
  EFF_BRIDGE_SEQUENCE = 7,   /* a sequence number that was seen before */
  EFF_BRIDGE_EXPIRED = 8,    /* older than its time to live */
  EFF_BRIDGE_BUSY = 9,       /* HELLO while another plant is connected */
  EFF_BRIDGE_MISMATCH = 10,  /* HELLO that does not fit the policy; the text names the field, what was found and what
                                was expected */
  EFF_BRIDGE_RUN = 11,       /* the session refused to run */
  EFF_BRIDGE_SUPERSEDED = 12, /* a STEP that its plant gave up before it was handled: a newer frame was behind it. Not
                                 run, not answered */
  EFF_BRIDGE_FLAGS = 13,     /* a flag that must be understood is not known */
  EFF_BRIDGE_NUMERIC = 14    /* an observation that is not finite, with non_finite = 1 */
};

/* How threads are scheduled. The real-time policies need CAP_SYS_NICE or RLIMIT_RTPRIO; EFF_E_UNSUPPORTED says what to
 * set. */
enum {
  EFF_BRIDGE_THREAD_INHERITED = 0,   /* as the thread that makes them */
  EFF_BRIDGE_THREAD_FIFO = 1,        /* SCHED_FIFO */
  EFF_BRIDGE_THREAD_ROUND_ROBIN = 2  /* SCHED_RR */
};

typedef struct eff_bridge_event {
  size_t struct_size;       /* set by the caller to sizeof(eff_bridge_event) */
  int32_t kind, reason;     /* EFF_BRIDGE_NONE..., EFF_BRIDGE_OK... */
  uint32_t session;         /* number of the bridge session, counted from 1; 0 before the first */
  uint32_t episode;         /* 0 until the first RESET of the session */
  uint64_t seq;             /* sequence number of the frame */
  uint64_t simulation_ns;   /* the plant's own clock, as it sent it */
  uint64_t rows;            /* STEP: rows that ran; RESET: rows that were cleared */
  uint64_t tick_ns;         /* from the arrival of the frame to its answer being handed to ZeroMQ */
  uint64_t run_ns;          /* STEP: of this, inside the policy */
} eff_bridge_event;

typedef struct eff_bridge_options {
  size_t struct_size;
  const char *endpoint;                  /* "tcp://127.0.0.1:*" (the default, any free port), "tcp://[::1]:5555",
                                            "ipc:///run/robot/policy", "inproc://name"; without ZeroMQ, for plants on
                                            this machine, "unix:/run/robot/policy" (a stream socket) and
                                            "shm:/run/robot/policy" (the same, and frames in memory that is passed
                                            through it; Linux). "@name" instead of a path is an abstract one, which
                                            leaves no file. Processes of this user and of root get in. Ports are 1 to
                                            65535, or *. A socket file has mode 0600; PATH.lock beside it says whose it
                                            is. A dead socket is replaced; any other file, and a path that somebody
                                            serves, is refused (EFF_E_IO). */
  int32_t allow_remote;                  /* 0: tcp on loopback addresses only (EFF_E_ARGUMENT otherwise). Every user of
                                            the machine gets in there without keys. 1: any address, with keys
                                            (EFF_E_ARGUMENT without) */
  int32_t idle_timeout_ms;               /* silence after which another plant may take over, and EFF_BRIDGE_IDLE; 0:
                                            2000; -1: never */
  int32_t high_water;                    /* frames that ZeroMQ queues per plant and direction before it pushes back; 0:
                                            16 */
  int32_t reserved;                      /* 0 */
  double rate;                           /* steps per second that the policy was trained for, told to the plant; 0:
                                            unknown */
  void *context;                         /* kept: the caller's ZeroMQ context (zmq_ctx_new); needed for inproc, refused
                                            for unix and shm; NULL: own one */
  const char *const *observation_names;  size_t observation_count;  /* names of the elements of the observation input,
                                                                       told to the plant and compared with its own where
                                                                       it sends them; count 0 or that input's count */
  const char *const *joint_names;        size_t joint_count;        /* the same for the elements of the action output */
  void (*on_event)(void *user, const eff_bridge_event *event);      /* or NULL: after every event but NONE, on the
                                                                       thread that polls. The session's inputs and
                                                                       outputs are those of the event; the bridge must
                                                                       not be destroyed in it */
  void *user;                            /* kept, passed to on_event */
  int32_t checksum;                      /* crc32c of frames where the plant leaves it open: 0: on tcp, none on one
                                            machine's other ways; 1: none; 2: always */
  int32_t non_finite;                    /* observations with NaN or infinite numbers: 0: the policy sees them; 1:
                                            refused (EFF_BRIDGE_NUMERIC), nothing runs */
  int32_t max_peers;                     /* connections, but over inproc, that may stand at once, 1 to 1024; 0: 32. A
                                            newer one ends the oldest that is not the connected plant's and stood for 1
                                            s; where there is none, it is ended itself */
  int32_t thread_policy;                 /* EFF_BRIDGE_THREAD_...: of the bridge's own thread and of ZeroMQ's I/O
                                            thread, which carries each frame over tcp and ipc: the tail of a tick needs
                                            both. A caller's context keeps its threads as they are */
  int32_t thread_priority;               /* 1 to 99 with FIFO and ROUND_ROBIN; else 0 */
  int32_t spin_us;                       /* how long the bridge looks for the next frame after an answer before it
                                            sleeps, 1 to 1000 microseconds, so that a plant that steps without pause is
                                            answered without a thread being woken (shm: without system calls). After
                                            looks in vain it looks seldom. 0: 50 over shm, 200 over tcp, ipc and inproc,
                                            where the process may use more than one CPU; -1, and over unix: not at all
                                            */
  const int32_t *thread_cpus;            size_t thread_cpu_count;   /* CPUs that both may run on, 0 to 4095 each; count
                                                                       0: those of the process */
  const char *thread_name;               /* of the bridge's thread, at most 12 bytes; the I/O thread's ends in "-io".
                                            NULL: "efferent" */
  /* Keys, for tcp alone (CURVE): every connection is encrypted, and plants get in whose public key is allowed. A key is
   * 40 characters of Z85. Files must be for their user alone (mode 0600). EFF_E_UNSUPPORTED: a libzmq that is built
   * without CURVE. In a caller's context the bridge answers the handshakes
   * of all sockets (inproc://zeromq.zap.01), while it polls: EFF_E_IO where something else does. */
  const char *key_file;                  /* the bridge's key: a file with the lines "public KEY" and "secret KEY"
                                            (efferent keys new) */
  const char *secret_key;                /* or the secret key itself, from wherever the caller keeps it */
  const char *allow_file;                /* who gets in: a line "NAME KEY" for each plant (efferent keys allow). Read
                                            again within 250 ms after it changed, while the bridge polls; a key that is
                                            gone then ends its connection. Where it cannot be read, nobody in it gets
                                            in */
  const char *const *allowed_keys;       size_t allowed_key_count;  /* public keys that get in beside those */
} eff_bridge_options;

enum { EFF_BRIDGE_KEY_SIZE = 41 }; /* bytes of a key with the 0 at its end */

/* Fills options with defaults. `struct_size` is sizeof(eff_bridge_options) of the caller. Any thread. */
EFF_API void eff_bridge_options_default(eff_bridge_options *options, size_t struct_size);

/* Binds an endpoint for a session. Rows per step are agreed with each plant, 1 to the session's max_rows. `session` is
 * kept and should outlive the bridge (a STEP is refused with EFF_BRIDGE_RUN after its end); while the bridge polls or
 * its thread runs, the only other calls allowed on it are eff_session_swap and eff_session_reclaim. Strings are copied.
 * libzmq is opened at the first bridge of a process that is neither unix nor shm: the one that the process has already,
 * else libzmq.so.5 beside this library, else the system's.
 * *out is NULL on failure. Errors: EFF_E_ARGUMENT (endpoint, names), EFF_E_STATE (another bridge serves the session),
 * EFF_E_UNSUPPORTED (transport, remote, rights of threads; no libzmq, the message says what to install; a context of
 * another libzmq), EFF_E_IO (bind), EFF_E_MEMORY. */
EFF_API eff_status eff_bridge_create(eff_session *session, const eff_bridge_options *options_or_null, eff_bridge **out);

/* The same for a learner: the policy learns from what the plant tells it. One row. A STEP carries what followed the
 * last action: observation f64 [observation_count], reward f64 [1], terminated bool [1], truncated bool [1]; in the
 * first STEP after RESET only the observation counts. The frame's step time is the transition's dt. ACT brings the
 * next action f64 (that of eff_learner_act; nothing new where the STEP ended the episode: send RESET then) and, to
 * plants that ask for aux, td_error f64 [1] and reason i32 [1] (EFF_LEARNED_...). RESET within an episode breaks it
 * off: no outcome is learned. `learner` is kept and must outlive the bridge; nothing else may call it while the bridge
 * polls or its thread runs, but on_event may. */
EFF_API eff_status eff_bridge_create_learner(eff_learner *learner, const eff_bridge_options *options_or_null,
                                             eff_bridge **out);

/* The same for a controller: raw signals in, targets out, on the robot's side of the link nothing but its joints. One
 * row. The controller is bound to memory of the bridge and started, whether it was bound or started before or not; when
 * the bridge is destroyed it is bound to nothing, and must be bound and started anew. A STEP carries every needed
 * signal but "time", f64 [width], in the card's units and the order of the controller's joints; now_ns i64 [1], the
 * time of the tick on the plant's clock; stamp_ns i64 [1], when the signals were sampled on that clock, to whose age
 * the way of the frame is added; with a learner also what followed the last action: reward f64 [1], terminated bool
 * [1], truncated bool [1], not looked at in the first STEP after RESET. ACT brings each commanded kind of target
 * ("position", "velocity", "effort", "kp", "kd"), f64 [joints], NaN where a joint is not commanded; to plants that ask
 * for aux also the report: report i32 [8], limits f64 [2], counts u64 [5], times_ns i64 [2], in the order of
 * eff_controller_report, but that `signal` counts the arrays of STEP. A refused tick is answered by ACT too, with the
 * targets of the fallback: report[0] has its status. RESET and HELLO reset the controller; the plant's clock may then
 * begin anew. WELCOME has the joints, their pose and gains and the fallback, for the ladder on the robot's side; its
 * layout has units and order of all arrays, and HELLO is refused where the plant does not show that it has the same
 * (PROTOCOL.md). observation_names, joint_names and rate are the controller's to tell (EFF_E_ARGUMENT). `controller`
 * is kept and should outlive the bridge; nothing else may call it while the bridge polls or its thread runs, but
 * on_event may. */
EFF_API eff_status eff_bridge_create_controller(eff_controller *controller, const eff_bridge_options *options_or_null,
                                                eff_bridge **out);

/* The address that was really bound, such as "tcp://127.0.0.1:40123"; NULL for a dead handle. Owned by the bridge. */
EFF_API const char *eff_bridge_endpoint(const eff_bridge *bridge);

/* Waits up to timeout_ms (0: not at all; -1: without limit, ended by a signal too) for one frame and handles it on this
 * thread.
 * EFF_OK with kind EFF_BRIDGE_NONE where nothing arrived; refused frames are EFF_OK with EFF_BRIDGE_DROP.
 * EFF_E_STATE: the bridge's own thread runs. EFF_E_IO: the socket failed, or the caller's context was terminated. One
 * caller at a time. */
EFF_API eff_status eff_bridge_poll(eff_bridge *bridge, int32_t timeout_ms, eff_bridge_event *event_or_null);

/* Starts the bridge's own thread, which blocks all signals and polls until eff_bridge_stop. EFF_E_STATE: it runs
 * already. EFF_E_MEMORY: no thread.
 * EFF_E_UNSUPPORTED: it may not run as thread_policy wants; the message says what to set. */
EFF_API eff_status eff_bridge_start(eff_bridge *bridge);

/* Stops that thread and waits for it: at most one step of the policy. Connections stay; poll or start may follow.
 * EFF_OK where none runs.
 * EFF_E_STATE: called in on_event. EFF_E_IO: the thread had ended before because the socket failed; the message says
 * how. */
EFF_API eff_status eff_bridge_stop(eff_bridge *bridge);

enum { EFF_BRIDGE_BINS = 32, EFF_BRIDGE_REASONS = 16 };

/* Durations in nanoseconds. bins[i] counts those from 2^i to 2^(i+1) - 1 (bin 0 has 0 too; the last has all above).
 * mean = sum / count. */
typedef struct eff_bridge_latency {
  uint64_t count, sum, min, max;  /* min is 0 while count is 0 */
  uint64_t bins[EFF_BRIDGE_BINS];
} eff_bridge_latency;

/* Counters since create. */
typedef struct eff_bridge_stats {
  size_t struct_size;              /* set by the caller to sizeof(eff_bridge_stats) */
  uint32_t session, episode;       /* number and episode of the last bridge session */
  uint64_t connected;              /* 1 between WELCOME and BYE, or takeover */
  uint64_t hellos;                 /* bridge sessions begun */
  uint64_t resets, steps, rows;    /* RESET frames; STEP frames answered by ACT; rows in these */
  uint64_t byes, idles;
  uint64_t bytes_in, bytes_out;    /* whole frames */
  uint64_t drops;                  /* frames refused: sum of dropped */
  uint64_t dropped[EFF_BRIDGE_REASONS];
  uint64_t unsent;                 /* answers that ZeroMQ would not take (the plant is gone or does not read) */
  eff_bridge_latency tick;         /* STEP received to ACT handed to ZeroMQ */
  eff_bridge_latency run;          /* of this, inside the policy */
  eff_bridge_latency age;          /* STEP stamped by the plant to received here. A plant on this machine, which shows
                                      it by its boot id, is compared by the clock; of others the fastest frame of the
                                      last seconds counts as 0, so the way is missing in it */
  uint64_t retries;                /* frames that came again and got the answer that they had got */
  uint64_t peers;                  /* connections that stand, but over inproc, as of the last poll */
  uint64_t peers_accepted;         /* connections since create */
  uint64_t peers_refused;          /* of these, ended by the bridge: more than max_peers, another user's (unix, shm),
                                      the process had no file descriptor or memory left, or with keys more than 4
                                      strangers in 250 ms while a plant is connected */
  uint64_t peers_cut;              /* of these, ended by ZeroMQ: a frame above the limit, something that is not ZMTP 3,
                                      no sign of life for 1 s; or gone before the bridge polled. Over unix and shm: a
                                      frame above the limit, or words in shared memory that no plant writes */
  uint64_t peers_denied;           /* with keys: connections whose key is not allowed, was revoked or is of another
                                      bridge, and such without a key. ZeroMQ ends them, so they are in peers_cut too */
  uint64_t deafenings;             /* with keys: times that the kernel threw away all new connections for a while
                                      (1 s, then twice as long each time, up to 4 s), since more than 20 strangers came
                                      in 250 ms, or more than 1 after such a pause, while a plant is connected; what
                                      was thrown away is not counted above. Linux; elsewhere each is accepted and
                                      ended */
} eff_bridge_stats;

/* Copies the counters. Any thread, while the bridge works too; each counter is whole, together they may be one step
 * apart. */
EFF_API eff_status eff_bridge_read_stats(const eff_bridge *bridge, eff_bridge_stats *out);

/* Name of a reason such as "episode", as it stands in messages; "unknown" for a code that is not listed. Any thread;
 * static, never NULL. */
EFF_API const char *eff_bridge_reason_name(int32_t reason);

/* CRC-32C (Castagnoli) of `count` bytes, going on from `crc` (0 to begin), by the processor's instruction where it has
 * one: what frames carry.
 * Any thread. `crc` comes back for NULL and for more than 2^30 bytes, which no frame has. */
EFF_API uint32_t eff_bridge_crc32c(uint32_t crc, const void *bytes, size_t count);

/* A new pair of keys for eff_bridge_options or a plant, EFF_BRIDGE_KEY_SIZE bytes each. Any thread. EFF_E_UNSUPPORTED:
 * no libzmq, or one that is built without CURVE. */
EFF_API eff_status eff_bridge_make_keys(char *public_key, char *secret_key);

/* Stops the thread, says BYE to the plant, closes the endpoint and frees the bridge within 100 ms beyond a running
 * step; NULL is fine.
 * The session and a caller's context are left alone. */
EFF_API void eff_bridge_destroy(eff_bridge *bridge);

#ifdef __cplusplus
}
#endif

#endif
