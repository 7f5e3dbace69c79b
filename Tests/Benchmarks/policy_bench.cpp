// Times whole policies: Efferent, onnxruntime and fixed-size Eigen, in turn, in one process, through C and C++ APIs.
//   policy_bench --efferent LIB [--onnxruntime LIB] [--openvino LIB] [--csv FILE] [--rounds N] [--batch-nets FOLDER]
//                [--shape FILE.onnx]... [--shape-rows N] MODE... FILE.onnx...
// MODE: hot checks precision periodic batch threads load shapes. policies.sh builds and runs all of it.
//   policy_bench --efferent LIB [--onnxruntime LIB] --first FILE.onnx
// prints the microseconds of this process's first session, of onnxruntime where it is given.
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <sched.h>
#include <signal.h>
#include <thread>
#include <atomic>

#include "measure.h"
#include "contenders.h"
#include "openvino_api.h"
#include "controls.h"
#include "system_calls.h"

static eff_api eff;
static ort_api ort;
static openvino_api vino;
static FILE *csv = nullptr;
static int rounds = 301;

static std::string stem(const std::string &path) {
  std::string s = path.substr(path.rfind('/') + 1);
  return s.substr(0, s.rfind('.'));
}

static const std::vector<double> &times(const engine &e) { return e.slices.size() ? e.slices : e.singles; }
static double p50(const engine &e) { return percentile(times(e), 50); }

// Median over rounds of what `e` took to what `to` took in the same round, so that a machine that changes its speed
// between rounds does not count; of their medians where they did not run in turn; 0: no `to`.
static double ratio(const engine &e, const engine *to) {
  if (!to) return 0;
  const std::vector<double> &mine = times(e), &theirs = times(*to);
  if (mine.size() != theirs.size()) return p50(e) / p50(*to);
  std::vector<double> each;
  for (size_t i = 0; i < mine.size(); i++) each.push_back(mine[i] / theirs[i]);
  return percentile(each, 50);
}

static void record(const char *mode, const std::string &net, const engine &e, const engine *floor, const engine *peer,
                   long rows = 1) {
  if (csv)
    fprintf(csv, "%s,%s,%s,%ld,%.4f,%.4f,%.4f,%.3f,%.3f,%g,%g\n", mode, net.c_str(), e.name.c_str(), rows, p50(e),
            percentile(e.singles, 99), percentile(e.singles, 99.9), ratio(e, floor), ratio(e, peer), e.allocations,
            e.system_calls);
}

// `rounds` rounds, fewer of long nets
static void interleave_within(std::vector<engine> &all) {
  double begin = cpu_us();
  for (auto &x : all) x.step();
  double once = cpu_us() - begin;
  interleave(all, std::max(31, std::min(rounds, (int)(rounds * 600 / once))), once > 2000 ? 3 : 24);
}

// ---- hot: everything in cache, one thread ----

