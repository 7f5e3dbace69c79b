// A ros2_control controller that runs a card: the skeleton of a plugin. Parameters: card, policy (paths), joints
// (names), imu (name of the sensor).
// State interfaces JOINT/position, JOINT/velocity, IMU/orientation.x ... and IMU/angular_velocity.x ...; command
// interfaces JOINT/position, and JOINT/kp and JOINT/kd where the hardware has them (name them as yours does). A plugin
// exports it with PLUGINLIB_EXPORT_CLASS.
#ifndef EXAMPLES_EFFERENT_CONTROLLER_HPP
#define EXAMPLES_EFFERENT_CONTROLLER_HPP

#if __has_include(<controller_interface/controller_interface.hpp>)
#error "with ROS 2: include it here, and read parameters from get_node() instead of `parameters`"
#else
#include "ros2_control_stub.hpp"
#endif

#include <efferent/card.hpp>
#include <efferent/controller.hpp>

#include <memory>
#include <string>
#include <vector>

class EfferentController : public controller_interface::ControllerInterface {
 public:
  using CallbackReturn = controller_interface::CallbackReturn;
  using State = rclcpp_lifecycle::State;

  CallbackReturn on_init() override { return CallbackReturn::SUCCESS; }

  controller_interface::InterfaceConfiguration state_interface_configuration() const override {
    std::vector<std::string> names;
    for (const char *kind : {"position", "velocity"})
      for (const auto &j : joints_) names.push_back(j + "/" + kind);
    for (const char *part : {"orientation.w", "orientation.x", "orientation.y", "orientation.z", "angular_velocity.x",
                             "angular_velocity.y", "angular_velocity.z"})
      names.push_back(imu_ + "/" + part);
    return {controller_interface::interface_configuration_type::INDIVIDUAL, names};
  }
  controller_interface::InterfaceConfiguration command_interface_configuration() const override {
    std::vector<std::string> names;
    for (const char *kind : {"position", "kp", "kd"})
      for (const auto &j : joints_) names.push_back(j + "/" + kind);
    return {controller_interface::interface_configuration_type::INDIVIDUAL, names};
  }

  // Loads and allocates; what does not fit together is refused here, before the robot moves.
  CallbackReturn on_configure(const State &) override try {
    joints_ = parameters.at("joints").list, imu_ = parameters.at("imu").text;
    const std::size_t n = joints_.size();
    const efferent::Card card(parameters.at("card").text);
    const efferent::Policy policy(parameters.at("policy").text);
    efferent::ControllerOptions options;
    options.joints = joints_, options.models = {{"policy", policy.get()}};
    options.stale_limit = 0.1, options.locked = true;
    controller_ = std::make_unique<efferent::Controller>(card.get(), options);
    states_.assign(2 * n + 7, 0), targets_.assign(3 * n, 0);
    states_[2 * n] = 1;
    controller_->bind("joint.position", &states_[0], n, "rad");
    controller_->bind("joint.velocity", &states_[n], n, "rad/s");
    controller_->bind("base.orientation", &states_[2 * n], 4, "quaternion", 0, "wxyz");
    controller_->bind("base.angular_velocity", &states_[2 * n + 4], 3, "rad/s");
    controller_->bind("command.velocity", command, "m/s, m/s, rad/s");
    controller_->bind(EFF_TARGET_POSITION, &targets_[0], n);
    controller_->bind(EFF_TARGET_KP, &targets_[n], n);
    controller_->bind(EFF_TARGET_KD, &targets_[2 * n], n);
    controller_->start();
    return CallbackReturn::SUCCESS;
  } catch (const std::exception &e) {
    error = e.what();  // with ROS 2: RCLCPP_ERROR
    return CallbackReturn::ERROR;
  }

  CallbackReturn on_activate(const State &) override {
    if (state_interfaces_.size() != states_.size() || command_interfaces_.size() != targets_.size())
      return CallbackReturn::ERROR;
    controller_->reset();
    controller_->mode(EFF_MODE_RUN);
    return CallbackReturn::SUCCESS;
  }
  CallbackReturn on_deactivate(const State &) override { return CallbackReturn::SUCCESS; }

  // [RT] A refused tick leaves the fallback's targets; the manager is told, and keeps or changes the controller as it
  // is configured.
  controller_interface::return_type update(const rclcpp::Time &time, const rclcpp::Duration &) override {
    for (std::size_t i = 0; i < states_.size(); i++) states_[i] = state_interfaces_[i].get_value();
    controller_->stamp(-1, time.nanoseconds());
    report = controller_->tick(time.nanoseconds());
    for (std::size_t i = 0; i < targets_.size(); i++) command_interfaces_[i].set_value(targets_[i]);
    return report.status < 0 ? controller_interface::return_type::ERROR : controller_interface::return_type::OK;
  }

  // m/s, m/s, rad/s; with ROS 2: from a realtime buffer of a Twist subscription
  std::vector<double> command = std::vector<double>(3);
  eff_controller_report report{};
  std::string error;

 private:
  std::vector<std::string> joints_;
  std::string imu_;
  std::vector<double> states_, targets_;
  std::unique_ptr<efferent::Controller> controller_;
};

#endif
