// The fallback ladder on the robot's side of a link for C++17, over ladder.h. Header-only; links
// libefferent_receiver.a or libefferent_receiver_local.a.
//
//   efferent::Ladder ladder(12, {{EFF_MODE_HOLD, 0.1s}, {EFF_MODE_DAMP, 0s, {}, kd}}, 50ms);
//   auto age = receiver.latest(targets);          // [RT]; the arrays of an ACT
//   auto mode = ladder.update(now, age, measured, {position, nullptr, nullptr, kp, kd});   // [RT]
#ifndef EFFERENT_LADDER_HPP
#define EFFERENT_LADDER_HPP

#include "ladder.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

namespace efferent {

// One step of a ladder; gains of all joints, or none: as they are.
struct LadderStep {
  std::int32_t mode = EFF_MODE_DAMP;  // EFF_MODE_HOLD, RAMP, DAMP or ZERO
  std::chrono::duration<double> length{0};
  std::vector<double> kp, kd;
};

// What moves a robot while its controller is not heard.
class Ladder {
 public:
  Ladder(std::size_t joints, const std::vector<LadderStep> &steps, std::chrono::duration<double> age_limit,
         std::chrono::duration<double> blend = std::chrono::milliseconds(200), const std::vector<double> &pose = {}) {
    std::vector<eff_ladder_step> lent;
    auto of = [joints](const std::vector<double> &v) -> const double * {
      if (v.empty()) return nullptr;
      if (v.size() != joints) throw std::invalid_argument("ladder: gains and pose have one number for each joint");
      return v.data();
    };
    for (const auto &s : steps) lent.push_back({s.mode, 0, s.length.count(), of(s.kp), of(s.kd)});
    eff_ladder_options options{sizeof options, joints,        lent.data(),      lent.size(),
                               of(pose),       blend.count(), age_limit.count()};
    eff_ladder *made = nullptr;
    const eff_status status = eff_ladder_create(&options, &made);
    if (status == EFF_E_MEMORY) throw std::bad_alloc();
    if (status != EFF_OK) throw std::invalid_argument("ladder: a step, a time or the number of joints is out of range");
    handle_.reset(made);
  }

  // [RT] Writes the targets of this period over those of the controller; who moves the robot: EFF_MODE_... `age` is
  // that of the newest targets, nothing where none have come.
  std::int32_t update(std::chrono::nanoseconds now, std::optional<std::chrono::nanoseconds> age,
                      const double *measured_or_null, eff_ladder_targets targets,
                      std::int32_t controller_mode = EFF_MODE_RUN) noexcept {
    const std::uint64_t old = age ? static_cast<std::uint64_t>(age->count()) : UINT64_MAX;
    return eff_ladder_update(handle_.get(), now.count(), old, controller_mode, measured_or_null, &targets);
  }

 private:
  struct Destroy {
    void operator()(eff_ladder *ladder) const noexcept { eff_ladder_destroy(ladder); }
  };
  std::unique_ptr<eff_ladder, Destroy> handle_;
};

}  // namespace efferent

#endif
