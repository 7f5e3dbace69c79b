// Hostile frames through every way to a bridge: from the connected plant, from strangers, and in forms that the way
// itself must refuse (parts, cut streams, wrong lengths, words of shared memory that no plant writes).
//
//   frames [--frames COUNT] [--seed SEED] FILE.onnx [tcp|ipc|inproc|unix|shm]...
//
// COUNT frames that the bridge handled for each way, each way in a process of its own. What must hold: nothing crashes;
// every answer is a frame of the protocol; after every 2,000 frames a plant that says HELLO gets actions that are
// bit-identical to those in process; the bridge's counters are those of its events. Ends with "N passed, N failed", a
// way each. FILE.onnx: one f32 observation, one f32 action, recurrent state where it has some.
#include <efferent/bridge.h>

#include <arpa/inet.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#define _Static_assert static_assert
#include "../../examples/plants/efferent_frame.h"
#include "../../examples/plants/efferent_local.h"

extern "C" const char *__asan_default_options() { return "handle_abort=2:detect_leaks=1"; }

namespace {

using Bytes = std::vector<uint8_t>;

constexpr int peers = 3, spacing = 2000;
std::mt19937_64 source;

uint64_t below(uint64_t n) { return n ? source() % n : 0; }
bool one_in(uint64_t n) { return below(n) == 0; }

[[noreturn]] void fail(const std::string &what) {
  printf("FAIL %s (%s)\n", what.c_str(), eff_last_error());
  fflush(stdout);
  _exit(1);
}
void demand(bool condition, const char *what) {
  if (!condition) fail(what);
}

// ---- the bridge, polled by this thread ----

eff_bridge *bridge;
uint64_t kinds[8], handled;

// Handles what is there; waits up to `milliseconds` for the first frame.
void pump(int milliseconds = 0) {
  while (true) {
    eff_bridge_event event = {};
    event.struct_size = sizeof event;
    if (eff_bridge_poll(bridge, milliseconds, &event) != EFF_OK) fail("poll");
    if (event.kind == EFF_BRIDGE_NONE) return;
    milliseconds = 0;
  }
}

// One poll may have more events than the one that it returns: what was passed over behind a frame.
void count(void *, const eff_bridge_event *event) {
  kinds[event->kind]++;
  handled += event->kind != EFF_BRIDGE_IDLE;
}

// ---- ways ----

// A connection of a plant.
struct Way {
  virtual ~Way() = default;
  virtual bool open() = 0;                       // a fresh connection
  virtual bool send(const Bytes &frame) = 0;     // false where it was not taken
  virtual bool disturb(const Bytes &frame) = 0;  // the frame in a form that the way does not have
  virtual long receive(Bytes &answer) = 0;       // size; 0: none; negative: the connection ended
  virtual void wait(int) {}                      // for an answer, at most so many milliseconds
};

struct ZeroMQ : Way {
  void *context, *socket = nullptr;
  std::string endpoint;
  ZeroMQ(void *context, std::string endpoint) : context(context), endpoint(std::move(endpoint)) {}
  ~ZeroMQ() override {
    if (socket) zmq_close(socket);
  }
  bool open() override {
    if (socket) zmq_close(socket);
    int zero = 0, retry = 1, queue = 16;
    socket = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &retry, sizeof retry);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &queue, sizeof queue);
    return zmq_connect(socket, endpoint.c_str()) == 0;
  }
  bool send(const Bytes &frame) override { return zmq_send(socket, frame.data(), frame.size(), ZMQ_DONTWAIT) >= 0; }
  bool disturb(const Bytes &frame) override {
    const uint64_t parts = 1 + below(4), first = below(3);
    if (first == 0 && zmq_send(socket, "", 0, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0) return false;
    if (first == 1 && one_in(20)) {  // longer than any that is received: it ends the connection
      const Bytes huge(1 << 21, 7);
      return zmq_send(socket, huge.data(), huge.size(), ZMQ_DONTWAIT) >= 0;
    }
    for (uint64_t i = 1; i < parts; i++) {
      const size_t size = below(frame.size() + 1);
      if (zmq_send(socket, frame.data(), size, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 && i == 1 && first != 0) return false;
    }
    return zmq_send(socket, frame.data(), one_in(4) ? 0 : frame.size(), ZMQ_DONTWAIT) >= 0;
  }
  void wait(int milliseconds) override {
    zmq_pollitem_t item = {socket, 0, ZMQ_POLLIN, 0};
    zmq_poll(&item, 1, milliseconds);
  }
  long receive(Bytes &answer) override {
    while (true) {
      const int count = zmq_recv(socket, answer.data(), answer.size(), ZMQ_DONTWAIT);
      if (count < 0) return 0;
      int more = 0;
      size_t size = sizeof more;
      zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size);
      if (count > 0 || !more) return count;  // an empty part stands before the answer to a REQ
    }
  }
};

