// The bridge for C++17: a session served over ZeroMQ, over bridge.h. Header-only; only with libraries that have the
// bridge.
//
//   efferent::Bridge bridge(session, {"tcp://127.0.0.1:5555"});
//   bridge.start();                           // or poll() in a loop
#ifndef EFFERENT_BRIDGE_HPP
#define EFFERENT_BRIDGE_HPP

#include "bridge.h"
#include "controller.hpp"
#include "efferent.hpp"
#include "learner.hpp"

#include <chrono>
#include <functional>
#include <memory>

namespace efferent {

// How to serve; the fields are those of eff_bridge_options.
struct BridgeOptions {
  std::string endpoint = "tcp://127.0.0.1:*";
  std::int32_t idle_timeout_ms = 0, high_water = 0;
  double rate = 0;
  void *context = nullptr;  // kept: zmq_ctx_new()
  std::vector<std::string> observation_names, joint_names;
  std::int32_t checksum = 0, non_finite = 0, max_peers = 0;
  std::int32_t thread_policy = EFF_BRIDGE_THREAD_INHERITED, thread_priority = 0;
  std::vector<std::int32_t> thread_cpus;
  std::string thread_name;
  bool allow_remote = false;  // with keys
  std::string key_file, secret_key, allow_file;
  std::vector<std::string> allowed_keys;
  std::int32_t spin_us = 0;
  std::function<void(const eff_bridge_event &)> on_event;  // on the thread that polls; it must not throw
};

// Serves a session, which must outlive it and has no other bridge (EFF_E_STATE).
class Bridge {
 public:
  explicit Bridge(Session &session, BridgeOptions options = {})
      : Bridge(session.get(), eff_bridge_create, std::move(options)) {}

  // The same for a learner: eff_bridge_create_learner says what its frames carry.
  explicit Bridge(Learner &learner, BridgeOptions options = {})
      : Bridge(learner.get(), eff_bridge_create_learner, std::move(options)) {}

  // The same for a controller: raw signals in, targets out (eff_bridge_create_controller).
  explicit Bridge(Controller &controller, BridgeOptions options = {})
      : Bridge(controller.get(), eff_bridge_create_controller, std::move(options)) {}

  eff_bridge *get() const noexcept { return handle_.get(); }
  std::string endpoint() const { return eff_bridge_endpoint(get()); }  // the address that was really bound

  // Waits for one frame and handles it; an event of kind EFF_BRIDGE_NONE where nothing came. Negative: without limit.
  eff_bridge_event poll(std::chrono::milliseconds timeout = std::chrono::milliseconds(-1)) {
    eff_bridge_event event{};
    event.struct_size = sizeof event;
    check(eff_bridge_poll(get(), static_cast<std::int32_t>(timeout.count()), &event));
    return event;
  }
  void start() { check(eff_bridge_start(get())); }
  void stop() { check(eff_bridge_stop(get())); }

  eff_bridge_stats stats() const {
    eff_bridge_stats stats{};
    stats.struct_size = sizeof stats;
    check(eff_bridge_read_stats(get(), &stats));
    return stats;
  }

 private:
  using Callback = std::function<void(const eff_bridge_event &)>;

  template <class Served>
  Bridge(Served *served, eff_status (*create)(Served *, const eff_bridge_options *, eff_bridge **),
         BridgeOptions options)
      : on_event_(std::make_unique<Callback>(std::move(options.on_event))) {
    std::vector<const char *> observations, joints, keys;
    for (auto &k : options.allowed_keys) keys.push_back(k.c_str());
    for (auto &n : options.observation_names) observations.push_back(n.c_str());
    for (auto &n : options.joint_names) joints.push_back(n.c_str());
    eff_bridge_options lent;
    eff_bridge_options_default(&lent, sizeof lent);
    lent.endpoint = options.endpoint.c_str();
    if (options.idle_timeout_ms) lent.idle_timeout_ms = options.idle_timeout_ms;
    if (options.high_water) lent.high_water = options.high_water;
    lent.rate = options.rate;
    lent.context = options.context;
    lent.checksum = options.checksum, lent.non_finite = options.non_finite;
    if (options.max_peers) lent.max_peers = options.max_peers;
    lent.thread_policy = options.thread_policy, lent.thread_priority = options.thread_priority;
    lent.thread_cpus = options.thread_cpus.data(), lent.thread_cpu_count = options.thread_cpus.size();
    lent.spin_us = options.spin_us;
    if (!options.thread_name.empty()) lent.thread_name = options.thread_name.c_str();
    lent.allow_remote = options.allow_remote;
    if (!options.key_file.empty()) lent.key_file = options.key_file.c_str();
    if (!options.secret_key.empty()) lent.secret_key = options.secret_key.c_str();
    if (!options.allow_file.empty()) lent.allow_file = options.allow_file.c_str();
    lent.allowed_keys = keys.data(), lent.allowed_key_count = keys.size();
    lent.observation_names = observations.data(), lent.observation_count = observations.size();
    lent.joint_names = joints.data(), lent.joint_count = joints.size();
    if (*on_event_) {
      lent.user = on_event_.get();
      lent.on_event = [](void *user, const eff_bridge_event *event) { (*static_cast<Callback *>(user))(*event); };
    }
    eff_bridge *made = nullptr;
    check(create(served, &lent, &made));
    handle_.reset(made);
  }

  struct Destroy {
    void operator()(eff_bridge *bridge) const noexcept { eff_bridge_destroy(bridge); }
  };
  std::unique_ptr<Callback> on_event_;  // before the handle: destroyed after it
  std::unique_ptr<eff_bridge, Destroy> handle_;
};

}  // namespace efferent

#endif
