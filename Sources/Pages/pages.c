#include "pages.h"

// Whoever exchanges an entry owns what comes out.
static void *kept[EFF_PAGES_KEPT];

void *eff_page_take(void) {
  for (int i = 0; i < EFF_PAGES_KEPT; i++) {
    if (!__atomic_load_n(&kept[i], __ATOMIC_RELAXED)) continue;
    void *page = __atomic_exchange_n(&kept[i], NULL, __ATOMIC_ACQUIRE);
    if (page) return page;
  }
  return NULL;
}

int eff_page_keep(void *page) {
  for (int i = 0; i < EFF_PAGES_KEPT; i++) {
    void *none = NULL;
    if (__atomic_compare_exchange_n(&kept[i], &none, page, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) return 1;
  }
  return 0;
}
