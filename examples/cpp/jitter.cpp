// How well this machine keeps a control period: a loop that steps a policy, with a histogram of wake-ups and steps.
//   jitter POLICY.onnx [HZ] [SECONDS] [PRIORITY] [CPU]         1000 Hz, 10 s, SCHED_FIFO 80, any CPU
// What a real-time loop asks of Linux, in this order: memory that stays (mlockall), a stack that is there already, the
// CPU, the scheduling class.
// It says what it did not get. bindings/REALTIME.md has what to set, and how to read the result.
#include <efferent/efferent.hpp>

#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

static std::int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

// Counts durations in bins of 1, 2, 5, 10, 20, 50, ... us; [RT].
struct Histogram {
  static constexpr std::array<double, 15> limits = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e9};
  std::array<long, limits.size()> counts{};
  long total = 0;
  double worst = 0;

  void add(std::int64_t ns) {
    const double us = static_cast<double>(ns) * 1e-3;
    std::size_t i = 0;
    while (us >= limits[i] && i + 1 < limits.size()) i++;
    counts[i]++, total++;
    if (us > worst) worst = us;
  }
  void print(const char *name) const {
    std::printf("%s: %ld, the longest %.1f us\n", name, total, worst);
    double from = 0;
    for (std::size_t i = 0; i < limits.size(); from = limits[i++]) {
      if (!counts[i]) continue;
      const double share = static_cast<double>(counts[i]) / static_cast<double>(total);
      std::printf("  %6.0f us %9ld %7.3f %% %.*s\n", from, counts[i], 100 * share,
                  static_cast<int>(std::lround(40 * share)), "****************************************");
    }
  }
};

// Touches the stack that the loop will use, so that no page of it is missing later.
static void touch_stack() {
  volatile char pages[256 * 1024];
  for (std::size_t i = 0; i < sizeof pages; i += 1024) pages[i] = 0;
}

static void get(bool is_done, const char *what, const char *how) {
  if (!is_done) std::printf("not real-time: no %s (%s); %s\n", what, std::strerror(errno), how);
}

int main(int argc, char **argv) try {
  if (argc < 2) return std::fprintf(stderr, "jitter POLICY.onnx [HZ] [SECONDS] [PRIORITY] [CPU]\n"), 2;
  const auto number = [&](int i, double otherwise) { return argc > i ? std::atof(argv[i]) : otherwise; };
  const double hz = number(2, 1000), seconds = number(3, 10);
  const int priority = static_cast<int>(number(4, 80)), cpu = static_cast<int>(number(5, -1));
  if (!(hz >= 1 && hz <= 20000 && seconds > 0 && seconds <= 1e6))
    return std::fprintf(stderr, "HZ is 1 to 20000, SECONDS above 0\n"), 2;

  const efferent::Policy policy(argv[1]);
  efferent::Session session(policy);
  std::vector<float> observation(session.observation_count()), action(session.action_count());
  if (observation.empty()) return std::fprintf(stderr, "%s\n", policy.step_refusal().c_str()), 1;

  // mlockall holds what is there and what comes: weights and arena too, so that `locked` of the options is not needed
  get(mlockall(MCL_CURRENT | MCL_FUTURE) == 0, "locked memory", "ulimit -l unlimited");
  touch_stack();
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpu), &set);
    get(sched_setaffinity(0, sizeof set, &set) == 0, "CPU of its own", "the number must be one of nproc");
  }
  const sched_param wanted{priority};
  get(sched_setscheduler(0, SCHED_FIFO, &wanted) == 0, "SCHED_FIFO", "ulimit -r 99, or CAP_SYS_NICE");

  const auto period = static_cast<std::int64_t>(1e9 / hz);
  Histogram wake, step;
  long missed = 0;
  eff_status status = EFF_OK;
  const std::int64_t begin = now_ns();
  for (std::int64_t next = begin + period; next - begin <= static_cast<std::int64_t>(seconds * 1e9); next += period) {
    session.prewarm();  // in the idle part of the period: the step after the pause finds its weights in the caches
    if (now_ns() > next) missed++;
    const timespec at{next / 1'000'000'000, next % 1'000'000'000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr) == EINTR) {}
    const std::int64_t woken = now_ns();
    wake.add(woken - next);
    status = session.step(1, observation, action);  // on a robot: read the sensors before, write the action after
    step.add(now_ns() - woken);
    if (status < 0) break;
  }
  if (status < 0) return std::fprintf(stderr, "%s\n", session.explain().c_str()), 1;
  wake.print("wake-ups, late by");
  step.print("steps");
  std::printf("%ld periods of %.3f ms, %ld missed\n", step.total, 1e3 / hz, missed);
} catch (const std::exception &e) {
  return std::fprintf(stderr, "%s\n", e.what()), 1;
}
