// A robot that talks as Unitree's SDK does: one struct with the state of all motors comes, one with their commands
// goes, 500 times a second.
//   lowstate CARD.json POLICY.onnx MOTOR,MOTOR,... [SECONDS]
// The names are the motor table: motor i of the structs. The card is driven at 2 ms; its networks run when they are
// due. Motors are simulated here.
// On a robot, run as root or with rtprio: the loop asks for SCHED_FIFO and locked memory, and says where it does not
// get them.
#include <efferent/card.hpp>
#include <efferent/controller.hpp>

#include <sched.h>
#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

struct MotorState { float q, dq, tau_est; };
struct LowState { std::int64_t stamp_ns; float quaternion[4], gyroscope[3]; MotorState motor_state[35]; };
struct MotorCmd { float q, dq, tau, kp, kd; };
struct LowCmd { MotorCmd motor_cmd[35]; };

static std::int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1'000'000'000LL + t.tv_nsec;
}

// What the robot does between two states: every motor follows its PD, with some inertia.
static void simulate(LowState &state, const LowCmd &cmd, std::size_t motors, std::int64_t now) {
  for (std::size_t i = 0; i < motors; i++) {
    MotorState &m = state.motor_state[i];
    const MotorCmd &c = cmd.motor_cmd[i];
    m.tau_est = c.kp * (c.q - m.q) + c.kd * (c.dq - m.dq) + c.tau;
    m.dq += 0.002f * (m.tau_est - 0.5f * m.dq) / 0.2f;
    m.q += 0.002f * m.dq;
  }
  state.stamp_ns = now;
}

int main(int argc, char **argv) try {
  if (argc < 4) return std::fprintf(stderr, "lowstate CARD.json POLICY.onnx MOTOR,MOTOR,... [SECONDS]\n"), 2;
  const std::int64_t period = 2'000'000, end = static_cast<std::int64_t>((argc > 4 ? std::atof(argv[4]) : 2) * 1e9);
  efferent::ControllerOptions options;
  for (std::string names = argv[3]; !names.empty();) {
    const std::size_t comma = std::min(names.find(','), names.size());
    options.joints.push_back(names.substr(0, comma));
    names.erase(0, comma + 1);
  }
  const std::size_t n = options.joints.size();
  if (n > 35) return std::fprintf(stderr, "%zu motors, the struct has 35\n", n), 2;
  LowState state{};
  LowCmd cmd{};
  state.quaternion[0] = 1;
  std::vector<float> command = {0.3f, 0, 0};

  const efferent::Card card(argv[1]);
  const efferent::Policy policy(argv[2]);
  options.models = {{"policy", policy.get()}}, options.control_period = period * 1e-9;
  options.stale_limit = 0.05, options.locked = true;
  efferent::Controller controller(card.get(), options);
  const std::ptrdiff_t from = sizeof(MotorState), to = sizeof(MotorCmd);
  controller.bind("joint.position", &state.motor_state[0].q, n, "rad", from);
  controller.bind("joint.velocity", &state.motor_state[0].dq, n, "rad/s", from);
  controller.bind("joint.effort", &state.motor_state[0].tau_est, n, "N m", from);
  controller.bind("base.orientation", state.quaternion, 4, "quaternion", 0, "wxyz");
  controller.bind("base.angular_velocity", state.gyroscope, 3, "rad/s");
  controller.bind("command.velocity", command, "m/s, m/s, rad/s");
  controller.bind(EFF_TARGET_POSITION, &cmd.motor_cmd[0].q, n, to);
  controller.bind(EFF_TARGET_VELOCITY, &cmd.motor_cmd[0].dq, n, to);
  controller.bind(EFF_TARGET_EFFORT, &cmd.motor_cmd[0].tau, n, to);
  controller.bind(EFF_TARGET_KP, &cmd.motor_cmd[0].kp, n, to);
  controller.bind(EFF_TARGET_KD, &cmd.motor_cmd[0].kd, n, to);
  controller.start();

  const sched_param priority{80};
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) std::puts("memory is not locked: ulimit -l");
  if (sched_setscheduler(0, SCHED_FIFO, &priority) != 0) std::puts("no SCHED_FIFO: ulimit -r");
  const std::int64_t begin = now_ns();
  std::int64_t next = begin, worst = 0;
  eff_controller_report report{};
  while (next - begin < end) {
    const timespec wake{next / 1'000'000'000, next % 1'000'000'000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, nullptr);
    const std::int64_t now = now_ns();
    worst = std::max(worst, now - next);
    simulate(state, cmd, n, now);          // on a robot: the newest LowState of the subscription
    controller.stamp(-1, state.stamp_ns);  // its time, on the same clock
    report = controller.tick(now);         // a refused tick writes the fallback's targets
    // on a robot: crc, publish cmd
    next += period;
  }
  if (report.status < 0) return std::printf("%s\n", controller.explain(report).c_str()), 1;
  std::printf("%llu ticks, %llu runs of the networks, %llu late, %llu refused; the latest wake-up %.0f us\n",
              static_cast<unsigned long long>(report.ticks), static_cast<unsigned long long>(report.runs),
              static_cast<unsigned long long>(report.late), static_cast<unsigned long long>(report.refused),
              worst * 1e-3);
} catch (const std::exception &e) {
  return std::fprintf(stderr, "%s\n", e.what()), 1;
}
