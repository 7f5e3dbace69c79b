#include "handles.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_GENERATION_BITS ((int)(8 * sizeof(uintptr_t)) - EFF_HANDLE_KIND_BITS - EFF_HANDLE_SLOT_BITS - 1)
#define LAST_GENERATION ((UINTPTR_MAX >> (EFF_HANDLE_KIND_BITS + EFF_HANDLE_SLOT_BITS)))

eff_slot eff_first_slots[1u << EFF_HANDLE_CHUNK_BITS];
eff_slot *eff_slot_chunks[EFF_HANDLE_CHUNKS] = {eff_first_slots};

// slots made so far
static uint32_t made;
// free slots: the low half is the first one + 1, the high half counts changes, so that no exchange mistakes an old list
// for the present one
static uint64_t free_slots;

int32_t eff_handle_kind(uintptr_t handle) {
  const int32_t kind = (int32_t)(handle & ((1u << EFF_HANDLE_KIND_BITS) - 1));
  return kind & 1 && eff_handle_slot(handle, kind) ? kind : 0;
}

static void push(uint32_t index, eff_slot *slot) {
  uint64_t head = __atomic_load_n(&free_slots, __ATOMIC_RELAXED), changed;
  do {
    __atomic_store_n(&slot->next, head & UINT32_MAX, __ATOMIC_RELAXED);
    changed = ((head >> 32) + 1) << 32 | (index + 1);
  } while (!__atomic_compare_exchange_n(&free_slots, &head, changed, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static eff_slot *pop(uint32_t *index) {
  uint64_t head = __atomic_load_n(&free_slots, __ATOMIC_ACQUIRE), changed;
  eff_slot *slot;
  do {
    if (!(head & UINT32_MAX)) return NULL;
    *index = (uint32_t)(head & UINT32_MAX) - 1;
    slot = eff_slot_at(*index);
    changed = ((head >> 32) + 1) << 32 | __atomic_load_n(&slot->next, __ATOMIC_RELAXED);
  } while (!__atomic_compare_exchange_n(&free_slots, &head, changed, 1, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
  return slot;
}

// A slot that never had an object; NULL where memory or slots are used up.
static eff_slot *make(uint32_t *index) {
  uint32_t i = __atomic_load_n(&made, __ATOMIC_RELAXED);
  do {
    if (i >> EFF_HANDLE_SLOT_BITS) return NULL;
    const uint32_t place = i + (1u << EFF_HANDLE_CHUNK_BITS);
    const int chunk = 31 - __builtin_clz(place) - EFF_HANDLE_CHUNK_BITS;
    if (!__atomic_load_n(&eff_slot_chunks[chunk], __ATOMIC_ACQUIRE)) {
      const size_t size = sizeof(eff_slot) << (EFF_HANDLE_CHUNK_BITS + chunk);
      eff_slot *fresh = aligned_alloc(sizeof(eff_slot), size), *none = NULL;
      if (!fresh) return NULL;
      memset(fresh, 0, size);
      // another thread may have been faster
      if (!__atomic_compare_exchange_n(&eff_slot_chunks[chunk], &none, fresh, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        free(fresh);
    }
  } while (!__atomic_compare_exchange_n(&made, &i, i + 1, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  *index = i;
  return eff_slot_at(i);
}

// splitmix64
static uintptr_t first_generation(uint32_t index) {
  uint64_t x = (uint64_t)(uintptr_t)eff_first_slots + (index + 1) * 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
  x = (x ^ x >> 27) * 0x94D049BB133111EBu;
  return (uintptr_t)(x ^ x >> 31) & (((uintptr_t)1 << FIRST_GENERATION_BITS) - 1);
}

uintptr_t eff_handle_create(void *object, int32_t kind) {
  uint32_t index = 0;
  eff_slot *slot = pop(&index);
  if (!slot) slot = make(&index);
  if (!slot) return 0;
  slot->generation = slot->generation ? slot->generation + 1 : first_generation(index) + 1;
  const uintptr_t handle = (slot->generation << EFF_HANDLE_SLOT_BITS | index) << EFF_HANDLE_KIND_BITS | (uintptr_t)kind;
  __atomic_store_n(&slot->object, object, __ATOMIC_RELAXED);
  __atomic_store_n(&slot->references, 1, __ATOMIC_RELAXED);
  __atomic_store_n(&slot->claim, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&slot->handle, handle, __ATOMIC_RELEASE);
  return handle;
}

int32_t eff_handle_retain(uintptr_t handle, int32_t kind) {
  eff_slot *slot = eff_handle_slot(handle, kind);
  if (!slot) return 0;
  int64_t n = __atomic_load_n(&slot->references, __ATOMIC_RELAXED);
  do {
    if (n <= 0) return 0;
  } while (!__atomic_compare_exchange_n(&slot->references, &n, n + 1, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
  return 1;
}

static uint64_t claim_of(const eff_slot *slot) {
  return (uint64_t)(uint32_t)getpid() << 32 | (uint32_t)slot->generation;
}

int32_t eff_handle_claim(uintptr_t handle, int32_t kind) {
  eff_slot *slot = eff_handle_slot(handle, kind);
  if (!slot) return -1;
  const uint64_t mine = claim_of(slot);
  uint64_t held = __atomic_load_n(&slot->claim, __ATOMIC_RELAXED);
  do {
    if (held == mine) return 0;
  } while (!__atomic_compare_exchange_n(&slot->claim, &held, mine, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
  return 1;
}

void eff_handle_unclaim(uintptr_t handle, int32_t kind) {
  eff_slot *slot = eff_handle_slot(handle, kind);
  if (!slot) return;
  uint64_t mine = claim_of(slot);
  __atomic_compare_exchange_n(&slot->claim, &mine, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void *eff_handle_release(uintptr_t handle, int32_t kind) {
  eff_slot *slot = eff_handle_slot(handle, kind);
  if (!slot) return NULL;
  int64_t n = __atomic_load_n(&slot->references, __ATOMIC_RELAXED);
  do {
    if (n <= 0) return NULL;
  } while (!__atomic_compare_exchange_n(&slot->references, &n, n - 1, 1, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
  if (n > 1) return NULL;
  void *object = slot->object;
  __atomic_store_n(&slot->handle, 0, __ATOMIC_RELEASE);
  // a slot whose generations are used up is never used again
  if (slot->generation < LAST_GENERATION)
    push((uint32_t)(handle >> EFF_HANDLE_KIND_BITS) & ((1u << EFF_HANDLE_SLOT_BITS) - 1), slot);
  return object;
}
