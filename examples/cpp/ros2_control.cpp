// Drives EfferentController as ros2_control's manager does, with hardware of three arrays:
//   ros2_control CARD.json POLICY.onnx JOINT,JOINT,...
// Ends with 0 where the life cycle works, targets arrive and a signal that is not finite is refused with the fallback's
// targets.
#include "efferent_controller.hpp"

#include <cmath>
#include <cstdio>
#include <limits>
#include <sstream>

int main(int argc, char **argv) {
  if (argc < 4) return std::fprintf(stderr, "ros2_control CARD.json POLICY.onnx JOINT,JOINT,...\n"), 2;
  EfferentController controller;
  controller.parameters["card"].text = argv[1];
  controller.parameters["policy"].text = argv[2];
  controller.parameters["imu"].text = "imu";
  std::stringstream names(argv[3]);
  for (std::string name; std::getline(names, name, ',');) controller.parameters["joints"].list.push_back(name);

  using controller_interface::CallbackReturn;
  if (controller.on_init() != CallbackReturn::SUCCESS || controller.on_configure({}) != CallbackReturn::SUCCESS)
    return std::fprintf(stderr, "%s\n", controller.error.c_str()), 1;
  const auto states = controller.state_interface_configuration().names,
             commands = controller.command_interface_configuration().names;
  std::vector<double> state(states.size()), command(commands.size(), std::nan(""));
  for (std::size_t i = 0; i < states.size(); i++) {
    if (states[i] == "imu/orientation.w") state[i] = 1;
    controller.state_interfaces_.push_back({states[i], &state[i]});
  }
  for (std::size_t i = 0; i < commands.size(); i++)
    controller.command_interfaces_.push_back({commands[i], &command[i]});
  if (controller.on_activate({}) != CallbackReturn::SUCCESS) return std::fprintf(stderr, "interfaces are missing\n"), 1;

  int good = 0;
  rclcpp::Time time;
  for (int k = 0; k < 100; k++, time.ns += 2'000'000)
    good += controller.update(time, {2'000'000}) == controller_interface::return_type::OK;
  const double before = command[0];
  state[0] = std::numeric_limits<double>::quiet_NaN();
  const bool is_refused = controller.update(time, {2'000'000}) == controller_interface::return_type::ERROR;
  std::printf("%d of 100 updates, %llu runs; first target %.6g, %s at a signal that is not finite\n", good,
              static_cast<unsigned long long>(controller.report.runs), before,
              is_refused ? "refused and held" : "NOT REFUSED");
  return good == 100 && std::isfinite(before) && is_refused && command[0] == before ? 0 : 1;
}
