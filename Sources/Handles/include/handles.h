// Handles of the C ABI. A handle is a number, never an address: kind, slot and generation of an object.
//
//   | generation | slot | kind |
//
// A live object's slot holds its handle; a destroyed one's holds 0 or a later generation.
//
// Slots live as long as the process, so that any value at all can be looked up without reading memory that was freed.
// Kinds are odd, so that no aligned address is taken for a handle. Generations begin at a number that depends on where
// the table lies, so that the handles of two copies of this library in one process are not mistaken for each other.
#pragma once
#include <stddef.h>
#include <stdint.h>

// Callable from Swift that is compiled under @_noLocks.
#ifndef EFF_RT
#if defined(__clang__)
#define EFF_RT __attribute__((swift_attr("@_noLocks")))
#else
#define EFF_RT
#endif
#endif
#define EFF_HIDDEN __attribute__((visibility("hidden")))
// part of every [RT] call: inlined where the rest is compiled for size, too
#define EFF_RT_INLINE static inline __attribute__((always_inline)) EFF_RT

// Kinds of handles: odd, below 2^EFF_HANDLE_KIND_BITS.
enum {
  EFF_HANDLE_POLICY = 1,
  EFF_HANDLE_SESSION = 3,
  EFF_HANDLE_LEARNER = 5,
  EFF_HANDLE_PUBLISHER = 7,
  EFF_HANDLE_BRIDGE = 9,
  EFF_HANDLE_CARD = 11,
  EFF_HANDLE_CONTROLLER = 13
};

enum {
  EFF_HANDLE_KIND_BITS = 5,
  EFF_HANDLE_SLOT_BITS = sizeof(uintptr_t) == 8 ? 23 : 11,
  // slots of the first chunk, which is static; each further one is twice as long
  EFF_HANDLE_CHUNK_BITS = sizeof(uintptr_t) == 8 ? 6 : 3,
  EFF_HANDLE_CHUNKS = EFF_HANDLE_SLOT_BITS - EFF_HANDLE_CHUNK_BITS + 1
};

// A slot has a cache line of its own: who steps a session shares none with who retains a policy.
typedef struct __attribute__((aligned(64))) eff_slot {
  uintptr_t handle;      // of the live object, or 0
  void *object;
  int64_t references;    // 0 while the slot is free
  uintptr_t generation;  // of the last handle; 0 before the first
  uint64_t next;         // in the list of free slots: slot + 1, or 0
  uint64_t claim;        // the process and generation that have the object for themselves, or 0
} eff_slot;

extern EFF_HIDDEN eff_slot eff_first_slots[1u << EFF_HANDLE_CHUNK_BITS];
extern EFF_HIDDEN eff_slot *eff_slot_chunks[EFF_HANDLE_CHUNKS];

// Slot `index` of the chunks after the first, or NULL where none was ever made.
static __attribute__((noinline, unused)) EFF_RT eff_slot *eff_late_slot_at(uint32_t index) {
  const uint32_t place = index + (1u << EFF_HANDLE_CHUNK_BITS);
  const int chunk = 31 - __builtin_clz(place) - EFF_HANDLE_CHUNK_BITS;
  if (chunk >= EFF_HANDLE_CHUNKS) return NULL;
  eff_slot *first = __atomic_load_n(&eff_slot_chunks[chunk], __ATOMIC_ACQUIRE);
  return first ? first + (place - (1u << (EFF_HANDLE_CHUNK_BITS + chunk))) : NULL;
}

// Slot `index`, or NULL where none was ever made.
EFF_RT_INLINE eff_slot *eff_slot_at(uint32_t index) {
  return index < 1u << EFF_HANDLE_CHUNK_BITS ? eff_first_slots + index : eff_late_slot_at(index);
}

// The slot of a live object of a kind, or NULL for every other value.
EFF_RT_INLINE eff_slot *eff_handle_slot(uintptr_t handle, int32_t kind) {
  if ((handle & ((1u << EFF_HANDLE_KIND_BITS) - 1)) != (uintptr_t)kind) return NULL;
  eff_slot *slot = eff_slot_at((uint32_t)(handle >> EFF_HANDLE_KIND_BITS) & ((1u << EFF_HANDLE_SLOT_BITS) - 1));
  return slot && __atomic_load_n(&slot->handle, __ATOMIC_ACQUIRE) == handle ? slot : NULL;
}

// [RT] The live object of a kind that a handle names, or NULL. Any thread.
EFF_RT_INLINE void *eff_handle_find(uintptr_t handle, int32_t kind) {
  eff_slot *slot = eff_handle_slot(handle, kind);
  return slot ? __atomic_load_n(&slot->object, __ATOMIC_RELAXED) : NULL;
}

// The kind of a live handle, or 0. Any thread.
EFF_HIDDEN int32_t eff_handle_kind(uintptr_t handle);

// A handle for an object, with one reference; 0 where memory or slots are used up. Any thread.
EFF_HIDDEN uintptr_t eff_handle_create(void *object, int32_t kind);

// Adds a reference. 0 where the handle is dead. Any thread.
EFF_HIDDEN int32_t eff_handle_retain(uintptr_t handle, int32_t kind);

// Has the object for one user alone, until it is unclaimed. 1: it is; 0: another user of this process has it; -1: the
// handle is dead. What a parent process had claimed is free in its child. Any thread.
EFF_HIDDEN int32_t eff_handle_claim(uintptr_t handle, int32_t kind);
EFF_HIDDEN void eff_handle_unclaim(uintptr_t handle, int32_t kind);

// Gives a reference back. With the last one the handle dies, and its object is returned to be freed; otherwise NULL.
// Any thread.
EFF_HIDDEN void *eff_handle_release(uintptr_t handle, int32_t kind);
