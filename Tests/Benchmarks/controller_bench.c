// What a controller costs beside its network, and what it does in a loop of 1 kHz beside a neighbour that burns.
//   controller_bench cost FOLDER [--rounds N]    FOLDER as make_controller.py writes it
//   controller_bench loop FOLDER [--seconds S]
// cost  Every round has three blocks of ticks: signals and ticks, the network alone, signals alone; and a control, a loop
//       of arithmetic in the first cache. Printed are medians over all rounds, and over those whose control took at
//       most a tenth more than its first percentile: a core that another machine's thread shares is slower by half for
//       seconds, and the control shows when. Ends with 1 where the difference tick - network - signals of the latter is
//       above 2 us (BAR in the environment: another bound in us).
// loop  Seconds of ticks and of a bare spin loop of equal length, in turn, both with SCHED_FIFO where that is allowed,
//       on the core of a neighbour that burns. Printed are wake-ups and ends, and late ticks: those that end after
//       their period; of these, those that were woken in time, so that they are late by what they did themselves or by
//       who took the core from them meanwhile. Ends with 1 where more ticks than spins were late though woken in time,
//       or ticks are late in more seconds than spins are, and a hundredth of all seconds.
#define _GNU_SOURCE
#include <efferent/controller.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { MOST = 64, SETS = 20 };

static eff_controller *controller;
static eff_session *session;
static char *joints[MOST];
static size_t joint_count, signal_count, sizes[MOST];
static double values[MOST][MOST], sets[SETS][MOST][MOST], targets[5][MOST];

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

