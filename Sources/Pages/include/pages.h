// Huge pages that were given back and are handed out again as they are: the system clears a page before it gives it,
// which takes as long as reading a small policy. Any thread; a child process has its own.
#pragma once
#include <stddef.h>

#define EFF_HIDDEN __attribute__((visibility("hidden")))

enum {
  EFF_PAGE_SIZE = 2 << 20,
  EFF_PAGES_KEPT = 2
};

// A page with whatever its last owner left in it, or NULL where none is kept.
EFF_HIDDEN void *eff_page_take(void);

// Keeps a page that the caller owns. 0 where enough are kept: it is still the caller's, to unmap.
EFF_HIDDEN int eff_page_keep(void *page);
