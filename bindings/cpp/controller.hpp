// Efferent's controller for C++17: a policy, its card and its robot, over controller.h. Header-only.
//
//   efferent::Controller c(card, options);                       // eff_card *, from card.h
//   c.bind("joint.position", positions, "rad");                  // std::vector<double>, float[], ...: read every tick
//   c.bind(EFF_TARGET_POSITION, targets);
//   c.start();
//   for (;;) c.tick(now_ns);                                     // [RT]
//
// A refused tick returns its report; the fallback is written.
#ifndef EFFERENT_CONTROLLER_HPP
#define EFFERENT_CONTROLLER_HPP

#include "controller.h"
#include "efferent.hpp"

#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace efferent {

// How to make a controller; the fields are those of eff_controller_options.
struct ControllerOptions {
  std::vector<std::string> joints;
  std::vector<std::pair<std::string, eff_policy *>> models;
  double control_period = 0, stale_limit = 0, roll_limit = 0, pitch_limit = 0, slew_limit = 0, deadline = 0;
  double blend_seconds = 0.2, ramp_seconds = 0;
  std::int32_t guard = 0;
  std::vector<eff_fallback_step> fallback;
  std::vector<eff_motion_track> motion;
  std::uint64_t seed = 0;
  bool locked = false;
  const eff_allocator *allocator = nullptr;
  std::vector<std::string> recordings;
  std::int32_t on_mismatch = EFF_PREFLIGHT_REFUSE;
  eff_learner *learner = nullptr;  // acts in the place of a network; must outlive the controller
  std::string learner_model;       // "": the only one
};

