// Efferent for C++17: a policy that keeps learning, over learner.h. Header-only.
//
//   auto options = efferent::Learner::adapt(policy);                  // or Learner::defaults(observations, actions)
//   efferent::Learner learner(options);
//   learner.act(observation, action);                                 // std::vector<double>, std::array, double[]
//   auto told = learner.update(next_observation, reward, terminated); // telemetry
//
// The options are those of learner.h. [RT] as in efferent.hpp. One caller at a time.
#ifndef EFFERENT_LEARNER_HPP
#define EFFERENT_LEARNER_HPP

#include "efferent.hpp"
#include "learner.h"

namespace efferent {

class Learner {
 public:
  // Options for fresh networks.
  static eff_learner_options defaults(std::size_t observation_count, std::size_t action_count,
                                      std::int32_t algorithm = EFF_LEARNER_AC_CONTINUOUS) {
    check_version();
    eff_learner_options options;
    eff_learner_options_default(&options, sizeof options);
    options.observation_count = observation_count, options.action_count = action_count, options.algorithm = algorithm;
    return options;
  }
  // The same with a learning rule by its name, such as "intentional-capped".
  static eff_learner_options preset(const std::string &name, std::size_t observation_count, std::size_t action_count,
                                    std::int32_t algorithm = EFF_LEARNER_AC_CONTINUOUS) {
    eff_learner_options options = defaults(observation_count, action_count, algorithm);
    check(eff_learner_options_preset(&options, name.c_str()));
    return options;
  }
  // Options for a policy that was trained elsewhere, loaded with PolicyOptions::learnable; it must live until the
  // learner is made.
  static eff_learner_options adapt(const Policy &policy) {
    eff_learner_options options;
    check(eff_learner_options_adapt(&options, sizeof options, policy.get()));
    return options;
  }
  // The same with a critic that was trained elsewhere, so that no warm-up is needed.
  static eff_learner_options adapt(const Policy &policy, const Policy &critic) {
    eff_learner_options options = adapt(policy);
    options.critic = critic.get();
    check(eff_learner_options_preset(&options, "adapted"));
    return options;
  }

  // What a reward passes before it is learned from, for eff_learner_options::rewards; it must live until the learner is
  // made.
  static eff_reward_options rewards() {
    check_version();
    eff_reward_options options;
    eff_reward_options_default(&options, sizeof options);
    return options;
  }

  explicit Learner(const eff_learner_options &options) {
    check_version();
    check(eff_learner_create(&options, &handle_));
    eff_learner_sizes(handle_, &observation_count_, &action_count_);
  }
  Learner(Learner &&other) noexcept
      : handle_(std::exchange(other.handle_, nullptr)), observation_count_(other.observation_count_),
        action_count_(other.action_count_) {}
  Learner &operator=(Learner &&other) noexcept {
    Learner moved(std::move(other));
    std::swap(handle_, moved.handle_);
    std::swap(observation_count_, moved.observation_count_);
    std::swap(action_count_, moved.action_count_);
    return *this;
  }
  Learner(const Learner &) = delete;
  Learner &operator=(const Learner &) = delete;
  ~Learner() { eff_learner_destroy(handle_); }

  eff_learner *get() const noexcept { return handle_; }
  // Numbers of an observation, and of an action (1 for the index of a choice).
  std::size_t observation_count() const noexcept { return observation_count_; }
  std::size_t action_count() const noexcept { return action_count_; }

  // [RT] The action to take, and the one without exploration. EFF_E_NUMERIC: the observation is not finite, action is
  // the last one.
  eff_status act(span<const double> observation, span<double> action) {
    require(observation, action);
    return passed(eff_learner_act(handle_, observation.data(), action.data()), "act");
  }
  eff_status infer(span<const double> observation, span<double> action) {
    require(observation, action);
    return passed(eff_learner_infer(handle_, observation.data(), action.data()), "infer");
  }

