/* What the benchmarks of the bridge measure with. Include it after the headers of the C library. */
#pragma once

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Sorts the values; q: 0 to 1. */
static double quantile(double *values, size_t n, double q) {
  qsort(values, n, sizeof *values, compare);
  return values[(size_t)(q * (double)(n - 1))];
}

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, eff_last_error());
  exit(1);
}
