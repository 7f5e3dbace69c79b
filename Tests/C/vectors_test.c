// The C codec of examples/plants against the vectors that all codecs share: vectors_test Tests/Vectors/bridge.txt
#include <stdio.h>
#include <stdlib.h>

#include "../../examples/plants/efferent_frame.h"

static int passed, failed;
static void check(int good, const char *kind, const char *name) {
  if (good) passed++;
  else failed++, printf("FAIL %s %s\n", kind, name);
}

static size_t bytes(const char *text, unsigned char *out) {
  size_t n = 0;
  if (text[0] == '-') return 0;
  for (unsigned value; sscanf(text + 2 * n, "%2x", &value) == 1; n++) out[n] = (unsigned char)value;
  return n;
}

static unsigned long long number(const char *text) { return strtoull(text, NULL, 10); }

static void line(char **w) {
  static unsigned char a[8192], b[8192];
  const char *kind = w[0];
  if (!strcmp(kind, "crc")) {
    check(efb_crc32c(0, a, bytes(w[1], a)) == number(w[2]), kind, w[1]);
  } else if (!strcmp(kind, "frame")) {
    const int sealed = w[12][0] == '1';
    const size_t body = bytes(w[13], a + 64), size = bytes(w[14], b);
    efb_header h = {0}, found = {0};
    h.type = (uint8_t)number(w[2]), h.flags = (uint16_t)number(w[3]), h.step_time_us = (uint32_t)number(w[4]),
    h.episode = (uint32_t)number(w[5]);
    h.session = number(w[6]), h.seq = number(w[7]), h.ref_seq = number(w[8]), h.monotonic_ns = number(w[9]),
    h.simulation_ns = number(w[10]);
    h.ttl_us = (uint32_t)number(w[11]);
    efb_write(a, 64 + body, h, sealed);
    int good =
        size == 64 + body && memcmp(a, b, size) == 0 && efb_read(b, size, sealed, &found) && memcmp(&found, b, 64) == 0;
    for (size_t cut = 0; cut < 64; cut++) good &= !efb_read(b, cut, sealed, &found);
    b[size - 1] ^= 1;
    if (sealed) good &= !efb_read(b, size, 1, &found);
    check(good, kind, w[1]);
  } else if (!strcmp(kind, "error")) {
    efb_error e;
    const size_t text = bytes(w[5], a), size = bytes(w[6], b);
    memcpy(&e, b, sizeof e);
    check(size == 16 + text && e.reason == number(w[2]) && e.status == atoi(w[3]) && e.wait_ms == number(w[4])
              && !memcmp(b + 16, a, text),
          kind, w[1]);
  } else if (!strcmp(kind, "schema")) {
    uint64_t hash = 0xCBF29CE484222325u;
    const size_t size = bytes(w[1], a);
    for (size_t i = 0; i < size; i++) hash = (hash ^ a[i]) * 0x100000001B3u;
    check(hash == number(w[2]), kind, "");
  } else if (!strcmp(kind, "hello")) {
    efb_hello h = {0};
    h.oldest = (uint8_t)number(w[2]), h.newest = (uint8_t)number(w[3]), h.options = (uint16_t)number(w[4]),
    h.rows = (uint32_t)number(w[5]);
    h.policy = number(w[6]), h.schema = number(w[7]), h.step_size = (uint32_t)number(w[8]),
    h.act_size = (uint32_t)number(w[9]);
    bytes(w[10], h.boot);
    check(bytes(w[11], b) == sizeof h && memcmp(&h, b, sizeof h) == 0, kind, w[1]);
  } else if (!strcmp(kind, "welcome")) {
    efb_welcome h;
    const size_t size = bytes(w[15], b);
    memcpy(&h, b, sizeof h);
    check(size == sizeof h && h.oldest == number(w[2]) && h.newest == number(w[3]) && h.options == number(w[4])
              && h.rows == number(w[5]) && h.policy == number(w[6]) && h.schema == number(w[7])
              && h.step_size == number(w[8]) && h.act_size == number(w[9]) && h.idle_timeout_ms == number(w[10])
              && h.max_rows == number(w[11]) && h.rate == atof(w[12]) && h.received_ns == number(w[13])
              && h.library == number(w[14]) && h.zero == 0,
          kind, w[1]);
  } else if (strcmp(kind, "hello_refused")) {
    check(0, kind, "is unknown");
  }
}

int main(int argc, char **argv) {
  static char text[1 << 15];
  FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
  if (!file) return fprintf(stderr, "usage: vectors_test bridge.txt\n"), 2;
  while (fgets(text, sizeof text, file)) {
    char *words[24] = {0};
    int n = 0;
    for (char *p = strtok(text, " \n"); p && n < 23; p = strtok(NULL, " \n")) words[n++] = p;
    if (n > 2 || (n == 2 && strcmp(words[0], "crc") == 0)) line(words);
  }
  fclose(file);
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0 || passed == 0;
}
