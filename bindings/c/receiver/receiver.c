/* The plant's side of a bridge, efferent/receiver.h: the protocol (Sources/Bridge/PROTOCOL.md) and its state. The ways
 * to a bridge stand in files of their own (receiver_link.h).
 *   cc -std=c11 -I INCLUDE -c receiver.c receiver_local.c receiver_zeromq.c        and link with -lzmq
 *   cc -std=c11 -I INCLUDE -D EFF_RECEIVER_LOCAL -c receiver.c receiver_local.c    unix and shm alone, no ZeroMQ */
#if !defined(_POSIX_C_SOURCE)
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "efferent_frame.h"
#include "receiver_exchange.h"
#include "receiver_link.h"

enum { HEAD = sizeof(efb_header), LIVE = 0x45464652, SIZE_LIMIT = 1 << 28, TEXT = 1024 };
enum { BUSY = 9, SESSION = 4, EPISODE = 6, SEQUENCE = 7 }; /* EFF_BRIDGE_... of bridge.h */
static const uint64_t MS = 1000000, LOOK = 1000000, PAUSE = 1000000000, ABSENCE = 20000000;

typedef struct {
  _Atomic uint64_t connected, connects, losts, posts, superseded, steps, actions, resets, retries, given_up, ignored;
  _Atomic uint64_t refused[EFF_RECEIVER_REASONS];
  _Atomic uint64_t round_trip_ns, policy;
} counters;
_Static_assert(sizeof(counters) == sizeof(eff_receiver_stats) - sizeof(size_t), "in the order of eff_receiver_stats");

struct eff_receiver {
  uint32_t live;
  pid_t process;
  eff_receiver_options options;
  char *endpoint;
  efr_link *link;
  uint8_t boot[16];
  exchange observations, actions;
  _Atomic uint32_t episode; /* the one that is wanted */
  counters stats;
  /* of the thread that polls */
  efb_header state;        /* session, seq and episode of the link; type 0: nothing is asked */
  stamp asked;             /* of the observation that is asked */
  uint64_t asked_ns, retry_ns;     /* when the frame that is asked went first, and goes again */
  uint64_t waiting_ns, hello_ns;   /* since when nothing is answered (0: all is); HELLO goes not before */
  size_t frame_size, capacity;
  unsigned char *frame, *answer;
};

static _Thread_local char message[TEXT];

const char *eff_receiver_last_error(void) { return message; }

eff_status efr_fail(eff_status status, const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(message, sizeof message, format, list);
  va_end(list);
  return status;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t add(_Atomic uint64_t *counter) { return atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); }
static void set(_Atomic uint64_t *counter, uint64_t v) { atomic_store_explicit(counter, v, memory_order_relaxed); }

/* ---- the control thread ---- */

static int is_live(const eff_receiver *r) { return r && r->live == LIVE; }

eff_status eff_receiver_post(eff_receiver *r, const void *observation, size_t size) {
  if (!is_live(r) || !observation || size != r->options.observation_size) return EFF_E_ARGUMENT;
  const stamp s = {now_ns(), atomic_load_explicit(&r->episode, memory_order_relaxed), 1};
  add(&r->stats.posts);
  if (is_fresh(&r->observations)) add(&r->stats.superseded);
  exchange_write(&r->observations, &s, observation, size);
  return EFF_OK;
}

eff_status eff_receiver_latest(eff_receiver *r, void *action, size_t size, uint64_t *age_ns) {
  if (!is_live(r) || !action || size != r->options.action_size) return EFF_E_ARGUMENT;
  stamp s;
  const unsigned char *bytes;
  exchange_read(&r->actions, &s, &bytes);
  if (!s.is_there || s.episode != atomic_load_explicit(&r->episode, memory_order_relaxed)) return EFF_E_STATE;
  memcpy(action, bytes, size);
  if (age_ns) *age_ns = now_ns() - s.posted_ns;
  return EFF_OK;
}

eff_status eff_receiver_reset(eff_receiver *r) {
  if (!is_live(r)) return EFF_E_ARGUMENT;
  atomic_fetch_add_explicit(&r->episode, 1, memory_order_relaxed);
  return EFF_OK;
}

