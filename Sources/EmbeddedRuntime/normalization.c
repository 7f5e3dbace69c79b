// Names are bytes: two that are written differently are two names, also where Unicode calls them equivalent. Swift
// compares and hashes text after normalizing it, with 35 kB of tables and code. These definitions are hidden, serve the
// shipped library only, and say of every character that it is normal as it stands.
#ifdef EFF_SHIPPED
#include <stdint.h>
#define HIDDEN __attribute__((visibility("hidden")))

// Combining class 0, and normal in both forms.
HIDDEN uint16_t _swift_stdlib_getNormData(uint32_t scalar) {
  (void)scalar;
  return 0;
}
// An entry is of the character in its low bits; that of 0 has none.
HIDDEN uint32_t _swift_stdlib_getDecompositionEntry(uint32_t scalar) {
  (void)scalar;
  return 0;
}
HIDDEN const uint8_t *const _swift_stdlib_nfd_decompositions = 0;
HIDDEN uint32_t _swift_stdlib_getComposition(uint32_t first, uint32_t second) {
  (void)first, (void)second;
  return UINT32_MAX;
}
#endif
