/* The newest of something, from one thread of the receiver to another. */
#ifndef EFFERENT_RECEIVER_EXCHANGE_H
#define EFFERENT_RECEIVER_EXCHANGE_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FRESH = 4 };

/* Hands the newest of something from one thread to another. Each side has a slot for itself, the third lies between
 * them: neither ever waits. */
typedef struct {
  unsigned char *slots[3];
  _Atomic unsigned middle; /* a slot, and FRESH where it was not taken yet */
  unsigned back, front;    /* of the writer, of the reader */
} exchange;

typedef struct {
  uint64_t posted_ns;  /* when the observation was posted */
  uint32_t episode;    /* counts the calls of reset */
  uint32_t is_there;
} stamp;

/* 0 where there is no memory. */
static inline int exchange_make(exchange *x, size_t size) {
  for (unsigned i = 0; i < 3; i++) {
    if (!(x->slots[i] = calloc(1, sizeof(stamp) + size))) return 0;
  }
  x->back = 0, x->front = 1;
  atomic_init(&x->middle, 2);
  return 1;
}

static inline void exchange_write(exchange *x, const stamp *s, const void *bytes, size_t size) {
  memcpy(x->slots[x->back], s, sizeof *s);
  memcpy(x->slots[x->back] + sizeof *s, bytes, size);
  x->back = atomic_exchange_explicit(&x->middle, x->back | FRESH, memory_order_acq_rel) & ~(unsigned)FRESH;
}

/* The newest slot; 1 where it is a new one. */
static inline int exchange_read(exchange *x, stamp *s, const unsigned char **bytes) {
  const int fresh = (atomic_load_explicit(&x->middle, memory_order_relaxed) & FRESH) != 0;
  if (fresh) x->front = atomic_exchange_explicit(&x->middle, x->front, memory_order_acq_rel) & ~(unsigned)FRESH;
  memcpy(s, x->slots[x->front], sizeof *s);
  *bytes = x->slots[x->front] + sizeof *s;
  return fresh;
}

/* Whether something was written that was not taken yet. */
static inline int is_fresh(exchange *x) {
  return (atomic_load_explicit(&x->middle, memory_order_relaxed) & FRESH) != 0;
}

#endif
