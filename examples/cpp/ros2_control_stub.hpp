// The part of ros2_control's interface that efferent_controller.hpp uses, so that it compiles where ROS 2 is not
// installed. With ROS 2 this file is not included: the names below are those of controller_interface and
// hardware_interface.
#ifndef EXAMPLES_ROS2_CONTROL_STUB_HPP
#define EXAMPLES_ROS2_CONTROL_STUB_HPP

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace rclcpp {
struct Time { std::int64_t ns = 0; std::int64_t nanoseconds() const { return ns; } };
struct Duration { std::int64_t ns = 0; };
struct Parameter { std::string text; std::vector<std::string> list; };
}  // namespace rclcpp
namespace rclcpp_lifecycle { struct State {}; }

namespace controller_interface {
enum class CallbackReturn { SUCCESS, FAILURE, ERROR };
enum class return_type { OK, ERROR };
enum class interface_configuration_type { INDIVIDUAL };
struct InterfaceConfiguration { interface_configuration_type type; std::vector<std::string> names; };

struct LoanedStateInterface { std::string name; const double *value; double get_value() const { return *value; } };
struct LoanedCommandInterface { std::string name; double *value; void set_value(double v) { *value = v; } };

class ControllerInterface {
 public:
  virtual ~ControllerInterface() = default;
  virtual CallbackReturn on_init() = 0;
  virtual InterfaceConfiguration command_interface_configuration() const = 0;
  virtual InterfaceConfiguration state_interface_configuration() const = 0;
  virtual CallbackReturn on_configure(const rclcpp_lifecycle::State &) = 0;
  virtual CallbackReturn on_activate(const rclcpp_lifecycle::State &) = 0;
  virtual CallbackReturn on_deactivate(const rclcpp_lifecycle::State &) = 0;
  virtual return_type update(const rclcpp::Time &, const rclcpp::Duration &) = 0;

  std::map<std::string, rclcpp::Parameter> parameters;
  std::vector<LoanedStateInterface> state_interfaces_;
  std::vector<LoanedCommandInterface> command_interfaces_;
};
}  // namespace controller_interface

#endif
