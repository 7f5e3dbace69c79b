// Every prefix and many mutations of ONNX files: each must load and step, or be refused with a message that names a
// place.
//
//   hostile [--prefixes FILE] [--mutations COUNT] [--seed SEED] [--findings FOLDER] FILE...
//   hostile FILE       loads and steps one file, and says what came out
//
// Work runs in a child process, so that a crash costs one case; its file is kept in FOLDER. Ends with "N passed, N
// failed".
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iterator>
#include <vector>

#include "mutate.hpp"
#include "policy.hpp"

extern "C" const char *__asan_default_options() {
  return "handle_sigill=2:handle_sigtrap=2:handle_abort=2:allocator_may_return_null=1:detect_leaks=1:max_allocation_"
         "size_mb=2048";
}

namespace {

// seconds of processor time, under the sanitizers; the alarm stops a case after ten times as long by the clock
constexpr double slow = 4.0;

struct Shared {
  uint64_t next;  // case that runs
  uint64_t loaded, stepped, refused, bad;
  double longest;
};

struct Work {
  bool isPrefix;
  uint64_t count, seed;
  std::vector<std::string> files;

  // The bytes of a case: the same at every call.
  std::string make(uint64_t i) const {
    if (isPrefix) return files[0].substr(0, i);
    return fuzz::Mutator(seed + i)(files[i % files.size()]);
  }
};

bool contains(const std::string &text, const char *word) { return text.find(word) != std::string::npos; }

// A message is of use if it says where: a byte, a named thing, or the file as a whole.
bool namesPlace(const std::string &m) {
  for (const char *word : {"byte", "node ", "input ", "output ", "initializer ", "tensor ", "graph", "opset",
                           "the file", "this is", "the model", "layer ", "the architecture"})
    if (contains(m, word)) return m.size() >= 20;
  return false;
}

std::string keep(const Work &work, uint64_t i, const std::string &findings, const std::string &name) {
  std::string path = findings + "/" + name + "-" + std::to_string(i) + ".onnx";
  for (char &c : path) if (c == ' ') c = '_';
  std::ofstream(path, std::ios::binary) << work.make(i);
  return path;
}

void runChild(const Work &work, Shared *shared, const std::string &findings, const std::string &name) {
  for (; shared->next < work.count; shared->next++) {
    const std::string file = work.make(shared->next);
    alarm((unsigned)(10 * slow));
    const clock_t start = clock();
    const fuzz::Outcome o = fuzz::tryPolicy(file.data(), file.size());
    const double took = (double)(clock() - start) / CLOCKS_PER_SEC;
    alarm(0);
    if (took > shared->longest) shared->longest = took;
    if (o.status == EFF_OK) shared->loaded++, shared->stepped += o.stepped;
    else shared->refused++;
    if (o.status != EFF_OK && !namesPlace(o.message)) {
      shared->bad++;
      printf("case %llu: the message names no place: %s\n", (unsigned long long)shared->next, o.message.c_str());
    }
    if (took > slow) {
      shared->bad++;
      printf("case %llu: took %.1f s; kept as %s\n", (unsigned long long)shared->next, took,
             keep(work, shared->next, findings, name).c_str());
    }
    if (work.isPrefix && o.status == EFF_OK && file.size() < work.files[0].size() / 2) {
      shared->bad++;
      printf("case %llu: half a model loads\n", (unsigned long long)shared->next);
    }
  }
  fflush(stdout);
  exit(0);  // leaks are looked for here
}

// Runs all cases; returns the number of those that failed.
uint64_t run(const Work &work, const std::string &findings, const std::string &name) {
  auto *shared = (Shared *)mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  *shared = Shared{};
  const auto start = std::chrono::steady_clock::now();
  while (shared->next < work.count) {
    const uint64_t from = shared->next;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) runChild(work, shared, findings, name);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
    shared->bad++;
    if (shared->next >= work.count) {
      printf("%s: memory leaks in cases %llu to %llu\n", name.c_str(), (unsigned long long)from,
             (unsigned long long)work.count);
      break;
    }
    printf("case %llu: %s; kept as %s\n", (unsigned long long)shared->next,
           WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? "does not end" : "crashes",
           keep(work, shared->next, findings, name).c_str());
    shared->next++;
  }
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  printf("%s: %llu cases in %.1f s, longest %.2f s: %llu refused, %llu loaded, %llu of them stepped, %llu wrong\n",
         name.c_str(), (unsigned long long)work.count, took, shared->longest, (unsigned long long)shared->refused,
         (unsigned long long)shared->loaded, (unsigned long long)shared->stepped, (unsigned long long)shared->bad);
  return shared->bad;
}

std::string read(const char *path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    fprintf(stderr, "cannot read %s\n", path);
    exit(2);
  }
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

int main(int argc, char **argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  uint64_t passed = 0, failed = 0;
  uint64_t mutations = 0, seed = 1;
  std::string findings = ".";
  std::vector<std::string> files;
  std::vector<const char *> prefixes;
  for (int i = 1; i < argc; i++) {
    const std::string a = argv[i];
    const bool takesValue = a.rfind("--", 0) == 0;
    if (takesValue && i + 1 == argc) return 2;
    if (a == "--mutations") mutations = strtoull(argv[++i], nullptr, 10);
    else if (a == "--seed") seed = strtoull(argv[++i], nullptr, 10);
    else if (a == "--findings") findings = argv[++i];
    else if (a == "--prefixes") prefixes.push_back(argv[++i]);
    else files.push_back(read(argv[i]));
  }
  const auto count = [&](uint64_t cases, uint64_t bad) { failed += bad, passed += cases - std::min(bad, cases); };
  for (const char *path : prefixes) {
    const std::string file = read(path);
    const std::string name = std::string(path).substr(std::string(path).rfind('/') + 1);
    count(file.size(), run(Work{true, file.size(), 0, {file}}, findings, "prefixes of " + name));
  }
  if (!mutations && prefixes.empty() && files.size() == 1) {
    const fuzz::Outcome o = fuzz::tryPolicy(files[0].data(), files[0].size());
    printf("%s %s\n", eff_status_name(o.status),
           o.status == EFF_OK ? (o.stepped ? "stepped" : "too big for a step here") : o.message.c_str());
    return 0;
  }
  if (mutations && !files.empty())
    count(mutations, run(Work{false, mutations, seed << 32, files}, findings, "mutations"));
  printf("%llu passed, %llu failed\n", (unsigned long long)passed, (unsigned long long)failed);
  return failed != 0;
}