static void hot(const std::string &path) {
  eff_run e(eff, path.c_str());
  if (!e) return;
  ort_run o(ort, path.c_str(), e);
  auto info = e.info();
  std::vector<engine> all;
  stream_control stream(info.parameter_count * 4);
  all.push_back({"stream", [&] { stream.step(); }, {}, {}, {}});
  all.push_back({"fma", [&] { multiply_add(info.multiply_adds); }, {}, {}, {}});
  all.push_back({"efferent", [&] { e.step(); }, {}, {}, {}});
  if (o) all.push_back({"onnxruntime", [&] { o.step(); }, {}, {}, {}});
  openvino_run v(vino, path.c_str(), e);
  if (v) all.push_back({"openvino", [&] { v.step(); }, {}, {}, {}});
  std::vector<float> twin(64);
  if (auto step = eigen_step(path, e.observation.data(), twin.data())) all.push_back({"eigen", step, {}, {}, {}});
  double off = o ? difference(e, o) : -1, eigen_off = 0;
  if (all.back().name == "eigen") {
    all.back().step();
    e.step();
    for (size_t i = 0; i < e.action.size(); i++) eigen_off = std::max(eigen_off, (double)fabsf(e.action[i] - twin[i]));
  }
  {  // a loop as long as Efferent's step shows the tail of the machine itself
    std::vector<double> t;
    for (int i = 0; i < 301; i++) {
      double begin = now_us();
      spin(100000);
      t.push_back(now_us() - begin);
    }
    double per_turn = percentile(t, 50) / 100000;
    t.clear();
    for (int i = 0; i < 51; i++) {
      uint64_t begin = stamp::read();
      e.step();
      t.push_back(ticks().us(begin, stamp::read()));
    }
    int64_t turns = (int64_t)(percentile(t, 50) / per_turn);
    all.push_back({"spin", [turns] { spin(turns); }, {}, {}, {}});
  }
  interleave_within(all);
  for (auto &x : all) {
    if (x.name != "efferent" && x.name != "onnxruntime") continue;
    count_allocations(x);
    x.system_calls = count_system_calls(x.step);
  }
  std::map<std::string, const engine *> by;
  for (auto &x : all) by[x.name] = &x;
  engine floor = {"floor", {}, {}, {}, {}};
  for (size_t i = 0; i < by["stream"]->slices.size(); i++)
    floor.slices.push_back(std::max(by["stream"]->slices[i], by["fma"]->slices[i]));
  for (auto &x : all) record("hot", stem(path), x, &floor, o ? by["onnxruntime"] : nullptr);
  auto &f = *by["efferent"];
  printf("%-30s %9.3f %9.3f %5.2f", stem(path).c_str(), p50(floor), p50(f), ratio(f, &floor));
  auto beside = [&](const char *name, int width, int ratio_width, int digits) {
    if (by.count(name)) printf(" %*.3f %*.*f", width, p50(*by[name]), ratio_width, digits, ratio(f, by[name]));
    else printf(" %*s %*s", width, "-", ratio_width, "-");
  };
  beside("onnxruntime", 10, 6, 3), beside("eigen", 9, 5, 2), beside("openvino", 9, 5, 2);
  printf(" %9.3f %9.3f %6.2f", percentile(f.singles, 99), percentile(f.singles, 99.9),
         percentile(f.singles, 99.9) / percentile(by["spin"]->singles, 99.9));
  printf(" %3g/%-3g", f.allocations, o ? by["onnxruntime"]->allocations : -1);
  printf(" %3g/%-3g", f.system_calls, o ? by["onnxruntime"]->system_calls : -1);
  printf(" %4zu/%-4zu %.0e", info.op_count, info.node_count, std::max(off, eigen_off));
  printf("\n");
  fflush(stdout);
}

// ---- checks: what it costs that observation and action are looked at for NaN and infinity ----

static void checks(const std::string &path) {
  // four sessions of each: where their memory lies costs as much as what is measured
  std::vector<std::unique_ptr<eff_run>> runs;
  std::vector<engine> all;
  for (int i = 0; i < 8; i++) {
    const bool looks = (i & 1) != (i >> 1 & 1);
    runs.push_back(std::make_unique<eff_run>(eff, path.c_str(), 1, EFF_F32,
                                             looks ? EFF_NON_FINITE_REFUSE : EFF_NON_FINITE_PASS));
    eff_run *run = runs.back().get();
    if (!*run || !run->is_simple) return;
    all.push_back({looks ? "refuse" : "pass", [run] { run->step(); }, {}, {}, {}});
  }
  interleave_within(all);
  double time[2] = {0, 0};
  for (auto &x : all) time[x.name == "refuse"] += p50(x) / 4;
  for (auto &x : all) record("checks", stem(path), x, nullptr, nullptr);
  printf("%-30s pass %9.3f us  refuse %9.3f us  difference %7.1f ns\n", stem(path).c_str(), time[0], time[1],
         (time[1] - time[0]) * 1e3);
  fflush(stdout);
}

