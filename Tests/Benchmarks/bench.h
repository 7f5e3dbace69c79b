// Interleaved timing: every contender runs once per round, medians over many rounds, one process, one thread.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

struct contender {
  std::string name;
  std::function<void()> call;
  std::vector<double> us;
};

inline double now_us() { return (double)std::chrono::steady_clock::now().time_since_epoch().count() / 1e3; }
inline double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + (long)v.size() / 2, v.end());
  return v[v.size() / 2];
}

// times all contenders; the first is the floor that the ratios refer to
inline void compare(const char *title, std::vector<contender> &all, int rounds = 301, double slice_us = 40) {
  std::vector<int> calls;
  for (auto &c : all) {
    for (int i = 0; i < 5; i++) c.call();
    double t = now_us();
    for (int i = 0; i < 10; i++) c.call();
    calls.push_back(std::max(1, (int)(slice_us / std::max(0.01, (now_us() - t) / 10))));
  }
  for (int r = 0; r < rounds; r++)
    for (size_t i = 0; i < all.size(); i++) {
      all[i].call();  // refills the caches that the others used
      double t = now_us();
      for (int j = 0; j < calls[i]; j++) all[i].call();
      all[i].us.push_back((now_us() - t) / calls[i]);
    }
  printf("%-28s", title);
  double floor = median(all[0].us);
  for (auto &c : all) {
    double m = median(c.us);
    printf("  %s %.3f (%.2f)", c.name.c_str(), m, m / floor);
  }
  printf("\n");
  fflush(stdout);
}