struct Local : Way {
  efl_link link{};
  std::string endpoint;
  std::thread scribbler;  // writes into the frames of shared memory while the bridge reads them
  std::atomic<bool> ends{false};
  explicit Local(std::string endpoint) : endpoint(std::move(endpoint)) { link.socket = -1; }
  ~Local() override { close(); }
  void rest() {
    ends = true;
    if (scribbler.joinable()) scribbler.join();
    ends = false;
  }
  void close() {
    rest();
    efl_close(&link);
  }
  bool open() override {
    close();
    return efl_connect(&link, endpoint.c_str()) == 0;
  }
  // Whether the stream took all of it; a part of a frame is as good here as another.
  bool write(const void *bytes, size_t size) {
    return ::send(link.socket, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
  }
  bool post(const Bytes &frame) {
    size_t limit = 0;
    void *place = efl_frame(&link, &limit);
    if (!place || frame.size() > limit) return false;
    memcpy(place, frame.data(), frame.size());
    return efl_publish(&link, frame.size()) == 0 || write("\0\0\0", 4);
  }
  bool send(const Bytes &frame) override {
    if (link.memory && frame.size() >= 64 && frame[5] != EFB_HELLO && !one_in(16) && post(frame)) return true;
    const uint32_t length = (uint32_t)frame.size();
    Bytes whole(4 + frame.size());
    memcpy(whole.data(), &length, 4);
    if (!frame.empty()) memcpy(whole.data() + 4, frame.data(), frame.size());
    if (!one_in(8)) return write(whole.data(), whole.size());
    for (size_t at = 0; at < whole.size();) {  // in pieces
      const size_t size = std::min<size_t>(1 + below(200), whole.size() - at);
      if (!write(whole.data() + at, size)) return false;
      at += size;
      pump();
    }
    return true;
  }
  bool disturb(const Bytes &frame) override {
    if (link.memory && !one_in(3)) {
      auto *const line = (uint32_t *)&efl_head_of(&link)->plant;
      const uint32_t room = (uint32_t)link.request_size, any = (uint32_t)source();
      const uint32_t values[] = {0, 1, 3, 4, 5, 0xFFFFFFFF, 0x80000000, room, any};
      for (uint64_t n = 1 + below(3); n > 0; n--)
        __atomic_store_n(line + below(12), values[below(sizeof values / sizeof *values)], __ATOMIC_RELEASE);
      if (one_in(2)) __atomic_store_n(line, link.posted + (uint32_t)below(6), __ATOMIC_RELEASE);
      return write("\0\0\0", 4);
    }
    const uint32_t near = (uint32_t)(frame.size() + below(9) - 4);
    const uint32_t lengths[] = {0, 1, 63, 64, near, 1 << 20, 0xFFFFFFFF, (uint32_t)source()};
    const uint32_t length = lengths[below(sizeof lengths / sizeof *lengths)];
    const bool sent = write(&length, one_in(8) ? 1 + below(3) : 4) && write(frame.data(), frame.size());
    if (one_in(8)) shutdown(link.socket, SHUT_WR);
    return sent;
  }
  // Has the frames of shared memory change under the bridge's eyes, until `rest`.
  void scribble() {
    if (scribbler.joinable() || !link.memory) return;
    scribbler = std::thread([this, memory = link.memory, slot = link.request_size] {
      for (uint64_t x = 88172645463325252ull; !ends;) {
        for (int i = 0; i < 64; i++) {
          x ^= x << 13, x ^= x >> 7, x ^= x << 17;
          // the first bytes of a slot hold the small policy's frames
          const size_t at = (x >> 8) % EFL_SLOTS * slot + (x >> 20) % 128;
          __atomic_store_n(memory + EFL_PAGE + at, (uint8_t)x, __ATOMIC_RELAXED);
        }
        std::this_thread::yield();
      }
    });
  }
  long receive(Bytes &answer) override {
    // WELCOME may map another memory in place of the one that the scribbler knows
    rest();
    const long size = efl_sleep(&link, answer.data(), answer.size(), POLLIN, 0);
    return size == EFL_SIGNAL ? 0 : size;
  }
};

// ---- plants ----

struct Plant {
  std::unique_ptr<Way> way;
  uint64_t session = 0, seq = 0;
  uint32_t episode = 0;
  Bytes answer = Bytes(1 << 16), last;
  efb_header header{};  // of the newest answer