eff_status eff_receiver_read_stats(const eff_receiver *r, eff_receiver_stats *out) {
  if (!is_live(r) || !out || out->struct_size < sizeof(size_t) || out->struct_size > 1 << 16) return EFF_E_ARGUMENT;
  const size_t size = out->struct_size;
  const _Atomic uint64_t *counter = (const _Atomic uint64_t *)&r->stats;
  eff_receiver_stats all = {.struct_size = size};
  uint64_t *word = &all.connected;
  for (size_t i = 0; i < sizeof(counters) / 8; i++) word[i] = atomic_load_explicit(counter + i, memory_order_relaxed);
  memset(out, 0, size);
  memcpy(out, &all, size < sizeof all ? size : sizeof all);
  return EFF_OK;
}

/* Tells this machine's boot, where its monotonic clock begins; zeros where it cannot be told. */
static void read_boot(uint8_t boot[16]) {
  char text[64] = "";
  FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
  if (!file) return;
  unsigned digits = 0, value = 0;
  for (const char *p = fgets(text, sizeof text, file); p && *p && digits < 32; p++) {
    const char digit[2] = {*p, 0};
    char *end;
    value = value << 4 | (unsigned)strtoul(digit, &end, 16);
    if (end != digit && ++digits % 2 == 0) boot[digits / 2 - 1] = (uint8_t)value;
    if (end == digit) value >>= 4; /* a dash */
  }
  fclose(file);
}

/* 1 where the frame went. A way that takes none is a link that stands still: the next retry is not far. */
static int put(eff_receiver *r, uint64_t now, int is_repetition) {
  r->retry_ns = now + (uint64_t)r->options.retry_ms * MS;
  return r->link->transport->send(r->link, r->frame, r->frame_size, is_repetition);
}

/* Sends a new frame, whose body is in place, under the next number. */
static void ask(eff_receiver *r, int type, size_t body, uint64_t now) {
  const int is_hello = type == EFB_HELLO;
  efb_header h = {.type = (uint8_t)type, .flags = is_hello ? EFB_FIXED : 0, .monotonic_ns = now};
  h.session = is_hello ? 0 : r->state.session, h.episode = r->state.episode, h.seq = ++r->state.seq;
  if (is_hello) h.ttl_us = (uint32_t)r->options.lost_ms * 1000;
  if (type == EFB_STEP) h.ttl_us = (uint32_t)r->options.ttl_ms * 1000;
  r->frame_size = HEAD + body;
  efb_write(r->frame, r->frame_size, h, r->options.checksum);
  r->state.type = (uint8_t)type;
  r->asked_ns = now;
  if (!r->waiting_ns) r->waiting_ns = now;
  put(r, now, 0);
}

/* ---- the link ---- */

static int is_connected(eff_receiver *r) { return r->state.session != 0; }

/* The bridge session is over; HELLO follows, not before `pause` nanoseconds. */
static void disconnect(eff_receiver *r, uint64_t now, uint64_t pause) {
  if (is_connected(r)) add(&r->stats.losts);
  r->state.session = 0, r->state.episode = 0, r->state.type = 0;
  r->hello_ns = now + pause, r->waiting_ns = 0;
  set(&r->stats.connected, 0);
}

/* A fresh connection: what the old one had queued is gone, and the library sees it end. Where none can be had it is
 * tried again later. */
static eff_status open_link(eff_receiver *r, uint64_t now) {
  r->state.type = 0;
  const int code = r->link->transport->open(r->link);
  if (code != EFR_NONE) r->hello_ns = now + (code == EFR_ABSENT ? ABSENCE : PAUSE);
  return code < 0 ? code : EFF_OK;
}

/* The connection ended by itself: the library is gone, or turned this plant away. */
static int32_t ended(eff_receiver *r, uint64_t now) {
  const int was_connected = is_connected(r), was_asked = r->state.type == EFB_HELLO;
  disconnect(r, now, was_asked ? 5 * ABSENCE : ABSENCE);
  if (was_connected) return EFF_RECEIVER_LOST;
  if (!was_asked) return EFF_RECEIVER_NONE;
  return efr_fail(EFF_E_IO, "endpoint '%s': the library ended the connection and answered no HELLO", r->endpoint);
}

