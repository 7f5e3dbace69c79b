/* Frames of Efferent's lock-step protocol, version 2, for plants that link nothing of Efferent:
 * Sources/Bridge/PROTOCOL.md as C. Copy it.
 * Little-endian machines: the structs are the bytes. */
#ifndef EFFERENT_FRAME_H
#define EFFERENT_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { EFB_MAGIC = 0x42464645, EFB_VERSION = 2, EFB_FIXED = 0x0100 };
enum { EFB_HELLO = 1, EFB_WELCOME, EFB_RESET, EFB_ACK, EFB_STEP, EFB_ACT, EFB_ERR, EFB_BYE, EFB_PING };
enum { EFB_AUX = 1, EFB_CRC32C = 2, EFB_NO_CHECKSUM = 4, EFB_SHARED_CLOCK = 8 }; /* options of the fixed bodies */

/* In front of every frame. */
typedef struct {
  uint32_t magic;
  uint8_t version, type;
  uint16_t flags;
  uint32_t step_time_us, episode;
  uint64_t session, seq, ref_seq, monotonic_ns, simulation_ns;
  uint32_t ttl_us, crc32c;
} efb_header;

/* The fixed bodies of HELLO and WELCOME; zero where a plant does not care. */
typedef struct {
  uint8_t oldest, newest;
  uint16_t options;
  uint32_t rows;
  uint64_t policy, schema;
  uint32_t step_size, act_size;
  uint8_t boot[16], zero[16];
} efb_hello;

typedef struct {
  uint8_t oldest, newest;
  uint16_t options;
  uint32_t rows;
  uint64_t policy, schema;
  uint32_t step_size, act_size, idle_timeout_ms, max_rows;
  double rate;
  uint64_t received_ns;
  uint32_t library, zero;
} efb_welcome;

/* In front of the text of ERR. */
typedef struct {
  uint32_t reason;
  int32_t status;
  uint32_t wait_ms, zero;
} efb_error;

_Static_assert(sizeof(efb_header) == 64 && sizeof(efb_hello) == 64 && sizeof(efb_welcome) == 64
                   && sizeof(efb_error) == 16,
               "as in PROTOCOL.md");

static inline uint32_t efb_crc32c(uint32_t crc, const void *bytes, size_t size) {
  const uint8_t *p = (const uint8_t *)bytes;
  for (crc = ~crc; size--;) {
    crc ^= *p++;
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
  }
  return ~crc;
}

/* What the last four bytes of the header hold where a checksum was agreed. */
static inline uint32_t efb_checksum(const void *frame, size_t size) {
  return efb_crc32c(efb_crc32c(0, frame, 60), (const uint8_t *)frame + 64, size - 64);
}

/* Writes a header in front of a frame whose body is in place; sealed: with its checksum. */
static inline void efb_write(void *frame, size_t size, efb_header header, int sealed) {
  header.magic = EFB_MAGIC, header.version = EFB_VERSION, header.crc32c = 0;
  memcpy(frame, &header, sizeof header);
  if (!sealed) return;
  header.crc32c = efb_checksum(frame, size);
  memcpy(frame, &header, sizeof header);
}

/* Reads the header of a frame; 0 where it is none, or its checksum is wrong. */
static inline int efb_read(const void *frame, size_t size, int sealed, efb_header *header) {
  if (size < sizeof *header) return 0;
  memcpy(header, frame, sizeof *header);
  return header->magic == EFB_MAGIC && header->version == EFB_VERSION
         && (!sealed || header->crc32c == efb_checksum(frame, size));
}

#endif