  // Takes every answer that is there; false where the connection ended.
  bool drain() {
    long size;
    while ((size = way->receive(answer)) > 0) check((size_t)size);
    return size == 0;
  }

  void check(size_t size) {
    demand(size >= sizeof header && efb_read(answer.data(), size, 0, &header), "an answer is no frame");
    demand(header.type == EFB_WELCOME || header.type == EFB_ACK || header.type >= EFB_ACT, "an answer of another type");
    if (header.type == EFB_WELCOME) session = header.session, episode = 0;
    if (header.type == EFB_WELCOME) demand(session != 0 && size > sizeof header, "WELCOME without a session");
    if (header.type == EFB_ACK) episode = header.episode;
    if (header.type == EFB_ERR) {
      efb_error e;
      demand(size > sizeof header + sizeof e, "ERR without words");
      memcpy(&e, answer.data() + sizeof header, sizeof e);
      demand(e.reason >= 1 && e.reason <= 14, "ERR without a reason");
    }
  }
};

Bytes frame_of(Plant &p, uint8_t type, const Bytes &body, uint16_t flags = 0) {
  Bytes out(sizeof(efb_header) + body.size());
  if (!body.empty()) memcpy(out.data() + sizeof(efb_header), body.data(), body.size());
  efb_header h{};
  h.type = type, h.flags = flags, h.seq = ++p.seq, h.monotonic_ns = efl_now();
  h.session = type == EFB_HELLO ? 0 : p.session;
  h.episode = p.episode + (type == EFB_RESET ? 1 : 0);
  efb_write(out.data(), out.size(), h, 0);
  return out;
}

Bytes fixed_hello() {
  efb_hello h{};
  h.oldest = h.newest = EFB_VERSION, h.options = EFB_NO_CHECKSUM, h.rows = 1;
  Bytes body(sizeof h);
  memcpy(body.data(), &h, sizeof h);
  return body;
}

Bytes packed_hello() {
  static const char text[] =
      "\x86\xA7version\x92\x02\x02\xA8" "checksum\xA4none\xA4rows\x01\xA3" "aux\xC2\xA4" "boot\xA0\xA6inputs\x91\x83"
      "\xA4name\xA3obs\xA5" "dtype\xA3" "f32\xA5shape\x91\x03";
  return Bytes(text, text + sizeof text - 1);
}

// A frame of a plant, right in its parts or not.
Bytes hostile(Plant &p, size_t step_size) {
  const uint64_t kind = below(16);
  Bytes body;
  uint16_t flags = 0;
  uint8_t type = EFB_STEP;
  if (kind == 0) type = EFB_HELLO, body = fixed_hello(), flags = EFB_FIXED;
  else if (kind == 1) type = EFB_HELLO, body = packed_hello();
  else if (kind == 2) type = EFB_RESET;
  else if (kind == 3) type = EFB_RESET, body = Bytes(1, 1);
  else if (kind == 4 && one_in(8)) type = EFB_BYE;
  else if (kind == 5) type = (uint8_t)source();
  if (type == EFB_STEP) {
    body.resize(step_size - sizeof(efb_header));
    for (size_t i = 0; i + 4 <= body.size(); i += 4) {
      const float x = (float)below(1000) / 500 - 1;
      memcpy(body.data() + i, &x, 4);
    }
  }
  if (one_in(32)) p.seq--;  // the number of the frame before
  Bytes f = frame_of(p, type, body, flags);
  const uint64_t damage = below(8);
  if (damage == 0) {
    // a field of the header
    static const struct {
      uint8_t at, size;
    } fields[] = {{0, 4},  {4, 1},  {5, 1},  {6, 2},  {8, 4},  {12, 4}, {16, 8},
                  {24, 8}, {32, 8}, {40, 8}, {48, 8}, {56, 4}, {60, 4}};
    static const uint64_t values[] = {
        0,      1,          2,          3,          0x7F,      0x80,       0xFF,       0x100,
        0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, INT64_MAX, UINT64_MAX, 1ull << 63,
    };
    const auto field = fields[below(sizeof fields / sizeof *fields)];
    const uint64_t value = one_in(3) ? source() : values[below(sizeof values / sizeof *values)];
    memcpy(f.data() + field.at, &value, field.size);
  } else if (damage == 1) {
    for (uint64_t n = 1 + below(4); n > 0; n--) f[below(f.size())] ^= (uint8_t)(1 << below(8));
  } else if (damage == 2) {
    for (uint64_t n = 1 + below(8); n > 0 && f.size() > 64; n--) f[64 + below(f.size() - 64)] = (uint8_t)source();
  } else if (damage == 3 && one_in(2)) {
    f.resize(below(f.size() + 1));
  } else if (damage == 4 && one_in(2)) {
    f.resize(f.size() + 1 + below(one_in(8) ? 40000 : 300), (uint8_t)source());
  } else if (damage == 5 && one_in(4)) {
    f.resize(below(200));
    for (auto &b : f) b = (uint8_t)source();
  } else if (damage == 6 && f.size() > 80 && type == EFB_HELLO) {
    const size_t at = 64 + below(f.size() - 64);  // a piece of the map twice
    const Bytes piece(f.begin() + (long)at, f.begin() + (long)std::min(at + 1 + below(16), f.size()));
    f.insert(f.begin() + (long)(64 + below(f.size() - 64)), piece.begin(), piece.end());
  }
  return f;
}

// ---- a way ----

struct Run {
  const std::string scheme;
  eff_session *session = nullptr, *twin = nullptr;
  void *context = nullptr;
  size_t seen = 0, done = 0;
  std::vector<Plant> plants = std::vector<Plant>(peers);
  uint64_t sent = 0, cut = 0, checkpoints = 0;