/* Takes an observation of the present episode, if there is a new one. */
static int take_observation(eff_receiver *r) {
  stamp s;
  const unsigned char *bytes;
  if (!exchange_read(&r->observations, &s, &bytes)) return 0;
  if (s.episode != atomic_load_explicit(&r->episode, memory_order_relaxed)) return add(&r->stats.superseded), 0;
  memcpy(r->frame + HEAD, bytes, r->options.observation_size);
  r->asked = s;
  return 1;
}

/* Sends what is due. Returns what happened, or a negative status. */
static int32_t advance(eff_receiver *r, uint64_t now) {
  if (r->waiting_ns && now - r->waiting_ns >= (uint64_t)r->options.lost_ms * MS) {
    const int was_connected = is_connected(r);
    disconnect(r, now, 0);
    const eff_status status = open_link(r, now);
    if (status != EFF_OK) return status;
    if (was_connected) return EFF_RECEIVER_LOST;
  }
  if (!r->link->is_open) {
    if (now < r->hello_ns) return EFF_RECEIVER_NONE;
    const eff_status status = open_link(r, now);
    if (status != EFF_OK) return status;
    if (!r->link->is_open) return EFF_RECEIVER_NONE;
  }
  const uint64_t timeout = (uint64_t)r->options.timeout_ms * MS;
  if (r->state.type == EFB_STEP && now - r->asked_ns >= timeout && is_fresh(&r->observations)) {
    add(&r->stats.given_up);
    r->state.type = 0; /* the next number says so */
  }
  const uint32_t wanted = atomic_load_explicit(&r->episode, memory_order_relaxed);
  if (r->state.type) {
    if (now >= r->retry_ns && put(r, now, 1)) add(&r->stats.retries);
  } else if (!is_connected(r)) {
    if (now < r->hello_ns) return EFF_RECEIVER_NONE;
    const eff_receiver_options *o = &r->options;
    efb_hello hello = {.oldest = EFB_VERSION, .newest = EFB_VERSION, .policy = o->policy, .schema = o->schema};
    hello.rows = (uint32_t)o->rows;
    hello.options = (uint16_t)((o->aux ? EFB_AUX : 0) | (o->checksum ? EFB_CRC32C : EFB_NO_CHECKSUM));
    hello.step_size = (uint32_t)(HEAD + o->observation_size), hello.act_size = (uint32_t)(HEAD + o->action_size);
    memcpy(hello.boot, r->boot, sizeof hello.boot);
    memcpy(r->frame + HEAD, &hello, sizeof hello);
    ask(r, EFB_HELLO, sizeof hello, now);
  } else if (r->state.episode != wanted) {
    r->state.episode = wanted;
    ask(r, EFB_RESET, 0, now);
  } else if (take_observation(r)) {
    add(&r->stats.steps);
    ask(r, EFB_STEP, r->options.observation_size, now);
  }
  return EFF_RECEIVER_NONE;
}

static int32_t welcomed(eff_receiver *r, const efb_header *h, size_t size, uint64_t now) {
  efb_welcome w;
  if (size != HEAD + sizeof w || !(h->flags & EFB_FIXED) || h->session == 0) {
    disconnect(r, now, PAUSE);
    return efr_fail(EFF_E_FORMAT, "endpoint '%s': WELCOME of %zu bytes, expected %zu", r->endpoint, size,
                    HEAD + sizeof w);
  }
  memcpy(&w, r->answer + HEAD, sizeof w);
  const size_t step_size = HEAD + r->options.observation_size, act_size = HEAD + r->options.action_size;
  if (w.step_size != step_size || w.act_size != act_size || (int64_t)w.rows != r->options.rows) {
    disconnect(r, now, PAUSE);
    return efr_fail(EFF_E_MISMATCH, "endpoint '%s': %u rows, STEP of %u bytes, ACT of %u, expected %d, %zu, %zu",
                r->endpoint, w.rows, w.step_size, w.act_size, r->options.rows, step_size, act_size);
  }
  r->state.session = h->session, r->state.episode = 0;
  set(&r->stats.policy, w.policy);
  set(&r->stats.connected, 1);
  add(&r->stats.connects);
  return EFF_RECEIVER_CONNECTED;
}

