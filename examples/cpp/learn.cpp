// A policy that learns while it acts, from nothing: a cart of 1 kg is to stand at 0, pushed by at most 1 N.
//
//     learn [PRESET]     "stream-x" (what learners have by themselves), "intentional" or "intentional-capped"
//
// Observation: position and speed. Reward: what is lost by standing elsewhere and by pushing. 20 Hz, episodes of 10 s.
#include <efferent/learner.hpp>

#include <algorithm>
#include <array>
#include <cstdio>

int main(int count, char **arguments) try {
  eff_learner_options options = efferent::Learner::preset(count > 1 ? arguments[1] : "stream-x", 2, 1);
  options.seed = 1;
  options.snapshots = 4;  // kept for a roll-back, where the return collapses
  efferent::Learner learner(options);

  const double period = 0.05;
  std::array<double, 2> cart{1, 0};  // m, m/s
  std::array<double, 1> force{};     // N
  double sum = 0;
  eff_update told{};
  for (int step = 1; step <= 40000; step++) {
    learner.act(cart, force);
    // what is not possible is cut off here; the learner knows what it asked for
    const double push = std::clamp(force[0], -1.0, 1.0);
    cart[1] += period * push;
    cart[0] = std::clamp(cart[0] + period * cart[1], -3.0, 3.0);
    const double reward = -(cart[0] * cart[0] + 0.1 * push * push);
    const bool is_over = step % 200 == 0;
    // broken off, not ended: the critic stands in for what would have followed
    told = learner.update(cart, reward, false, is_over);
    if (is_over) cart = {1, 0};
    sum += reward;
    if (step % 4000 == 0) {
      std::printf("step %5d: reward %.3f, standard deviation %.2f, roll-backs %d\n", step, sum / 4000, told.exploration,
                  int(told.rollbacks));
      sum = 0;
    }
  }
  learner.export_policy("cart.onnx");  // for efferent::Policy, onnxruntime, or to go on from
  return 0;
} catch (const efferent::Error &error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