  bool is_local() const { return scheme == "unix" || scheme == "shm"; }

  void connect(Plant &p) {
    const std::string endpoint = eff_bridge_endpoint(bridge);
    if (!p.way) {
      if (is_local()) p.way = std::make_unique<Local>(endpoint);
      else p.way = std::make_unique<ZeroMQ>(context, endpoint);
    }
    p.session = 0, p.episode = 0;
    for (int i = 0; i < 1000; i++, pump(1))
      if (p.way->open()) return;
    fail("the bridge lets nobody in");
  }

  // Sends a frame of the protocol and waits for its answer.
  bool ask(Plant &p, uint8_t type, const Bytes &body, uint8_t wanted, uint16_t flags = 0) {
    const Bytes f = frame_of(p, type, body, flags);
    for (int tries = 0; tries < 200; tries++) {
      if (tries == 0 || (tries % 20 == 0 && !is_local()))
        if (!p.way->send(f) && is_local()) return false;
      for (int i = 0; i < 5; i++) {
        pump(i == 0 ? 0 : 1);
        for (long size; (size = p.way->receive(p.answer)) != 0;) {
          if (size < 0) return false;
          p.check((size_t)size);
          if (p.header.ref_seq == p.seq && p.header.type == wanted) return true;
          if (p.header.ref_seq == p.seq && p.header.type == EFB_ERR) return false;
        }
      }
    }
    return false;
  }