class Controller {
 public:
  Controller(const eff_card *card, const ControllerOptions &given) {
    eff_controller_options o;
    eff_controller_options_default(&o, sizeof o);
    std::vector<const char *> joints;
    for (const auto &j : given.joints) joints.push_back(j.c_str());
    std::vector<eff_controller_model> models;
    for (const auto &m : given.models) models.push_back({m.first.c_str(), m.second});
    o.joints = joints.data(), o.joint_count = joints.size();
    o.models = models.data(), o.model_count = models.size();
    o.control_period = given.control_period, o.stale_limit = given.stale_limit;
    o.roll_limit = given.roll_limit, o.pitch_limit = given.pitch_limit, o.slew_limit = given.slew_limit,
    o.deadline = given.deadline;
    o.blend_seconds = given.blend_seconds, o.ramp_seconds = given.ramp_seconds, o.guard = given.guard;
    o.fallback = given.fallback.data(), o.fallback_count = given.fallback.size();
    o.motion = given.motion.data(), o.motion_count = given.motion.size();
    std::vector<const char *> recordings;
    for (const auto &r : given.recordings) recordings.push_back(r.c_str());
    o.recordings = recordings.data(), o.recording_count = recordings.size(), o.on_mismatch = given.on_mismatch;
    o.learner = given.learner, o.learner_model = given.learner_model.empty() ? nullptr : given.learner_model.c_str();
    o.seed = given.seed, o.locked = given.locked, o.allocator = given.allocator;
    check(eff_controller_create(card, &o, &handle_));
  }
  Controller(Controller &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Controller &operator=(Controller &&other) noexcept {
    if (this != &other) eff_controller_destroy(handle_), handle_ = std::exchange(other.handle_, nullptr);
    return *this;
  }
  Controller(const Controller &) = delete;
  Controller &operator=(const Controller &) = delete;
  ~Controller() { eff_controller_destroy(handle_); }

  eff_controller *get() const noexcept { return handle_; }

  // The raw signals that the card needs, in the order of reports.
  std::vector<eff_signal_spec> signals() const {
    std::vector<eff_signal_spec> all;
    for (;;) {
      eff_signal_spec spec{};
      spec.struct_size = sizeof spec;
      if (eff_controller_signal(handle_, all.size(), &spec) < 0) return all;
      all.push_back(spec);
    }
  }

  // Binds a signal to memory that stays where it is: std::vector, std::array, an array.
  template <class C>
  void bind(const char *name, C &values, const char *unit) {
    span<std::remove_pointer_t<decltype(std::data(values))>> s(values);
    bind(name, s.data(), s.size(), unit);
  }
  // Element i is at data + i * stride bytes; 0: dense.
  template <class T> void bind(const char *name, const T *data, std::size_t count, const char *unit,
                               std::ptrdiff_t stride = 0, const char *layout = nullptr) {
    eff_signal_binding b{};
    b.struct_size = sizeof b;
    b.name = name, b.data = data, b.count = count, b.stride = stride, b.unit = unit, b.layout = layout;
    b.dtype = type<std::remove_cv_t<T>>();
    check(eff_controller_bind(handle_, &b));
  }
  void bind(const eff_signal_binding &b) { check(eff_controller_bind(handle_, &b)); }

  // Binds targets of one kind (EFF_TARGET_...), one per joint of the robot.
  template <class C>
  void bind(std::int32_t what, C &values) {
    span<std::remove_pointer_t<decltype(std::data(values))>> s(values);
    bind(what, s.data(), s.size());
  }
  template <class T>
  void bind(std::int32_t what, T *data, std::size_t count, std::ptrdiff_t stride = 0) {
    eff_target_binding b{};
    b.struct_size = sizeof b;
    b.what = what, b.data = data, b.count = count, b.stride = stride, b.dtype = type<T>();
    check(eff_controller_bind_target(handle_, &b));
  }
  void bind(const eff_target_binding &b) { check(eff_controller_bind_target(handle_, &b)); }

  bool commands(std::int32_t what) const noexcept { return eff_controller_commands(handle_, what) != 0; }
  // Throws where a signal is not bound or a recording of the card or of the options is not met.
  void start() { check(eff_controller_start(handle_)); }

  // Runs a recording through a twin. Throws where it does not fit; `differs` tells whether all is as recorded, `what`
  // the first thing that is not.
  eff_preflight_report preflight(const eff_recording &recording) const {
    eff_preflight_report r{};
    r.struct_size = sizeof r;
    const eff_status status = eff_controller_preflight(handle_, &recording, &r);
    if (!r.differs) check(status);
    return r;
  }
  eff_preflight_report preflight(const std::string &path) const {
    eff_recording recording{};
    recording.struct_size = sizeof recording;
    recording.path = path.c_str();
    return preflight(recording);
  }

  // [RT] One control period. A refused tick is not an exception: its status is in the report, and the fallback's
  // targets are written.
  eff_controller_report tick(std::int64_t now_ns) noexcept {
    eff_controller_report r{};
    r.struct_size = sizeof r;
    r.status = eff_controller_tick(handle_, now_ns, &r);
    return r;
  }
  // [RT]
  void reset() noexcept { eff_controller_reset(handle_); }
  // [RT]
  void mode(std::int32_t mode) { check_rt(eff_controller_mode(handle_, mode), "mode"); }
  // [RT] -1: all signals.
  void stamp(std::int64_t signal, std::int64_t ns) { check_rt(eff_controller_stamp(handle_, signal, ns), "stamp"); }

  // [RT] What followed the last run of the network for which the learner stands.
  void reward(double reward, bool terminated = false, bool truncated = false) {
    eff_transition t = EFF_TRANSITION_INIT;
    t.reward = reward, t.terminated = terminated, t.truncated = truncated;
    check_rt(eff_controller_reward(handle_, &t), "reward");
  }
  // [RT] The last update. Throws where nothing was learned yet.
  eff_update learned() const {
    eff_update u{};
    u.struct_size = sizeof u;
    const eff_status status = eff_controller_learned(handle_, &u);
    if (status != EFF_E_NUMERIC) check_rt(status, "learned");
    return u;
  }

  std::string explain(const eff_controller_report &report) const {
    char text[512];
    check(eff_controller_explain(handle_, &report, text, sizeof text));
    return text;
  }

  // [RT] An observation as the last run saw it; empty for a bad name.
  span<const float> vector(const char *name) const noexcept {
    std::size_t count = 0;
    const float *values = eff_controller_vector(handle_, name, &count);
    return {values, values ? count : 0};
  }

 private:
  template <class T>
  static constexpr std::int32_t type() {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, bool>
                      || std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::int32_t>
                      || std::is_same_v<T, std::int64_t>,
                  "float, double, bool, uint8_t, int32_t or int64_t");
    if constexpr (std::is_same_v<T, float>) return EFF_F32;
    else if constexpr (std::is_same_v<T, double>) return EFF_F64;
    else if constexpr (std::is_same_v<T, bool>) return EFF_BOOL;
    else if constexpr (std::is_same_v<T, std::uint8_t>) return EFF_U8;
    else if constexpr (std::is_same_v<T, std::int32_t>) return EFF_I32;
    else return EFF_I64;
  }

  eff_controller *handle_ = nullptr;
};

}  // namespace efferent

#endif
