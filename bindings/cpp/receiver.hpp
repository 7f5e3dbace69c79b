// The receiver for C++17: the plant's side of a bridge without the runtime, over receiver.h. Header-only; links
// libefferent_receiver.a and libzmq, or for unix and shm libefferent_receiver_local.a alone.
//
//   efferent::Receiver receiver({"tcp://127.0.0.1:5555", 48 * sizeof(float), 12 * sizeof(float)});
//   receiver.start();                          // or poll() in a loop of one's own
//   receiver.post(observation);                // [RT], as reset and latest
//   if (auto age = receiver.latest(action); age && *age < 50ms) apply(action); else hold();
#ifndef EFFERENT_RECEIVER_HPP
#define EFFERENT_RECEIVER_HPP

#include "receiver.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

namespace efferent {

// How to connect; the fields are those of eff_receiver_options. 0: its default.
struct ReceiverOptions {
  std::string endpoint = "tcp://127.0.0.1:5555";
  std::size_t observation_size = 0, action_size = 0;  // bytes
  std::int32_t rows = 1, aux = 0;
  std::uint64_t policy = 0, schema = 0;
  std::int32_t retry_ms = 0, timeout_ms = 0, lost_ms = 0, ttl_ms = 0, checksum = 0;
  void *context = nullptr;  // kept: zmq_ctx_new()
  std::string server_key, secret_key, key_file;
};

// What a receiver throws; status() is an EFF_E_...
class ReceiverError : public std::runtime_error {
 public:
  ReceiverError(eff_status status, const std::string &what) : std::runtime_error(what), status_(status) {}
  eff_status status() const noexcept { return status_; }

 private:
  eff_status status_;
};

// The link to a bridge. post, latest and reset belong to one thread, poll to one (the same, or that of start).
class Receiver {
 public:
  explicit Receiver(const ReceiverOptions &options) {
    eff_receiver_options lent;
    eff_receiver_options_default(&lent, sizeof lent);
    lent.endpoint = options.endpoint.c_str();
    lent.observation_size = options.observation_size, lent.action_size = options.action_size;
    lent.rows = options.rows, lent.aux = options.aux;
    lent.policy = options.policy, lent.schema = options.schema;
    lent.retry_ms = options.retry_ms, lent.timeout_ms = options.timeout_ms, lent.lost_ms = options.lost_ms;
    lent.ttl_ms = options.ttl_ms, lent.checksum = options.checksum;
    lent.context = options.context;
    if (!options.server_key.empty()) lent.server_key = options.server_key.c_str();
    if (!options.secret_key.empty()) lent.secret_key = options.secret_key.c_str();
    if (!options.key_file.empty()) lent.key_file = options.key_file.c_str();
    eff_receiver *made = nullptr;
    check(eff_receiver_create(&lent, &made));
    handle_.reset(made);
  }
  Receiver(Receiver &&) = delete;  // its thread knows it
  ~Receiver() { stop(); }

  eff_receiver *get() const noexcept { return handle_.get(); }

  // Sends and receives what is due, and waits for one thing to happen: EFF_RECEIVER_... Throws what the library
  // refused, which is tried again.
  std::int32_t poll(std::chrono::milliseconds timeout) {
    std::int32_t kind = EFF_RECEIVER_NONE;
    check(eff_receiver_poll(get(), static_cast<std::int32_t>(timeout.count()), &kind));
    return kind;
  }

  // Polls on a thread of its own until stop. `on_event` gets what happened, and what was refused as a negative kind
  // with its words; it must not throw.
  using Callback = std::function<void(std::int32_t kind, const char *refusal)>;
  void start(Callback on_event = {}) {
    if (thread_.joinable()) throw ReceiverError(EFF_E_STATE, "the receiver's thread runs already");
    ending_ = false;
    thread_ = std::thread([this, on_event = std::move(on_event)] {
      while (!ending_) {
        std::int32_t kind = EFF_RECEIVER_NONE;
        const eff_status status = eff_receiver_poll(get(), 50, &kind);
        if (on_event && (status != EFF_OK || kind != EFF_RECEIVER_NONE)) {
          on_event(status != EFF_OK ? status : kind, status != EFF_OK ? eff_receiver_last_error() : "");
        }
      }
    });
  }
  void stop() {
    ending_ = true;
    if (thread_.joinable()) thread_.join();
  }

  // [RT] Hands over the newest observation, any contiguous container.
  template <class Observation>
  void post(const Observation &observation) {
    const std::size_t size = observation.size() * sizeof(*observation.data());
    check_size(eff_receiver_post(get(), observation.data(), size), "observation");
  }

  // [RT] Copies the newest action and returns the age of the observation that it answers; nothing before the first of
  // this episode.
  template <class Action>
  std::optional<std::chrono::nanoseconds> latest(Action &action) {
    std::uint64_t age = 0;
    const eff_status status = eff_receiver_latest(get(), action.data(), action.size() * sizeof(*action.data()), &age);
    if (status == EFF_E_STATE) return std::nullopt;
    check_size(status, "action");
    return std::chrono::nanoseconds(static_cast<std::int64_t>(age));
  }

  // [RT] Begins an episode.
  void reset() noexcept { eff_receiver_reset(get()); }

  // [RT]
  eff_receiver_stats stats() const noexcept {
    eff_receiver_stats stats{};
    stats.struct_size = sizeof stats;
    eff_receiver_read_stats(get(), &stats);
    return stats;
  }

 private:
  static void check(eff_status status) {
    if (status != EFF_OK) throw ReceiverError(status, eff_receiver_last_error());
  }
  static void check_size(eff_status status, const char *what) {
    if (status != EFF_OK) throw ReceiverError(status, std::string(what) + ": not of the size in the options");
  }

  struct Destroy {
    void operator()(eff_receiver *receiver) const noexcept { eff_receiver_destroy(receiver); }
  };
  std::unique_ptr<eff_receiver, Destroy> handle_;
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

}  // namespace efferent

#endif