  // A plant that keeps to the protocol gets what a session in this process gives.
  void checkpoint() {
    Plant &p = plants[0];
    const auto began = std::chrono::steady_clock::now();
    for (size_t i = 1; i < plants.size(); i++) connect(plants[i]);
    while (true) {
      connect(p);
      if (ask(p, EFB_HELLO, fixed_hello(), EFB_WELCOME, EFB_FIXED)) break;
      if (std::chrono::steady_clock::now() - began > std::chrono::seconds(20)) fail("a plant is not let in");
      pump(5);
    }
    demand(ask(p, EFB_RESET, {}, EFB_ACK), "RESET is not answered");
    demand(eff_session_reset(twin, 0) == EFF_OK, "reset of the twin");
    std::vector<float> observation(seen), action(done);
    for (int i = 0; i < 3; i++) {
      for (auto &x : observation) x = (float)below(1000) / 500 - 1;
      Bytes body(4 * seen);
      memcpy(body.data(), observation.data(), body.size());
      demand(ask(p, EFB_STEP, body, EFB_ACT), "STEP is not answered");
      demand(eff_session_step(twin, 1, observation.data(), action.data()) == EFF_OK, "step of the twin");
      const uint8_t *found = p.answer.data() + sizeof(efb_header);
      demand(memcmp(found, action.data(), 4 * done) == 0, "another action than in process");
    }
    checkpoints++;
  }

  // Bytes of no protocol, where libzmq listens.
  void knock() {
    const std::string endpoint = eff_bridge_endpoint(bridge);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET, to.sin_port = htons((uint16_t)atoi(endpoint.c_str() + endpoint.rfind(':') + 1));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    uint8_t noise[200];
    for (auto &b : noise) b = (uint8_t)source();
    if (one_in(2)) memcpy(noise, "\xFF\0\0\0\0\0\0\0\x01\x7F\x03", 11);  // the greeting's beginning
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    if (::connect(fd, (sockaddr *)&to, sizeof to) == 0) ::send(fd, noise, below(sizeof noise), flags);
    close(fd);
  }

