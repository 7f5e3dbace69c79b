// A recurrent policy walks a Unitree G1 in MuJoCo from its card:
//   g1 CARD.json POLICY.onnx G1.xml [FORWARD m/s] [SECONDS]
// The network runs at 50 Hz, its LSTM state is carried by the controller; the drives' PD runs at every simulation step,
// with the card's gains.
#include "simulation.hpp"

#include <efferent/card.hpp>
#include <efferent/controller.hpp>

#include <cstdio>
#include <cstdlib>

int main(int argc, char **argv) try {
  if (argc < 4) return std::fprintf(stderr, "g1 CARD.json POLICY.onnx G1.xml [FORWARD] [SECONDS]\n"), 2;
  Simulation sim(argv[3]);
  mjData *d = sim.data;
  const double seconds = argc > 5 ? std::atof(argv[5]) : 10;
  const std::size_t n = sim.joints.size();
  std::vector<double> command = {argc > 4 ? std::atof(argv[4]) : 0.5, 0, 0}, target(n), kp(n), kd(n);
  const double period = 0.02;

  const efferent::Card card(argv[1]);
  const efferent::Policy policy(argv[2]);
  efferent::ControllerOptions options;
  options.joints = sim.joints, options.models = {{"policy", policy.get()}}, options.control_period = period;
  efferent::Controller controller(card.get(), options);
  controller.bind("joint.position", d->qpos + 7, n, "rad");  // after the free joint of the base
  controller.bind("joint.velocity", d->qvel + 6, n, "rad/s");
  controller.bind("base.orientation", d->qpos + 3, 4, "quaternion", 0, "wxyz");
  controller.bind("base.angular_velocity", d->qvel + 3, 3, "rad/s");  // a free joint turns in its own frame
  controller.bind("command.velocity", command, "m/s, m/s, rad/s");
  controller.bind(EFF_TARGET_POSITION, target);
  controller.bind(EFF_TARGET_KP, kp);
  controller.bind(EFF_TARGET_KD, kd);
  controller.start();

  double sum = 0;
  int count = 0;
  while (d->time < seconds) {
    const eff_controller_report report = controller.tick(static_cast<std::int64_t>(d->time * 1e9));
    if (report.status < 0) std::fprintf(stderr, "%s\n", controller.explain(report).c_str());
    for (int i = sim.steps(period); i > 0; i--) {
      for (std::size_t j = 0; j < n; j++)
        d->ctrl[sim.actuators[j]] = kp[j] * (target[j] - d->qpos[7 + j]) - kd[j] * d->qvel[6 + j];
      mj_step(sim.model, d);
    }
    if (sim.tilt() > 1.0) return std::printf("fell at %.2f s\n", d->time), 1;
    if (d->time > 2) sum += sim.forward(), count++;
  }
  std::printf("no fall in %.1f s; command %.2f m/s, mean %.3f m/s\n", d->time, command[0], sum / count);
} catch (const std::exception &e) {
  return std::fprintf(stderr, "%s\n", e.what()), 1;
}
