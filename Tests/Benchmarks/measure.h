// Engines that do the same work in turn, and what their times say: slices of calls in
// thread CPU time for the median, single calls in wall time for the tail.
#pragma once
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <time.h>
#include <vector>
#include <x86intrin.h>

// counted by counters.cpp, which stands before malloc in this process
extern thread_local int64_t allocation_count;

struct engine {
  std::string name;
  std::function<void()> step;
  std::function<void()> before;  // not timed: what a caller may do ahead of the step
  std::vector<double> slices, singles;  // microseconds per call
  double allocations = -1, system_calls = -1;
};

inline double now_us() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

// time that this thread had a core: what other processes take from a long slice does not count
inline double cpu_us() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}
inline double cpu_us_empty() {
  static const double gap = [] {
    double best = 1e9;
    for (int i = 0; i < 1000; i++) {
      double t = cpu_us();
      best = std::min(best, cpu_us() - t);
    }
    return best;
  }();
  return gap;
}

// the time stamp counter costs a third of the clock; its rate is measured once
struct stamp {
  double per_us, empty;
  static uint64_t read() {
    unsigned cpu;
    uint64_t t = __rdtscp(&cpu);
    _mm_lfence();
    return t;
  }
  stamp() {
    double begin = now_us();
    uint64_t t = read();
    while (now_us() < begin + 20e3) {}
    per_us = (double)(read() - t) / (now_us() - begin);
    std::vector<double> gaps;
    for (int i = 0; i < 10001; i++) {
      uint64_t a = read(), b = read();
      gaps.push_back((double)(b - a));
    }
    std::nth_element(gaps.begin(), gaps.begin() + 5000, gaps.end());
    empty = gaps[5000];
  }
  double us(uint64_t from, uint64_t to) const { return std::max(0.0, (double)(to - from) - empty) / per_us; }
};
inline const stamp &ticks() {
  static const stamp s;
  return s;
}

inline double percentile(std::vector<double> v, double p) {
  if (v.empty()) return 0;
  size_t k = std::min(v.size() - 1, (size_t)(p / 100 * (double)v.size()));
  std::nth_element(v.begin(), v.begin() + (long)k, v.end());
  return v[k];
}

// every round runs every engine once: two calls that refill the caches (a policy of two thirds of L2 is not there after
// one), a slice of calls, then some calls timed one by one
inline void interleave(std::vector<engine> &all, int rounds, int singles) {
  const double slice_us = 60;
  std::vector<int> calls;
  for (auto &e : all) {
    for (int i = 0; i < 3; i++) e.step();
    std::vector<double> t;
    for (int i = 0; i < 7; i++) {
      double begin = cpu_us();
      e.step();
      t.push_back(cpu_us() - begin - cpu_us_empty());
    }
    calls.push_back(std::max(1, (int)(slice_us / std::max(0.02, percentile(t, 50)))));
    e.singles.assign((size_t)rounds * (size_t)singles, 0);  // its pages exist before the first call is timed
    e.singles.clear();
  }
  for (int r = 0; r < rounds; r++)
    for (size_t i = 0; i < all.size(); i++) {
      engine &e = all[i];
      e.step();
      e.step();
      double from = cpu_us();
      for (int j = 0; j < calls[i]; j++) e.step();
      e.slices.push_back((cpu_us() - from - cpu_us_empty()) / calls[i]);
      e.step();  // the clock of a thread is a system call, which empties predictors
      for (int j = 0; j < std::min(singles, calls[i] * 4); j++) {
        uint64_t begin = stamp::read();
        e.step();
        e.singles.push_back(ticks().us(begin, stamp::read()));
      }
    }
}

// allocations per step
inline void count_allocations(engine &e, int steps = 200) {
  e.step();
  int64_t before = allocation_count;
  for (int i = 0; i < steps; i++) e.step();
  e.allocations = (double)(allocation_count - before) / steps;
}