// Time that this thread had a core: what other processes take from a block does not count.
static double cpu_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int compare(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double percentile(double *x, size_t n, double p) {
  qsort(x, n, sizeof *x, compare);
  const size_t k = (size_t)(p / 100 * (double)n);
  return n ? x[k < n ? k : n - 1] : 0;
}

static void need(eff_status status) {
  if (status == EFF_OK) return;
  printf("%s\n", eff_last_error());
  exit(2);
}

static void open_controller(const char *folder, const char *name) {
  char path[4096], line[256];
  snprintf(path, sizeof path, "%s/joints.txt", folder);
  FILE *f = fopen(path, "r");
  while (f && fgets(line, sizeof line, f) && joint_count < MOST) {
    line[strcspn(line, "\n")] = 0;
    joints[joint_count++] = strdup(line);
  }
  if (f) fclose(f);
  eff_policy *policy;
  eff_card *card;
  snprintf(path, sizeof path, "%s/policy.onnx", folder);
  need(eff_policy_load_file(path, NULL, &policy));
  snprintf(path, sizeof path, "%s/%s", folder, name);
  need(eff_card_load_file(path, NULL, &card));
  eff_controller_model model = {"policy", policy};
  eff_controller_options o;
  eff_controller_options_default(&o, sizeof o);
  o.joints = (const char *const *)joints, o.joint_count = joint_count, o.models = &model, o.model_count = 1;
  o.guard = EFF_GUARD_POSITION | EFF_GUARD_VELOCITY | EFF_GUARD_EFFORT | EFF_GUARD_COMMAND, o.slew_limit = 30,
  o.locked = 1;
  eff_status status = eff_controller_create(card, &o, &controller);
  if (status != EFF_OK) {
    printf("memory is not locked: %s\n", eff_last_error());
    o.locked = 0;
    need(eff_controller_create(card, &o, &controller));
  }
  eff_signal_spec spec = {.struct_size = sizeof spec};
  for (; eff_controller_signal(controller, signal_count, &spec) == EFF_OK; signal_count++) {
    sizes[signal_count] = spec.count;
    eff_signal_binding b = {.struct_size = sizeof b,
                            .name = spec.name,
                            .data = values[signal_count],
                            .count = spec.count,
                            .dtype = EFF_F64};
    b.unit = spec.unit[0] ? spec.unit : NULL;
    need(eff_controller_bind(controller, &b));
    const int quaternion = strncmp(spec.unit, "quaternion", 10) == 0;
    for (int s = 0; s < SETS; s++) {
      for (size_t i = 0; i < spec.count; i++)
        sets[s][signal_count][i] = quaternion ? i == 0 : 0.1 * (double)((s * 7 + (int)i * 5) % 13) / 13.0;
    }
  }
  for (int32_t what = 0; what < 5; what++) {
    eff_target_binding b = {
        .struct_size = sizeof b, .what = what, .dtype = EFF_F64, .data = targets[what], .count = joint_count};
    need(eff_controller_bind_target(controller, &b));
  }
  need(eff_controller_start(controller));
  session = eff_controller_session(controller, "policy");
  eff_card_release(card);
  eff_policy_release(policy);
}

static void take(int s) {
  for (size_t k = 0; k < signal_count; k++) memcpy(values[k], sets[s][k], sizes[k] * sizeof(double));
}

// The control: 20 times over 8 kB, a mix of loads, stores, sums and products.
static void control(void) {
  static double x[1024];
  double sum = 0;
  for (int k = 0; k < 20; k++) {
    for (int i = 0; i < 1024; i += 8) {
      x[i] += 1, x[i + 1] *= 1.01, sum += x[i + 2], x[i + 4] += sum, x[i + 6] += 2;
    }
    __asm__ volatile("" : : "g"(x), "x"(sum) : "memory");
  }
}

typedef struct {
  double tick, network, rest, control;
} round_times;

// Medians over the rounds whose control took at most `most` us. The difference, or infinity where there is none.
static double print_medians(const char *which, const round_times *all, size_t n, double most) {
  double *tick = calloc(n, sizeof *tick), *network = calloc(n, sizeof *network), *rest = calloc(n, sizeof *rest);
  size_t k = 0;
  for (size_t r = 0; r < n; r++) {
    if (all[r].control > most) continue;
    tick[k] = all[r].tick, network[k] = all[r].network, rest[k++] = all[r].rest;
  }
  const double difference = k ? percentile(rest, k, 50) : 1e300;
  printf("%s, %zu: tick %.2f us, network alone %.2f us, difference %.2f us (10 %% to 90 %%: %.2f to %.2f)\n", which, k,
         percentile(tick, k, 50), percentile(network, k, 50), difference, percentile(rest, k, 10),
         percentile(rest, k, 90));
  free(tick), free(network), free(rest);
  return difference;
}

static int cost(int rounds) {
  const size_t n = (size_t)rounds;
  round_times *all = calloc(n, sizeof *all);
  double *controls = calloc(n, sizeof *controls);
  int64_t ns = 0;
  int bad = 0;
  for (int r = -20; r < rounds; r++) { // the first ones warm up
    const double a = cpu_us();
    for (int s = 0; s < SETS; s++) {
      take(s);
      (void)eff_controller_stamp(controller, -1, ns += 20000000);
      bad += eff_controller_tick(controller, ns, NULL) != EFF_OK;
    }
    const double b = cpu_us();
    for (int s = 0; s < SETS; s++) bad += eff_session_run(session, 1) != EFF_OK;
    const double c = cpu_us();
    for (int s = 0; s < SETS; s++) {
      take(s);
      __asm__ volatile("" ::: "memory");
    }
    const double d = cpu_us();
    control();
    const double e = cpu_us();
    if (r < 0) continue;
    const double tick = (b - a - (d - c)) / SETS, network = (c - b) / SETS;
    all[r] = (round_times){tick, network, tick - network, e - d}, controls[r] = e - d;
  }
  const double bar = getenv("BAR") ? atof(getenv("BAR")) : 2.0;
  const double fast = percentile(controls, n, 1), usual = percentile(controls, n, 50);
  printf("%zu joints, rounds of %d ticks, %d ticks failed; the control takes %.2f us at best, %.2f in the median\n",
         joint_count, SETS, bad, fast, usual);
  (void)print_medians("all rounds", all, n, 1e300);
  const double difference = print_medians("rounds with a core of their own", all, n, 1.1 * fast);
  printf("bar %.2f us: %s\n", bar, difference <= bar ? "met" : "missed");
  free(all), free(controls);
  return bad != 0 || difference > bar;
}

static atomic_int ends;

static void *burn(void *unused) {
  (void)unused;
  volatile double x = 1;
  while (!atomic_load_explicit(&ends, memory_order_relaxed)) {
    for (int i = 0; i < 1000; i++) x = x * 1.0000001 + 1e-9;
  }
  return NULL;
}

static int is_fifo(int on) {
  struct sched_param p = {.sched_priority = on ? 80 : 0};
  return pthread_setschedparam(pthread_self(), on ? SCHED_FIFO : SCHED_OTHER, &p) == 0;
}

typedef struct {
  double *wakes, *ends;
  size_t count;
  long late, late_seconds, late_though_woken, failed;
} side;

// One second at 1 kHz: a tick, or a spin of `length` us.
static void second(side *s, double length, double work, int64_t *ns, int index) {
  const double period = 1000, start = now_us() + 2000;
  long late = 0;
  for (int k = 0; k < 1000; k++) {
    const double due = start + k * period;
    struct timespec t = {(time_t)(due / 1e6), (long)((due - 1e6 * (double)(time_t)(due / 1e6)) * 1e3)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0) {}
    const double woken = now_us();
    if (length < 0) {
      take((k + index) % SETS);
      *ns += 1000000;
      (void)eff_controller_stamp(controller, -1, *ns);
      s->failed += eff_controller_tick(controller, *ns, NULL) != EFF_OK;
    } else {
      while (now_us() < woken + length) {}
    }
    const double end = now_us();
    s->wakes[s->count] = woken - due, s->ends[s->count++] = end - due;
    late += end - due > period;
    // what the scheduler or the host took is told apart from what the tick took itself
    s->late_though_woken += end - due > period && woken - due < period - work;
  }
  s->late += late, s->late_seconds += late > 0;
}

static int loop(int seconds) {
  side ticks = {0}, spins = {0};
  const size_t room = (size_t)seconds * 1000;
  ticks.wakes = calloc(room, sizeof(double)), ticks.ends = calloc(room, sizeof(double));
  spins.wakes = calloc(room, sizeof(double)), spins.ends = calloc(room, sizeof(double));
  // their pages are there before the loop
  for (size_t i = 0; i < room; i++) ticks.wakes[i] = ticks.ends[i] = spins.wakes[i] = spins.ends[i] = 1;
  double length[400];
  int64_t ns = 0;
  for (int i = 0; i < 400; i++) {
    take(i % SETS);
    (void)eff_controller_stamp(controller, -1, ns += 1000000);
    const double from = now_us();
    (void)eff_controller_tick(controller, ns, NULL);
    length[i] = now_us() - from;
  }
  const double work = percentile(length, 400, 97); // a tick with a run of the network: one in twenty
  const int core = sched_getcpu();
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  (void)sched_setaffinity(0, sizeof set, &set);
  pthread_t neighbour;
  pthread_create(&neighbour, NULL, burn, NULL); // inherits the core
  (void)mlockall(MCL_CURRENT | MCL_FUTURE);
  const int fifo = is_fifo(1);
  for (int s = 0; s < seconds; s++) {
    second(&ticks, -1, work, &ns, s);
    second(&spins, work, work, &ns, s);
  }
  is_fifo(0);
  atomic_store(&ends, 1);
  pthread_join(neighbour, NULL);
  printf("%s, core %d, a neighbour burns there; %d s of each at 1 kHz, in turn\n",
         fifo ? "SCHED_FIFO 80" : "SCHED_OTHER (FIFO is not allowed here)", core, seconds);
  const char *const names[2] = {"ticks", "spins"};
  side *const sides[2] = {&ticks, &spins};
  for (int i = 0; i < 2; i++) {
    side *s = sides[i];
    const double wake = percentile(s->wakes, s->count, 50), late_wake = percentile(s->wakes, s->count, 99.9);
    const double end = percentile(s->ends, s->count, 50), late_end = percentile(s->ends, s->count, 99.9);
    printf("%s: late %ld of %zu, in %ld of %d s, of these woken in time %ld; failed %ld; woken after %.1f us p50, %.1f "
           "p99.9; ended after %.1f p50, %.1f p99.9, %.1f at most\n",
           names[i], s->late, s->count, s->late_seconds, seconds, s->late_though_woken, s->failed, wake, late_wake, end,
           late_end, s->ends[s->count - 1]);
  }
  printf("a tick that runs its network takes %.1f us, a spin as long\n", work);
  return ticks.failed != 0 || ticks.late_though_woken > spins.late_though_woken ||
         ticks.late_seconds > spins.late_seconds + (seconds + 99) / 100;
}

int main(int count, char **arguments) {
  int rounds = 20001, seconds = 60;
  for (int i = 3; i + 1 < count; i += 2) {
    if (strcmp(arguments[i], "--rounds") == 0) rounds = atoi(arguments[i + 1]);
    else if (strcmp(arguments[i], "--seconds") == 0) seconds = atoi(arguments[i + 1]);
    else return printf("unknown option %s\n", arguments[i]), 2;
  }
  if (count < 3 || rounds < 1 || seconds < 1)
    return printf("controller_bench cost FOLDER [--rounds N] | loop FOLDER [--seconds S]\n"), 2;
  const int loops = strcmp(arguments[1], "loop") == 0;
  open_controller(arguments[2], loops ? "loop.json" : "card.json");
  const int status = loops ? loop(seconds) : cost(rounds);
  eff_controller_destroy(controller);
  return status;
}