/* The status of a refusal that has none of its own. */
static eff_status status_of(uint32_t reason) {
  switch (reason) {
    case 2: case 5: case 10: return EFF_E_MISMATCH; /* version, schema, mismatch */
    case 8: return EFF_E_TIMEOUT;                   /* expired */
    case 14: return EFF_E_NUMERIC;
    case 1: case 3: case 13: return EFF_E_FORMAT;   /* malformed, checksum, flags */
    default: return EFF_E_STATE;
  }
}

static int32_t refused(eff_receiver *r, int asked, size_t size, uint64_t now) {
  efb_error e;
  if (size < HEAD + sizeof e) {
    disconnect(r, now, PAUSE);
    return efr_fail(EFF_E_FORMAT, "endpoint '%s': ERR of %zu bytes, expected %zu", r->endpoint, size, HEAD + sizeof e);
  }
  memcpy(&e, r->answer + HEAD, sizeof e);
  add(&r->stats.refused[e.reason < EFF_RECEIVER_REASONS ? e.reason : 0]);
  /* the library is another one, or another plant has taken this one's place */
  if (e.reason == SESSION && asked != EFB_HELLO) return disconnect(r, now, 0), EFF_RECEIVER_LOST;
  if (asked == EFB_HELLO) disconnect(r, now, e.wait_ms ? e.wait_ms * MS : PAUSE);
  if (asked == EFB_RESET || e.reason == EPISODE || e.reason == SEQUENCE) disconnect(r, now, PAUSE);
  const char *text = (const char *)r->answer + HEAD + sizeof e;
  const eff_status status = e.status ? e.status : status_of(e.reason);
  return efr_fail(status, "endpoint '%s': %.*s", r->endpoint, (int)(size - HEAD - sizeof e), text);
}

/* Handles a frame of the library. */
static int32_t handle(eff_receiver *r, size_t size, uint64_t now) {
  efb_header h;
  const int is_frame = size <= r->capacity && efb_read(r->answer, size, r->options.checksum, &h);
  if (is_frame && h.type == EFB_PING) return EFF_RECEIVER_NONE;
  if (is_frame && h.type == EFB_BYE && is_connected(r) && h.session == r->state.session) {
    if (r->link->transport == &efr_local) r->link->is_open = 0; /* its end follows */
    return disconnect(r, now, 50 * MS), EFF_RECEIVER_LOST;
  }
  const int asked = r->state.type;
  static const uint8_t answers[] = {[EFB_HELLO] = EFB_WELCOME, [EFB_RESET] = EFB_ACK, [EFB_STEP] = EFB_ACT};
  if (!is_frame || !asked || h.ref_seq != r->state.seq || (h.type != answers[asked] && h.type != EFB_ERR)) {
    return add(&r->stats.ignored), EFF_RECEIVER_NONE;
  }
  r->state.type = 0, r->waiting_ns = 0;
  if (h.type == EFB_ERR) return refused(r, asked, size, now);
  if (h.type == EFB_WELCOME) return welcomed(r, &h, size, now);
  if (h.type == EFB_ACK) return add(&r->stats.resets), EFF_RECEIVER_RESET;
  if (size != HEAD + r->options.action_size) {
    disconnect(r, now, PAUSE);
    return efr_fail(EFF_E_FORMAT, "endpoint '%s': ACT of %zu bytes, expected %zu", r->endpoint, size,
                HEAD + r->options.action_size);
  }
  set(&r->stats.round_trip_ns, now - r->asked_ns);
  exchange_write(&r->actions, &r->asked, r->answer + HEAD, r->options.action_size);
  add(&r->stats.actions);
  return EFF_RECEIVER_ACTION;
}

/* Milliseconds until something is due, at most `left` nanoseconds. */
static int32_t wait_of(eff_receiver *r, uint64_t now, uint64_t left) {
  uint64_t due = now + left;
  if (r->state.type) {
    const uint64_t given_up = r->asked_ns + (uint64_t)r->options.timeout_ms * MS;
    if (r->retry_ns < due) due = r->retry_ns;
    if (r->state.type == EFB_STEP && given_up > now && given_up < due) due = given_up;
  } else if (!is_connected(r)) {
    if (r->hello_ns < due) due = r->hello_ns;
  } else if (LOOK < left) {
    due = now + LOOK; /* a post wakes nobody: that would be a system call */
  }
  return due <= now ? 0 : (int32_t)((due - now + MS - 1) / MS);
}