// ---- periodic: one step every 5 to 15 ms while a neighbour on the same core uses the caches ----
// The caller has just written the observation. After prewarm its own loop is warm as well; hot is the third of three
// steps in a row.

static pid_t neighbour() {
  pid_t child = fork();
  if (child) return child;
  const size_t size = 48 << 20;
  char *memory = (char *)malloc(size);
  for (;;)
    for (size_t i = 0; i < size; i += 64) memory[i]++;
}

static void periodic(const std::string &path) {
  eff_run e(eff, path.c_str()), half(eff, path.c_str(), 1, EFF_BF16), quarter(eff, path.c_str(), 1, EFF_I8);
  if (!e || !half || !quarter) return;
  ort_run o(ort, path.c_str(), e);
  std::vector<engine> all;
  stream_control stream(e.info().weight_bytes);
  all.push_back({"efferent", [&] { e.step(); }, [&] { e.observe(); }, {}, {}});
  all.push_back({"stream", [&] { stream.step(); }, {}, {}, {}});
  all.push_back({"efferent, prewarmed",
                 [&] { e.step(); },
                 [&] { eff.eff_session_prewarm(e.session), e.observe(), e.refused(all[2].step); },
                 {},
                 {}});
  if (o) all.push_back({"onnxruntime", [&] { o.step(); }, [&] { o.observe(); }, {}, {}});
  std::vector<float> twin(64);
  if (auto step = eigen_step(path, e.observation.data(), twin.data()))
    all.push_back({"eigen", step, [&] { e.observe(); }, {}, {}});
  // cold steps read memory: fewer bytes are the one way to be faster than the stream
  const size_t narrow = all.size();
  all.push_back({"efferent bf16", [&] { half.step(); }, [&] { half.observe(); }, {}, {}});
  all.push_back({"efferent int8", [&] { quarter.step(); }, [&] { quarter.observe(); }, {}, {}});
  const size_t hot = all.size();
  all.push_back({"efferent, hot", [&] { e.step(); }, [&] { all[hot].step(), all[hot].step(), e.observe(); }, {}, {}});
  cpu_set_t before, one, others;
  sched_getaffinity(0, sizeof before, &before);
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  CPU_XOR(&others, &before, &one);
  all.push_back({"efferent, weights touched",
                 [&] { e.step(); },
                 [&] { eff.eff_session_prewarm_weights(e.session), e.observe(); },
                 {},
                 {}});
  if (CPU_COUNT(&others))
    all.push_back({"efferent, weights touched on another CPU",
                   [&] { e.step(); },
                   [&] {
                     std::thread([&] {
                       sched_setaffinity(0, sizeof others, &others);
                       eff.eff_session_prewarm_weights(e.session);
                     }).join();
                     e.observe();
                   },
                   {},
                   {}});
  sched_setaffinity(0, sizeof one, &one);
  pid_t child = neighbour();
  std::mt19937 random(1);
  for (int i = 0; i < rounds; i++)
    for (auto &x : all) {
      timespec t = {0, (long)(5000000 + random() % 10000000)};
      nanosleep(&t, nullptr);
      if (x.before) x.before();
      uint64_t begin = stamp::read();
      x.step();
      x.singles.push_back(ticks().us(begin, stamp::read()));
    }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  sched_setaffinity(0, sizeof before, &before);
  const engine *peer = o ? &all[3] : nullptr;  // single calls, as all of this mode are
  printf("%-30s ", stem(path).c_str());
  for (auto &x : all) {
    record("periodic", stem(path), x, &all[hot], peer);
    printf("%s %8.2f  ", x.name.c_str(), p50(x));
  }
  printf("| of onnxruntime %.3f, bf16 %.3f, int8 %.3f; prewarmed / hot %.2f\n", ratio(all[0], peer),
         ratio(all[narrow], peer), ratio(all[narrow + 1], peer), ratio(all[2], &all[hot]));
  fflush(stdout);
}