  // [RT] The distribution of the return from an observation on, as a critic of quantiles or a categorical one has it:
  // critic_size values, ascending, in scaled rewards, and their probabilities (or an empty span).
  void returns(span<const double> observation, span<double> values, span<double> probabilities = {},
               std::size_t choice = 0) {
    require(observation, action_count_);
    if (probabilities.size() != 0 && probabilities.size() != values.size())
      throw Error(EFF_E_SHAPE, "probabilities has " + std::to_string(probabilities.size()) + " elements, expected "
                                   + std::to_string(values.size()));
    check_rt(eff_learner_returns(handle_, observation.data(), choice, values.data(),
                                 probabilities.size() != 0 ? probabilities.data() : nullptr, values.size()),
             "returns");
  }

  // [RT] Learns from what followed the last action; what is not finite is told by the reason.
  eff_update update(span<const double> observation, double reward, bool terminated = false, bool truncated = false) {
    require(observation, action_count_);
    eff_transition transition = EFF_TRANSITION_INIT;
    transition.observation = observation.data();
    transition.reward = reward, transition.terminated = terminated, transition.truncated = truncated;
    return update(transition);
  }
  eff_update update(const eff_transition &transition) {
    eff_update told{};
    told.struct_size = sizeof told;
    passed(eff_learner_update(handle_, &transition, &told), "update");
    return told;
  }

  // [RT] Keeps EFF_FREEZE_... from learning; guards.
  void freeze(std::int32_t parts) { check_rt(eff_learner_freeze(handle_, parts), "freeze"); }
  void snapshot() { check_rt(eff_learner_snapshot(handle_), "snapshot"); }
  void roll_back() { check_rt(eff_learner_roll_back(handle_), "roll_back"); }
  void mark() { check_rt(eff_learner_mark(handle_), "mark"); }

  void save(const std::string &path) const { check(eff_learner_save_file(handle_, path.c_str())); }
  void restore(const std::string &path) { check(eff_learner_restore_file(handle_, path.c_str())); }
  void export_policy(const std::string &path) { check(eff_learner_export_file(handle_, path.c_str())); }

 private:
  void require(span<const double> observation, std::size_t actions) const {
    if (observation.size() != observation_count_ || actions != action_count_)
      throw Error(EFF_E_SHAPE, "observation has " + std::to_string(observation.size()) + " elements and action "
                                   + std::to_string(actions) + ", expected " + std::to_string(observation_count_)
                                   + " and " + std::to_string(action_count_));
  }
  void require(span<const double> observation, span<double> action) const { require(observation, action.size()); }
  static eff_status passed(eff_status status, const char *what) {
    if (status != EFF_E_NUMERIC) check_rt(status, what);
    return status;
  }

  eff_learner *handle_ = nullptr;
  std::size_t observation_count_ = 0, action_count_ = 0;
};

// The reward of one step of a policy from a reward rate that is sampled faster (reward.h): add() as often as the plant
// is sampled, take() when the policy acts again. [RT]
class RewardSum {
 public:
  struct Step {
    double reward, dt;
  };

  explicit RewardSum(std::int32_t rule = EFF_SUM_SIMPSON, double gamma = 0.99, double nominal_dt = 0)
      : gamma_(gamma), nominal_dt_(nominal_dt), rule_(rule) {
    check_version();
    begin();
  }
  // Begins an episode.
  void begin() { check_rt(eff_reward_sum_begin(&sum_, rule_, gamma_, nominal_dt_), "begin"); }
  void add(double rate, double time) { check_rt(eff_reward_sum_add(&sum_, rate, time), "add"); }
  Step take() {
    Step step{};
    check_rt(eff_reward_sum_take(&sum_, &step.reward, &step.dt), "take");
    return step;
  }

 private:
  eff_reward_sum sum_{};
  double gamma_, nominal_dt_;
  std::int32_t rule_;
};

// Gives a session that another thread may step what a learner has learned. Both must outlive it.
class Publisher {
 public:
  Publisher(Learner &learner, Session &session) { check(eff_publisher_create(learner.get(), session.get(), &handle_)); }
  Publisher(Publisher &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Publisher &operator=(Publisher &&other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  Publisher(const Publisher &) = delete;
  Publisher &operator=(const Publisher &) = delete;
  ~Publisher() { eff_publisher_destroy(handle_); }

  // [RT] Offers the policy as it is now; for the learner's thread.
  void publish() { check_rt(eff_publisher_publish(handle_), "publish"); }

 private:
  eff_publisher *handle_ = nullptr;
};

}  // namespace efferent

#endif