static int receive(eff_receiver *r, int32_t ms, size_t *size) {
  if (r->link->is_open) return r->link->transport->receive(r->link, r->answer, r->capacity, ms, size);
  const struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};
  return nanosleep(&pause, NULL) == 0 ? EFR_NONE : EFR_SIGNAL;
}

eff_status eff_receiver_poll(eff_receiver *r, int32_t timeout_ms, int32_t *kind) {
  if (kind) *kind = EFF_RECEIVER_NONE;
  if (!is_live(r)) return efr_fail(EFF_E_ARGUMENT, "receiver: NULL, or destroyed");
  if (timeout_ms < 0) return efr_fail(EFF_E_ARGUMENT, "timeout_ms is %d, expected 0 or more", timeout_ms);
  if (r->process != getpid()) {
    return efr_fail(EFF_E_STATE, "receiver: the parent process's: make an own one after fork");
  }
  uint64_t now = now_ns();
  const uint64_t deadline = now + (uint64_t)timeout_ms * MS;
  while (1) {
    int32_t found = advance(r, now);
    if (found == EFF_RECEIVER_NONE) {
      size_t size = 0;
      const int code = receive(r, wait_of(r, now, now < deadline ? deadline - now : 0), &size);
      now = now_ns();
      if (code == EFR_SIGNAL) return EFF_OK;
      if (code == EFR_FRAME) found = handle(r, size, now);
      else if (code == EFR_ENDED) found = ended(r, now);
      else if (code < 0) {
        if (!r->link->is_open) disconnect(r, now, PAUSE);
        return code;
      }
    }
    if (found < 0) return found;
    if (found != EFF_RECEIVER_NONE) {
      if (kind) *kind = found;
      /* what follows at once goes out with this call */
      found = advance(r, now);
      return found < 0 ? found : EFF_OK;
    }
    if (now >= deadline) return EFF_OK;
  }
}

/* ---- making and freeing ---- */

void eff_receiver_options_default(eff_receiver_options *options, size_t struct_size) {
  if (!options || struct_size < sizeof(size_t)) return;
  eff_receiver_options all = {.struct_size = struct_size, .rows = 1};
  all.retry_ms = 20, all.timeout_ms = 100, all.lost_ms = 1000;
  memset(options, 0, struct_size);
  memcpy(options, &all, struct_size < sizeof all ? struct_size : sizeof all);
}

static void release(eff_receiver *r, int linger_ms) {
  if (r->link) r->link->transport->destroy(r->link, linger_ms);
  for (int i = 0; i < 3; i++) free(r->observations.slots[i]), free(r->actions.slots[i]);
  free(r->frame);
  free(r->answer);
  free(r->endpoint);
  free(r);
}

static eff_status check(const eff_receiver_options *o) {
  const struct {
    const char *name;
    int64_t value, least, most;
  } ranges[] = {
      {"observation_size", (int64_t)o->observation_size, 1, SIZE_LIMIT},
      {"action_size", (int64_t)o->action_size, 1, SIZE_LIMIT},
      {"rows", o->rows, 1, 65536},
      {"aux", o->aux, 0, 1},
      {"retry_ms", o->retry_ms, 1, 60000},
      {"timeout_ms", o->timeout_ms, 1, 60000},
      {"lost_ms", o->lost_ms, 1, 3600000},
      {"ttl_ms", o->ttl_ms, 0, 3600000},
      {"checksum", o->checksum, 0, 1},
      {"reserved", o->reserved, 0, 0},
  };
  for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
    const int64_t value = ranges[i].value, least = ranges[i].least, most = ranges[i].most;
    if (value >= least && value <= most) continue;
    return efr_fail(EFF_E_ARGUMENT, "%s is %lld, expected %lld to %lld", ranges[i].name, (long long)value,
                    (long long)least, (long long)most);
  }
  if (!o->endpoint) {
    return efr_fail(EFF_E_ARGUMENT, "endpoint is NULL, expected an address such as tcp://127.0.0.1:5555");
  }
  if (!o->server_key && (o->secret_key || o->key_file)) {
    return efr_fail(EFF_E_ARGUMENT, "server_key is NULL, expected the bridge's public key");
  }
  if (o->server_key && strncmp(o->endpoint, "tcp://", 6)) {
    return efr_fail(EFF_E_ARGUMENT, "endpoint '%s': keys are for tcp", o->endpoint);
  }
  return EFF_OK;
}