  void go(uint64_t frames) {
    for (auto &p : plants) connect(p);
    checkpoint();
    for (uint64_t next = spacing; handled < frames;) {
      Plant &p = plants[one_in(4) ? below(peers) : 0];
      // the same bytes again are a repetition
      if (!one_in(32) || p.last.empty()) p.last = hostile(p, sizeof(efb_header) + 4 * seen);
      const Bytes &f = p.last;
      if (scheme == "shm" && one_in(50)) static_cast<Local *>(p.way.get())->scribble();
      const bool went = one_in(50) ? p.way->disturb(f) : p.way->send(f);
      sent += went;
      // over sockets of ZeroMQ a frame in eight waits for its answer: else all are a backlog
      const bool waits = went && !is_local() && one_in(8);
      pump(waits || !went ? 1 : 0);
      if (waits) p.way->wait(1);
      // what the bridge has cut comes again; strangers that got in leave soon
      const bool leaves = one_in(1000) || (&p != &plants[0] && p.session != 0 && one_in(20));
      if (leaves && !is_local()) pump(1);
      if (!p.drain() || leaves) connect(p), cut++;
      if (scheme == "tcp" && one_in(5000)) knock();
      if (handled < next) continue;
      next += spacing;
      if (!is_local()) pump(2);
      checkpoint();
    }
    if (!is_local()) pump(50);
    eff_bridge_stats stats = {};
    stats.struct_size = sizeof stats;
    if (eff_bridge_read_stats(bridge, &stats) != EFF_OK) fail("stats");
    demand(stats.steps == kinds[EFF_BRIDGE_STEP], "steps are not counted as they are told");
    demand(stats.resets == kinds[EFF_BRIDGE_RESET], "resets are not counted as they are told");
    demand(stats.drops == kinds[EFF_BRIDGE_DROP], "refusals are not counted as they are told");
    const auto number = [](uint64_t value) { return (unsigned long long)value; };
    printf("%-6s %8llu frames sent, %8llu handled: %llu steps, %llu resets, %llu hellos, %llu repeated, %llu refused; "
           "%llu connections cut or left, %llu plants in between were served\n",
           scheme.c_str(), number(sent), number(handled), number(kinds[EFF_BRIDGE_STEP]),
           number(kinds[EFF_BRIDGE_RESET]), number(kinds[EFF_BRIDGE_HELLO]), number(kinds[EFF_BRIDGE_RETRY]),
           number(kinds[EFF_BRIDGE_DROP]), number(cut), number(checkpoints));
    printf("       refused by reason:");
    for (int i = 1; i < EFF_BRIDGE_REASONS; i++) printf(" %llu", number(stats.dropped[i]));
    printf("\n");
  }
};

void serve(const std::string &scheme, const char *file, uint64_t frames, uint64_t seed) {
  source.seed(seed);
  eff_policy *policy = nullptr;
  eff_tensor_spec in = {}, out = {};
  in.struct_size = out.struct_size = sizeof in;
  Run run{scheme};
  if (eff_policy_load_file(file, nullptr, &policy) != EFF_OK || eff_policy_input(policy, 0, &in) != EFF_OK
      || eff_policy_output(policy, 0, &out) != EFF_OK || eff_session_create(policy, nullptr, &run.session) != EFF_OK
      || eff_session_create(policy, nullptr, &run.twin) != EFF_OK)
    fail(file);
  run.seen = in.count, run.done = out.count;
  const std::string name = "@efferent-frames-" + std::to_string(getpid());
  std::string endpoint = scheme + (scheme == "ipc" ? "://" : ":") + name;
  if (scheme == "tcp") endpoint = "tcp://127.0.0.1:*";
  if (scheme == "inproc") endpoint = "inproc://frames";
  eff_bridge_options options;
  eff_bridge_options_default(&options, sizeof options);
  options.endpoint = endpoint.c_str(), options.idle_timeout_ms = 30, options.spin_us = -1, options.checksum = 1;
  options.on_event = count;
  if (!run.is_local()) run.context = zmq_ctx_new();
  if (scheme == "inproc") options.context = run.context;
  if (eff_bridge_create(run.session, &options, &bridge) != EFF_OK) fail(endpoint);
  run.go(frames);
  run.plants.clear();
  eff_bridge_destroy(bridge);
  if (run.context) zmq_ctx_term(run.context);
  eff_session_destroy(run.session);
  eff_session_destroy(run.twin);
  eff_policy_release(policy);
}

}  // namespace

int main(int argc, char **argv) {
  uint64_t frames = 20000, seed = 1;
  const char *file = nullptr;
  std::vector<std::string> schemes;
  for (int i = 1; i < argc; i++) {
    const std::string a = argv[i];
    if (a == "--frames" && i + 1 < argc) frames = strtoull(argv[++i], nullptr, 10);
    else if (a == "--seed" && i + 1 < argc) seed = strtoull(argv[++i], nullptr, 10);
    else if (!file) file = argv[i];
    else schemes.push_back(a);
  }
  if (!file) return printf("usage: frames [--frames COUNT] [--seed SEED] FILE.onnx [tcp|ipc|inproc|unix|shm]...\n"), 2;
  if (schemes.empty()) schemes = {"tcp", "ipc", "inproc", "unix", "shm"};
  int passed = 0, failed = 0;
  for (const auto &scheme : schemes) {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      serve(scheme, file, frames, seed);
      exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    const bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!good) printf("FAIL %s: status %#x\n", scheme.c_str(), (unsigned)status);
    good ? passed++ : failed++;
  }
  printf("%d passed, %d failed\n", passed, failed);
  return failed != 0;
}
