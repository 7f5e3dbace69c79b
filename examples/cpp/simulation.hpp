// MuJoCo's C library for the examples: a model, its data, joints and sensors by name. The examples' own code is the
// controller's.
#ifndef EXAMPLES_SIMULATION_HPP
#define EXAMPLES_SIMULATION_HPP

#include <mujoco/mujoco.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

struct Simulation {
  mjModel *model;
  mjData *data;
  std::vector<std::string> joints;                // all that turn or slide, in the model's order
  std::vector<std::ptrdiff_t> positions, speeds;  // bytes from qpos and qvel, one per joint
  std::vector<int> actuators;                     // one per joint

  explicit Simulation(const char *path, const char *keyframe = nullptr) {
    char text[1000];
    model = mj_loadXML(path, nullptr, text, sizeof text);
    if (!model) throw std::runtime_error(text);
    data = mj_makeData(model);
    for (int j = 0; j < model->njnt; j++) {
      if (model->jnt_type[j] != mjJNT_HINGE && model->jnt_type[j] != mjJNT_SLIDE) continue;
      joints.push_back(mj_id2name(model, mjOBJ_JOINT, j));
      positions.push_back(model->jnt_qposadr[j] * static_cast<std::ptrdiff_t>(sizeof(mjtNum)));
      speeds.push_back(model->jnt_dofadr[j] * static_cast<std::ptrdiff_t>(sizeof(mjtNum)));
      int a = 0;
      while (a < model->nu && model->actuator_trnid[2 * a] != j) a++;
      if (a == model->nu) throw std::runtime_error("no actuator for joint " + joints.back());
      actuators.push_back(a);
    }
    const int key = keyframe ? mj_name2id(model, mjOBJ_KEY, keyframe) : -1;
    if (keyframe && key < 0) throw std::runtime_error(std::string("no keyframe ") + keyframe);
    if (key >= 0) mj_resetDataKeyframe(model, data, key);
    mj_forward(model, data);
  }
  Simulation(const Simulation &) = delete;
  Simulation &operator=(const Simulation &) = delete;
  ~Simulation() { mj_deleteData(data), mj_deleteModel(model); }

  const mjtNum *sensor(const char *name) const {
    const int s = mj_name2id(model, mjOBJ_SENSOR, name);
    if (s < 0) throw std::runtime_error(std::string("no sensor ") + name);
    return data->sensordata + model->sensor_adr[s];
  }
  // How many simulation steps a control period holds.
  int steps(double period) const { return static_cast<int>(std::lround(period / model->opt.timestep)); }
  // Angle between the base's z axis and the vertical, rad. Body 1 is the base.
  double tilt() const { return std::acos(std::clamp(data->xmat[9 + 8], -1.0, 1.0)); }
  // Linear velocity of the base along its own x axis, m/s.
  double forward() const {
    const double *x = data->xmat + 9, *v = data->qvel;
    return x[0] * v[0] + x[3] * v[1] + x[6] * v[2];
  }
};

#endif