static int is_local_way(const char *endpoint) {
  return !strncmp(endpoint, "unix:", 5) || !strncmp(endpoint, "shm:", 4);
}

static eff_status create_zeromq(const eff_receiver_options *o, size_t room, efr_link **out) {
#if defined(EFF_RECEIVER_LOCAL)
  (void)room, (void)out;
  return efr_fail(EFF_E_UNSUPPORTED, "endpoint '%s': this receiver is built without ZeroMQ, expected unix: or shm:",
                  o->endpoint);
#else
  return efr_zeromq.create(o, room, out);
#endif
}

eff_status eff_receiver_create(const eff_receiver_options *given, eff_receiver **out) {
  if (!out) return efr_fail(EFF_E_ARGUMENT, "out is NULL");
  *out = NULL;
  if (!given) return efr_fail(EFF_E_ARGUMENT, "options is NULL");
  if (given->struct_size < sizeof(size_t) || given->struct_size > 1 << 16) {
    return efr_fail(EFF_E_ARGUMENT, "options.struct_size is %zu; fill options with eff_receiver_options_default",
                given->struct_size);
  }
  eff_receiver_options o = {0};
  memcpy(&o, given, given->struct_size < sizeof o ? given->struct_size : sizeof o);
  for (size_t i = sizeof o; i < given->struct_size; i++) {
    if (((const char *)given)[i]) {
      return efr_fail(EFF_E_ARGUMENT, "options has fields of a newer receiver.h that are set");
    }
  }
  if (!o.rows) o.rows = 1;
  if (!o.retry_ms) o.retry_ms = 20;
  if (!o.timeout_ms) o.timeout_ms = 100;
  if (!o.lost_ms) o.lost_ms = 1000;
  eff_status status = check(&o);
  if (status != EFF_OK) return status;
  eff_receiver *r = calloc(1, sizeof *r);
  if (!r) return efr_fail(EFF_E_MEMORY, "no memory for a receiver");
  r->options = o;
  r->process = getpid();
  const size_t body = o.observation_size > sizeof(efb_hello) ? o.observation_size : sizeof(efb_hello);
  const size_t largest = sizeof(efb_error) + TEXT;
  r->capacity = HEAD + (o.action_size > largest ? o.action_size : largest);
  r->frame = calloc(1, HEAD + body);
  r->answer = calloc(1, r->capacity);
  r->endpoint = malloc(strlen(o.endpoint) + 1);
  if (!r->frame || !r->answer || !r->endpoint || !exchange_make(&r->observations, o.observation_size) ||
      !exchange_make(&r->actions, o.action_size)) {
    release(r, 0);
    return efr_fail(EFF_E_MEMORY, "no memory for %zu bytes of frames", o.observation_size + o.action_size);
  }
  memcpy(r->endpoint, o.endpoint, strlen(o.endpoint) + 1);
  r->options.endpoint = r->options.server_key = r->options.secret_key = r->options.key_file = NULL;
  read_boot(r->boot);
  status = (is_local_way(o.endpoint) ? efr_local.create : create_zeromq)(&o, HEAD + body, &r->link);
  if (status != EFF_OK) {
    release(r, 0);
    return status;
  }
  r->live = LIVE;
  *out = r;
  return EFF_OK;
}

void eff_receiver_destroy(eff_receiver *r) {
  if (!is_live(r) || r->process != getpid()) return;
  const int says_goodbye = is_connected(r);
  if (says_goodbye) ask(r, EFB_BYE, 0, now_ns());
  r->live = 0;
  release(r, says_goodbye ? 100 : 0);
}