// ---- batch: rows in one call ----

static void batch(const std::string &path) {
  for (size_t rows : {1, 2, 4, 8, 16, 64, 256, 1024, 4096}) {
    eff_run e(eff, path.c_str(), rows);
    if (!e) return;
    ort_run o(ort, path.c_str(), e);
    std::vector<engine> all;
    all.push_back({"efferent", [&] { e.step(); }, {}, {}, {}});
    if (o) all.push_back({"onnxruntime", [&] { o.step(); }, {}, {}, {}});
    interleave(all, rows > 256 ? 41 : rows > 16 ? 81 : 151, 1);
    double macs = (double)e.info().multiply_adds * (double)rows;
    const engine *peer = o ? &all[1] : nullptr;
    for (auto &x : all) record("batch", stem(path), x, nullptr, peer, (long)rows);
    printf("%-30s rows %5zu  efferent %10.2f us %7.1f GFLOP/s  onnxruntime %10.2f us  ratio %.3f\n", stem(path).c_str(),
           rows, p50(all[0]), 2 * macs / p50(all[0]) / 1e3, peer ? p50(*peer) : 0, ratio(all[0], peer));
    fflush(stdout);
  }
}

// ---- shapes: larger nets; one file for one row, its twin in batch/ for more ----

static std::vector<size_t> shape_rows = {1, 4, 16, 64};

static void shapes(const std::string &path) {
  const size_t slash = path.rfind('/');
  const std::string many = path.substr(0, slash) + "/batch" + path.substr(slash);
  for (size_t rows : shape_rows) {
    eff_run e(eff, rows > 1 ? many.c_str() : path.c_str(), rows);
    if (!e) return;
    ort_run o(ort, rows > 1 ? many.c_str() : path.c_str(), e);
    const double off = o ? difference(e, o) : -1;
    std::vector<engine> all;
    all.push_back({"efferent", [&] { e.step(); }, {}, {}, {}});
    if (o) all.push_back({"onnxruntime", [&] { o.step(); }, {}, {}, {}});
    const double begin = cpu_us();
    for (auto &x : all) x.step();
    const double once = cpu_us() - begin;
    if (once < 2e4) interleave(all, std::max(31, std::min(rounds, (int)(rounds * 2e3 / once))), 1);
    else  // a step empties every cache: each is warm-up enough for the next
      for (int r = std::max(7, std::min(31, (int)(6e6 / once))); r > 0; r--)
        for (auto &x : all) {
          const double from = cpu_us();
          x.step();
          x.slices.push_back(cpu_us() - from);
        }
    const engine *peer = o ? &all[1] : nullptr;
    for (auto &x : all) record("shapes", stem(path), x, nullptr, peer, (long)rows);
    const double macs = (double)e.info().multiply_adds * (double)rows;
    printf("%-16s rows %3zu  efferent %11.1f us %6.1f GFLOP/s  onnxruntime %11.1f us  ratio %.3f  difference %.0e  "
           "rounds %zu\n",
           stem(path).c_str(), rows, p50(all[0]), 2 * macs / p50(all[0]) / 1e3, peer ? p50(*peer) : 0,
           ratio(all[0], peer), off, all[0].slices.size());
    fflush(stdout);
  }
}

// ---- threads: a session each ----

// steps per second of CPU time, summed over threads that run at once: what they take from each other, not what others
// take from them
static double steps_per_second(const std::string &path, int count, double seconds) {
  std::vector<std::thread> threads;
  std::atomic<int> ready{0};
  std::atomic<bool> stop{false};
  std::vector<double> rate((size_t)count);
  for (int i = 0; i < count; i++)
    threads.emplace_back([&, i] {
      eff_run e(eff, path.c_str());
      int64_t n = 0;
      for (ready++; ready < count;) sched_yield();
      double begin = cpu_us();
      while (!stop) for (int k = 0; k < 8; k++, n++) e.step();
      rate[(size_t)i] = (double)n / (cpu_us() - begin) * 1e6;
    });
  timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&t, nullptr);
  stop = true;
  for (auto &x : threads) x.join();
  double sum = 0;
  for (double r : rate) sum += r;
  return sum;
}

