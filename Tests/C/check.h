// Counts checks. A test program ends with `return check_report();`, which prints "N passed, N failed".
#pragma once
#include <stdio.h>

static int check_passed, check_failed;

#define CHECK(condition) \
  do { \
    if (condition) { \
      check_passed++; \
    } else { \
      check_failed++; \
      printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
    } \
  } while (0)

static inline int check_report(void) {
  printf("%d passed, %d failed\n", check_passed, check_failed);
  return check_failed != 0;
}