static void threads(const std::string &path) {
  std::vector<double> ratios, ones;
  for (int i = 0; i < 7; i++) {
    double one = steps_per_second(path, 1, 0.2), two = steps_per_second(path, 2, 0.2);
    ones.push_back(one), ratios.push_back(two / one);
  }
  double r = percentile(ratios, 50);
  printf("%-30s one session %.0f steps/s, two %.2f of one\n", stem(path).c_str(), percentile(ones, 50), r);
  if (csv)
    fprintf(csv, "threads,%s,efferent,2,%.4f,0,0,0,%.3f,-1,-1\n", stem(path).c_str(), 1e6 / percentile(ones, 50), r);
}

// ---- load: from a file to a session that can step ----

static const char *efferent_path = nullptr, *onnxruntime_path = nullptr;

// microseconds until there is a session, which is then released
static double create_us(bool is_ours, const char *path) {
  double begin = cpu_us();
  if (!is_ours) {
    void *session = ort.session(path);
    double spent = cpu_us() - begin;
    ort.call(ort_api::release_session, session);
    return spent;
  }
  eff_policy *policy = nullptr;
  eff_session *session = nullptr;
  bool made = !eff.eff_policy_load_file(path, nullptr, &policy) && !eff.eff_session_create(policy, nullptr, &session);
  double spent = cpu_us() - begin;
  if (!made) fprintf(stderr, "efferent: %s\n", eff.eff_last_error());
  eff.eff_session_destroy(session);
  eff.eff_policy_release(policy);
  return spent;
}

// the same as the first of a fresh process, its libraries opened
static double first_us(bool is_ours, const std::string &path) {
  std::string command = "/proc/" + std::to_string(getpid()) + "/exe --efferent '" + efferent_path + "'";
  if (!is_ours) command += std::string(" --onnxruntime '") + onnxruntime_path + "'";
  FILE *child = popen((command + " --first '" + path + "'").c_str(), "r");
  double spent = -1;
  if (!child || fscanf(child, "%lf", &spent) != 1) fprintf(stderr, "no answer from %s\n", command.c_str());
  if (child) pclose(child);
  return spent;
}

static void load(const std::string &path) {
  std::vector<engine> again = {{"efferent", {}, {}, {}, {}}, {"onnxruntime", {}, {}, {}, {}}};
  std::vector<engine> first = {{"efferent, first", {}, {}, {}, {}}, {"onnxruntime, first", {}, {}, {}, {}}};
  size_t engines = ort.table ? 2 : 1;
  again.resize(engines), first.resize(engines);
  for (int i = 0; i < 104; i++)
    for (size_t j = 0; j < engines; j++) {
      double spent = create_us(j == 0, path.c_str());
      if (i >= 3) again[j].singles.push_back(spent);
    }
  for (int i = 0; i < 15; i++)
    for (size_t j = 0; j < engines; j++) first[j].singles.push_back(first_us(j == 0, path));
  printf("%-30s", stem(path).c_str());
  for (auto *all : {&again, &first}) {
    const engine *peer = engines > 1 ? &(*all)[1] : nullptr;
    for (auto &x : *all) record("load", stem(path), x, nullptr, peer);
    printf("%s efferent %9.1f us  onnxruntime %9.1f us  ratio %.3f", all == &first ? "  | first of a process:" : "",
           p50((*all)[0]), peer ? p50(*peer) : 0, ratio((*all)[0], peer));
  }
  printf("\n");
  fflush(stdout);
}

#include "precision.h"

int main(int argc, char **argv) {
  std::vector<std::string> modes, files, batch_files, shape_files;
  const char *first = nullptr;
  for (int i = 1; i < argc; i++) {
    std::string a = argv[i];
    if (a == "--efferent" && i + 1 < argc) efferent_path = argv[++i];
    else if (a == "--onnxruntime" && i + 1 < argc) {
      if (!ort.open(onnxruntime_path = argv[++i])) fprintf(stderr, "no onnxruntime at %s\n", argv[i]);
    } else if (a == "--first" && i + 1 < argc) first = argv[++i];
    else if (a == "--openvino" && i + 1 < argc) {
      if (!vino.open(argv[++i])) fprintf(stderr, "no OpenVINO at %s\n", argv[i]);
    } else if (a == "--csv" && i + 1 < argc) csv = fopen(argv[++i], "w");
    else if (a == "--rounds" && i + 1 < argc) rounds = atoi(argv[++i]);
    else if (a == "--batch" && i + 1 < argc) batch_files.push_back(argv[++i]);
    else if (a == "--shape" && i + 1 < argc) shape_files.push_back(argv[++i]);
    else if (a == "--shape-rows" && i + 1 < argc) shape_rows = {(size_t)atoi(argv[++i])};
    else if (a.size() > 5 && a.substr(a.size() - 5) == ".onnx") files.push_back(a);
    else modes.push_back(a);
  }
  if (efferent_path && eff.open(efferent_path) && first) return printf("%f\n", create_us(!ort.table, first)), 0;
  if (!eff.eff_session_create || (files.empty() && batch_files.empty() && shape_files.empty()))
    return fprintf(stderr, "usage: see the top of policy_bench.cpp\n"), 1;
  if (csv)
    fprintf(csv, "mode,net,engine,rows,p50_us,p99_us,p999_us,ratio_floor,ratio_onnxruntime,allocations,system_calls\n");
  auto wanted = [&](const char *mode) {
    return modes.empty() || std::find(modes.begin(), modes.end(), mode) != modes.end();
  };
  printf("onnxruntime %s, 1 thread; microseconds\n", ort.version);
  if (wanted("hot")) {
    printf("\nhot: floor = max(reading the weights once, multiply-adds alone); ratios are medians over rounds; p99 and "
           "p99.9 of single calls, the last over a spin loop's of equal length\n");
    printf("%-30s %9s %9s %5s %10s %6s %9s %5s %9s %5s %9s %9s %6s %7s %7s %9s %s\n", "net", "floor", "efferent", "/fl",
           "onnxrt", "/ort", "eigen", "/eig", "openvino", "/vino", "p99", "p99.9", "/spin", "allocs", "syscall",
           "ops/nodes", "difference");
    for (auto &f : files) hot(f);
  }
  auto section = [&](const char *mode, const std::vector<std::string> &list, void (*run)(const std::string &),
                     const char *title) {
    if (!wanted(mode) || list.empty()) return;
    printf("\n%s: %s\n", mode, title);
    for (auto &f : list) run(f);
  };
  section("checks", files, checks, "non_finite pass (no look) and refuse (the default): both look at lengths");
  section("precision", files, precision,
          "weights in every precision: p50 (of onnxruntime f32), largest difference to the f32 action, "
          "allocations/system calls");
  section("periodic", files, periodic,
          "p50 of one step every 5 to 15 ms, a neighbour on the same core streams through 48 MiB; stream reads as many "
          "bytes as the weights take");
  section("batch", batch_files, batch, "rows per call");
  section("shapes", shape_files, shapes,
          "rows per call; medians of rounds by turns, largest difference to onnxruntime / (1 + |onnxruntime|)");
  section("threads", files, threads, "one and two threads with a session each");
  section("load", files, load,
          "from a file to a session that can step, in a process that did so before and as its first");
  if (csv) fclose(csv);
}
