// The C++ interface on one model with one float observation and one float action: efferent_test MODEL.onnx
#ifdef WITH_EIGEN
#include <Eigen/Core>
#endif
#include <efferent/bridge.hpp>
#include <efferent/ladder.hpp>
#include <efferent/receiver.hpp>
#include <efferent/card.hpp>
#include <efferent/controller.hpp>
#include <efferent/efferent.hpp>
#include <efferent/learner.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <unistd.h>

#include "../C/check.h"

using efferent::Error, efferent::Policy, efferent::Role, efferent::Session, efferent::span;

static_assert(!std::is_copy_constructible_v<Session> && std::is_nothrow_move_constructible_v<Session>
              && std::is_copy_constructible_v<Policy>);
static_assert(std::is_constructible_v<span<const float>, std::vector<float> &>
              && std::is_constructible_v<span<const float>, const std::vector<float> &>);
static_assert(!std::is_constructible_v<span<float>, const std::vector<float> &>
              && !std::is_constructible_v<span<float>, std::vector<double> &>);

template <class F>
static eff_status thrown(F &&body) {
  try {
    body();
  } catch (const Error &e) {
    return e.what()[0] && std::strcmp(e.name(), eff_status_name(e.status())) == 0 ? e.status() : 1;
  }
  return EFF_OK;
}

static std::vector<float> observation_of(std::size_t count, int seed) {
  std::vector<float> x(count);
  for (std::size_t i = 0; i < count; i++) x[i] = std::sin(0.7f * static_cast<float>(i) + static_cast<float>(seed));
  return x;
}

static void test_policy(const std::string &path) {
  Policy policy(path);
  Policy copy = policy, moved = std::move(policy);
  CHECK(policy.get() == nullptr && copy.get() == moved.get() && copy.get() != nullptr);
  policy = copy;
  CHECK(policy.get() == copy.get());
  CHECK(copy.inputs().size() == copy.input_count() && copy.outputs().size() == copy.output_count());
  for (auto &t : copy.inputs()) CHECK(copy.find_input(t.name) == t.index && t.count > 0);
  for (auto &t : copy.outputs()) CHECK(copy.find_output(t.name) == t.index);
  CHECK(copy.info().op_count == copy.ops().size() && copy.metadata("no such key") == nullptr);
  for (auto &key : copy.metadata_keys()) CHECK(copy.metadata(key) != nullptr);

  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  Policy from_bytes(bytes.data(), bytes.size());
  const auto x = observation_of(Session(copy).observation_count(), 1);
  CHECK(Session(from_bytes).step(x) == Session(copy).step(x));
}

static void test_errors(const std::string &path) {
  CHECK(thrown([] { Policy("/no/such/file.onnx"); }) == EFF_E_IO);
  CHECK(thrown([] { Policy("junk", 4); }) == EFF_E_FORMAT);
  efferent::PolicyOptions options;
  options.dims = {{"no such dimension", 0}};
  CHECK(thrown([&] { Policy(path, options); }) != EFF_OK);
  Policy policy(path);
  CHECK(thrown([&] { policy.input(1000); }) == EFF_E_ARGUMENT
        && thrown([&] { policy.find_output("no such name"); }) == EFF_E_ARGUMENT);
  Session session(policy, 2);
  std::vector<float> wrong(session.observation_count() + 1), action(session.action_count());
  CHECK(thrown([&] { session.step(wrong, action); }) == EFF_E_SHAPE);
  CHECK(session.explain().find("observation_count is " + std::to_string(wrong.size())) == 0);
  const span<float> shorter(action.data(), action.size() - 1), given(wrong.data(), wrong.size() - 1);
  CHECK(session.step(1, given, shorter) == EFF_E_SHAPE && session.explain().find("action_count") == 0);
  wrong[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK(session.step(1, given, action) == EFF_E_NUMERIC && session.explain().find("NaN") != std::string::npos);
  CHECK(thrown([&] { session.run(3); }) == EFF_E_ARGUMENT && thrown([&] { session.reset(2); }) == EFF_E_ARGUMENT);
  CHECK(thrown([&] { session.input<std::int64_t>(0); }) == EFF_E_SHAPE
        && thrown([&] { session.output(1000); }) == EFF_E_ARGUMENT);
}

static void test_session(const std::string &path) {
  Session session(Policy(path), 3);  // keeps the policy alive
  const std::size_t n = session.observation_count(), m = session.action_count();
  CHECK(n > 0 && m > 0 && session.max_rows() == 3);
  const auto x = observation_of(3 * n, 2);
  const auto all = session.step(x);
  CHECK(all.size() == 3 * m);
  for (std::size_t r = 0; r < 3; r++) {
    Session one(session.policy());
    std::vector<float> y(m);
    one.step(span<const float>(x.data() + r * n, n), y);
    for (std::size_t i = 0; i < m; i++) CHECK(std::abs(y[i] - all[r * m + i]) <= 2e-5f * (1 + std::abs(y[i])));
  }
  session.reset();
  Session moved(std::move(session));
  auto input = moved.input(moved.policy().inputs()[0].name);
  CHECK(input.size() == 3 * n && reinterpret_cast<std::uintptr_t>(input.data()) % 64 == 0);
  std::copy(x.begin(), x.end(), input.begin());
  moved.prewarm();
  moved.run(3);
  std::size_t action = 0;
  for (auto &t : moved.policy().outputs())
    if (t.role == Role::action) action = t.index;
  const auto output = moved.output(action);
  CHECK(std::equal(all.begin(), all.end(), output.begin(), output.end()));

  efferent::SessionOptions options;
  options.arena_size = Session::arena_size(moved.policy());
  std::unique_ptr<void, void (*)(void *)> arena(std::aligned_alloc(64, (options.arena_size + 63) / 64 * 64), std::free);
  options.arena = arena.get();
  Session own(moved.policy(), options);
  own = Session(moved.policy());
  CHECK(own.step(span<const float>(x.data(), n)).size() == m);
  for (int i = 0; i < 3; i++) moved.swap(Policy(path));  // a newer offer replaces one that waits
  moved.swap(Policy(path), true);
  CHECK(moved.policy().hash() == Policy(path).hash() && moved.policy().hash() != 0);
  moved.reset();
  CHECK(moved.step(x) == all);
  moved.reclaim();
}

static void test_roles(const std::string &path) {
  const Policy policy(path);
  const auto name = policy.outputs()[0].name;
  const auto action = policy.outputs()[0];
  CHECK(policy.step_refusal().empty() && action.role == Role::action);
  CHECK(action.reason == "by name" || action.reason == "only candidate");
  efferent::PolicyOptions options;
  options.action = name, options.observation = policy.inputs()[0].name, options.outputs = {name};
  const Policy told(path, options);
  CHECK(told.outputs()[0].reason == "told" && told.inputs()[0].reason == "told" && told.notes().empty());
  options.action = "nothing";
  CHECK(thrown([&] { Policy(path, options); }) == EFF_E_ARGUMENT);
  options.action.clear(), options.outputs = {"nothing"};
  CHECK(thrown([&] { Policy(path, options); }) == EFF_E_ARGUMENT);
}

static void test_eigen(const std::string &path) {
#ifdef WITH_EIGEN
  Session session(Policy(path), 4);
  const auto n = static_cast<Eigen::Index>(session.observation_count()),
             m = static_cast<Eigen::Index>(session.action_count());
  auto x = observation_of(static_cast<std::size_t>(4 * n), 3);
  const auto all = session.step(x);
  session.reset();
  Session::Matrix rows = Eigen::Map<Session::Matrix>(x.data(), 4, n), actions(4, m);
  session.step_rows(rows, actions);
  CHECK((actions - Eigen::Map<const Session::Matrix>(all.data(), 4, m)).norm() == 0);
  session.reset();
  Eigen::VectorXf action(m);
  session.step(rows.row(0).transpose(), action);
  CHECK((action - actions.row(0).transpose()).cwiseAbs().maxCoeff() <= 2e-5f * (1 + action.cwiseAbs().maxCoeff()));
  session.reset();
  Eigen::VectorXd other = rows.row(0).cast<double>().transpose();
  CHECK(session.step(other.cast<float>()) == action);
  session.reset();
  session.input_map(0) = rows;
  session.run(4);
  for (auto &t : session.policy().outputs())
    if (t.role == Role::action)
      CHECK((session.output_map(t.index) - actions).norm() == 0 && session.output_map(t.name).rows() == 4);
  Session::Matrix wide(4, n + 3);
  CHECK(thrown([&] { session.step_rows(wide.leftCols(n), actions.leftCols(m)); })
        == (n + 3 == n ? EFF_OK : EFF_E_SHAPE));
  CHECK(thrown([&] { session.step_rows(rows, actions.topRows(2)); }) == EFF_E_SHAPE);
#else
  (void)path;
#endif
}

static void test_learner(const std::string &path) {
  efferent::PolicyOptions kept;
  kept.learnable = true;
  Policy policy(path, kept);
  auto options = efferent::Learner::adapt(policy);
  options.actor_delay = 0, options.kappa_policy = 3, options.drift_budget = 1, options.snapshots = 1;
  efferent::Learner made(options), learner(std::move(made));
  Session session(policy), before(policy);
  efferent::Publisher publisher(learner, session);
  std::vector<double> x(learner.observation_count(), 0.5), action(learner.action_count());
  eff_update told{};
  for (int i = 0; i < 50; i++) {
    CHECK(learner.act(x, action) == EFF_OK);
    x[0] = 0.1 * (i % 7);
    told = learner.update(x, i % 3 - 1.0, i % 20 == 19);
  }
  CHECK(told.updates == 50 && told.episodes == 2 && told.actor.drift > 0);
  learner.snapshot();
  publisher.publish();
  CHECK(learner.infer(x, action) == EFF_OK);
  std::vector<float> seen(x.begin(), x.end());
  auto found = session.step(seen);
  for (std::size_t i = 0; i < found.size(); i++)
    CHECK(std::fabs(found[i] - action[i]) <= 1e-5 * (1 + std::fabs(action[i])));
  CHECK(found != before.step(seen));
  CHECK(thrown([&] { session.swap(policy); }) == EFF_E_STATE);
  learner.mark();
  learner.freeze(EFF_FREEZE_ALL);
  learner.act(x, action);
  told = learner.update(x, 0.0);
  CHECK(told.reason == EFF_LEARNED_FROZEN && told.actor.drift == 0);
  x[0] = NAN;
  CHECK(learner.act(x, action) == EFF_E_NUMERIC);
  CHECK(thrown([&] { learner.act(span<const double>(x.data(), 1), span<double>(action.data(), 0)); }) == EFF_E_SHAPE);
  // the policy has no output of one number, which could be a value
  CHECK(thrown([&] { efferent::Learner judged(efferent::Learner::adapt(policy, policy)); }) == EFF_E_STATE);
  CHECK(efferent::Learner::adapt(policy, policy).actor_delay == 0);
  CHECK(efferent::Learner::preset("intentional", 3, 2).optimizer == EFF_OPTIMIZER_INTENTIONAL);
  CHECK(efferent::Learner::preset("intentional-capped", 3, 2).error_cap == 3);
  CHECK(thrown([] { efferent::Learner::preset("adam", 3, 2); }) == EFF_E_ARGUMENT);
  CHECK(thrown([] { efferent::Learner(efferent::Learner::defaults(0, 1)); }) == EFF_E_ARGUMENT);
  auto pipeline = efferent::Learner::rewards();
  const double slope[] = {1, -2};
  pipeline.potential_linear = slope, pipeline.potential_linear_count = 2, pipeline.clip = 1;
  auto shaped = efferent::Learner::defaults(2, 1);
  shaped.rewards = &pipeline;
  efferent::Learner shapes(shaped);
  double state[2] = {0, 0}, done[1];
  shapes.act(state, done);
  state[0] = 0.5;
  const auto shares = shapes.update(state, 0.25, false, true).reward;
  CHECK(shares.raw == 0.25 && shares.shaping == 0.99 * 0.5 && shares.total == 0.25 + 0.99 * 0.5);
  efferent::RewardSum sum(EFF_SUM_TRAPEZOID, 1);
  sum.add(1, 0), sum.add(3, 0.5);
  const auto taken = sum.take();
  CHECK(taken.reward == 1 && taken.dt == 0.5);
  CHECK(thrown([&] { sum.take(); }) == EFF_E_STATE);
}

static void test_bridge(const std::string &path) {
  Session session{Policy(path)};
  efferent::BridgeOptions options;
  options.joint_names.assign(session.action_count(), "joint");
  options.on_event = [](const eff_bridge_event &) {};
  efferent::Bridge bridge(session, options);
  CHECK(bridge.endpoint().rfind("tcp://127.0.0.1:", 0) == 0 && bridge.endpoint().find('*') == std::string::npos);
  CHECK(bridge.poll(std::chrono::milliseconds(0)).kind == EFF_BRIDGE_NONE);
  bridge.start();
  CHECK(thrown([&] { bridge.start(); }) == EFF_E_STATE);
  efferent::Bridge moved(std::move(bridge));
  moved.stop();
  CHECK(moved.stats().steps == 0);
  options.joint_names.assign(session.action_count() + 1, "joint");
  CHECK(thrown([&] { efferent::Bridge(session, options); }) == EFF_E_ARGUMENT);
  CHECK(thrown([&] { efferent::Bridge{session}; }) == EFF_E_STATE);
  efferent::Learner learner(efferent::Learner::defaults(2, 1));
  efferent::BridgeOptions timely;
  timely.thread_name = "teacher", timely.max_peers = 4;
  efferent::Bridge teacher(learner, timely);
  teacher.start();
  timely.thread_policy = EFF_BRIDGE_THREAD_FIFO;
  CHECK(thrown([&] { efferent::Bridge(session, timely); }) == EFF_E_ARGUMENT);
  CHECK(thrown([&] { efferent::Bridge{learner}; }) == EFF_E_STATE);
}

static void test_receiver(const std::string &path, const std::string &endpoint) {
  Session session{Policy(path)}, twin{Policy(path)};
  efferent::BridgeOptions served;
  served.endpoint = endpoint;
  efferent::Bridge bridge(session, served);
  bridge.start();
  efferent::ReceiverOptions options;
  options.endpoint = bridge.endpoint();
  options.observation_size = session.observation_count() * sizeof(float);
  options.action_size = session.action_count() * sizeof(float);
  std::vector<float> observation(session.observation_count(), 0.5f), action(session.action_count()),
      expected(action.size());
  twin.step(observation, expected);
  efferent::Receiver receiver(options);
  CHECK(!receiver.latest(action));
  receiver.start();
  receiver.reset();
  receiver.post(observation);
  std::optional<std::chrono::nanoseconds> age;
  for (int i = 0; i < 5000 && !(age = receiver.latest(action)); i++)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(age && age->count() > 0 && *age < std::chrono::seconds(5) && action == expected);
  CHECK(receiver.stats().resets == 1 && receiver.stats().actions == 1);
  receiver.stop();
  CHECK(receiver.poll(std::chrono::milliseconds(0)) == EFF_RECEIVER_NONE);
  auto refusal = [](auto &&call) {
    try {
      call();
    } catch (const efferent::ReceiverError &e) {
      return e.status();
    }
    return EFF_OK + 0;
  };
  observation.push_back(0);
  CHECK(refusal([&] { receiver.post(observation); }) == EFF_E_ARGUMENT);
  options.endpoint = "nowhere";
  CHECK(refusal([&] { efferent::Receiver{options}; }) == EFF_E_ARGUMENT);
  options.endpoint = "tcp://192.0.2.1:5555";
  CHECK(refusal([&] { efferent::Receiver{options}; }) == EFF_E_ARGUMENT);  // another machine, without keys
  options.endpoint = bridge.endpoint(), options.action_size += 4;
  efferent::Receiver other(options);
  CHECK(refusal([&] { for (int i = 0; i < 100; i++) other.poll(std::chrono::milliseconds(50)); }) != EFF_OK);
}

// A dead link moves the robot by the ladder.
static void test_ladder() {
  using namespace std::chrono_literals;
  efferent::Ladder ladder(2, {{EFF_MODE_HOLD, 0.1s, {}, {}}, {EFF_MODE_DAMP, 0s, {}, {3, 4}}}, 50ms);
  double position[2] = {1, 2}, kp[2] = {10, 20}, kd[2] = {1, 1};
  const eff_ladder_targets targets{{position, nullptr, nullptr, kp, kd}};
  CHECK(ladder.update(0ms, 1ms, nullptr, targets) == EFF_MODE_RUN && position[1] == 2);
  CHECK(ladder.update(60ms, 60ms, nullptr, targets) == EFF_MODE_HOLD && kp[1] == 20);
  CHECK(ladder.update(200ms, std::nullopt, nullptr, targets) == EFF_MODE_DAMP && kp[1] == 0 && kd[1] == 4);
  bool refused = false;
  try {
    efferent::Ladder(2, {{EFF_MODE_HOLD, 0.1s, {1, 2, 3}, {}}}, 50ms);
  } catch (const std::invalid_argument &) {
    refused = true;
  }
  CHECK(refused);
}

static void test_keys(const std::string &path) {
  char robot[2][EFF_BRIDGE_KEY_SIZE], plant[2][EFF_BRIDGE_KEY_SIZE];  // public, secret
  CHECK(eff_bridge_make_keys(robot[0], robot[1]) == EFF_OK && eff_bridge_make_keys(plant[0], plant[1]) == EFF_OK);
  Session session{Policy(path)};
  efferent::BridgeOptions served;
  served.secret_key = robot[1], served.allowed_keys = {plant[0]};
  efferent::Bridge bridge(session, served);
  bridge.start();
  efferent::ReceiverOptions options;
  options.endpoint = bridge.endpoint(), options.server_key = robot[0], options.secret_key = plant[1];
  options.observation_size = session.observation_count() * sizeof(float);
  options.action_size = session.action_count() * sizeof(float);
  efferent::Receiver receiver(options);
  std::int32_t kind = EFF_RECEIVER_NONE;
  for (int i = 0; i < 100 && kind != EFF_RECEIVER_CONNECTED; i++) kind = receiver.poll(std::chrono::milliseconds(100));
  CHECK(kind == EFF_RECEIVER_CONNECTED && bridge.stats().peers_denied == 0);
  options.secret_key = robot[1];
  efferent::Receiver stranger(options);
  for (int i = 0; i < 100 && bridge.stats().peers_denied == 0; i++) stranger.poll(std::chrono::milliseconds(100));
  CHECK(bridge.stats().peers_denied > 0 && stranger.stats().connects == 0);
  served.allowed_keys.clear();
  Session other{Policy(path)};
  CHECK(thrown([&] { efferent::Bridge(other, served); }) == EFF_E_ARGUMENT);
}

static void test_card() {
  const std::string text =
      R"({"efferent_card": 1, "policy_period": 0.02, "control_period": 0.01, "joint_order": ["a"], "joints": {"a": {"kp": null}}})";
  const efferent::Card card = efferent::Card::from_json(text);
  efferent::Card other = card;  // shares
  other = efferent::Card(text.data(), text.size(), R"({"patch": {"joints": {"a": {"kp": 20.1}}}})", "one.json");
  CHECK(card.questions().front().path == "joints.kp"
        && card.questions().front().answer.find("N m/rad") != std::string::npos);
  CHECK(other.json().find("20.1") != std::string::npos && card.json().find("20.1") == std::string::npos);
  CHECK(other.questions().front().path == "models");
  try {
    efferent::Card(text.data(), text.size(), R"({"patch": {"joints": {"a": {"kd": [1]}}}})", "one.json");
    CHECK(!"accepted");
  } catch (const efferent::Error &e) {
    CHECK(e.status() == EFF_E_FORMAT
          && std::string(e.what()).rfind("one.json: joints.a.kd: found a list of 1", 0) == 0);
  }
}

// A controller is run through its own recording, and learns where its network stands.
static void test_controller(const std::string &path) {
  const Policy policy(path);
  const std::string in = policy.inputs().front().name, out = policy.outputs().front().name;
  const std::string text = R"({"efferent_card": 1, "policy_period": 0.02, "joint_order": ["a", "b", "c"],
    "joints": {"a": {"default": 0.1, "kp": 20, "kd": 1}, "b": {"default": 0.2, "kp": 30, "kd": 1}, "c": {"default": 0.3, "kp": 40, "kd": 1}},
    "models": [{"name": "policy", "inputs": {")"
                           + in + R"(": {"from": "vector:obs"}}, "outputs": {")" + out + R"(": {"to": "action"}}}],
    "vectors": {"obs": {"layout": "term_major", "terms": [
      {"name": "position", "op": "joint_position", "size": 3, "ages": [0], "minus_default": true},
      {"name": "velocity", "op": "joint_velocity", "size": 3, "ages": [0], "scale": 0.05},
      {"name": "one", "op": "constant", "size": 1, "ages": [0], "value": [1.0]}]}},
    "actions": [{"name": "legs", "type": "position", "model": "policy", "output": ")"
                           + out + R"(", "joints": ["a", "b", "c"], "index": [0, 1, 2],
      "scale": 0.25, "offset": "default"}]})";
  efferent::ControllerOptions options;
  options.joints = {"c", "a", "b"};
  options.models = {{"policy", policy.get()}};
  std::array<double, 3> q{}, qd{}, target{};
  auto open = [&](const efferent::Card &card, efferent::ControllerOptions o) {
    efferent::Controller c(card.get(), o);
    c.bind("joint.position", q, "rad");
    c.bind("joint.velocity", qd, "rad/s");
    c.bind(EFF_TARGET_POSITION, target);
    c.start();
    return c;
  };
  const auto card = efferent::Card::from_json(text);
  auto c = open(card, options);
  std::vector<double> positions, velocities, targets;
  for (int k = 0; k < 20; k++) {
    for (int j = 0; j < 3; j++) q[j] = 0.3 * std::sin(0.5 * k + j), qd[j] = std::cos(0.5 * k + j);
    CHECK(c.tick(k * 20000000ll).status == EFF_OK);
    positions.insert(positions.end(), q.begin(), q.end());
    velocities.insert(velocities.end(), qd.begin(), qd.end());
    targets.insert(targets.end(), target.begin(), target.end());
  }
  const eff_recorded_array arrays[] = {{"in.joint.position", positions.data(), 20, 3},
                                       {"in.joint.velocity", velocities.data(), 20, 3},
                                       {"out.position", targets.data(), 20, 3}};
  eff_recording recording{};
  recording.struct_size = sizeof recording, recording.arrays = arrays, recording.array_count = 3;
  CHECK(!c.preflight(recording).differs);
  const efferent::Card other(text.data(), text.size(), R"({"patch": {"joints": {"b": {"default": 0.25}}}})");
  const eff_preflight_report report = open(other, options).preflight(recording);
  CHECK(report.differs && report.tick == 0 && std::strstr(report.what, "target 'position' of joint"));
  CHECK(thrown([&] { (void)c.preflight("nowhere.npz"); }) == EFF_E_IO);

  CHECK(thrown([&] { c.reward(1.0); }) == EFF_E_STATE);
  eff_learner_options learning;
  eff_learner_options_default(&learning, sizeof learning);
  learning.observation_count = 7, learning.action_count = 3;
  efferent::Learner learner(learning);
  options.learner = learner.get();
  auto taught = open(card, options);
  CHECK(thrown([&] { (void)taught.learned(); }) == EFF_E_STATE);
  for (int k = 0; k < 20; k++) {
    CHECK(taught.tick(k * 20000000ll).status == EFF_OK);
    taught.reward(-q[0] * q[0], k == 9);
    if (k == 10) taught.reset();
  }
  {
    // a bridge binds it to memory of its own, and leaves it unbound
    efferent::Bridge bridge(taught);
    bridge.start();
    CHECK(thrown([&] { efferent::Bridge{taught}; }) == EFF_E_STATE);
    efferent::BridgeOptions named;
    named.rate = 50;
    CHECK(thrown([&] { efferent::Bridge(c, named); }) == EFF_E_ARGUMENT);
    CHECK(c.tick(20 * 20000000ll).status == EFF_OK);
  }
  CHECK(taught.tick(20 * 20000000ll).status == EFF_E_STATE);
  CHECK(taught.learned().updates == 18 && taught.learned().episodes == 1 && taught.learned().reason == EFF_LEARNED);
}

int main(int count, char **arguments) {
  if (count < 2) return 2;
  test_policy(arguments[1]);
  test_errors(arguments[1]);
  test_session(arguments[1]);
  test_roles(arguments[1]);
  test_eigen(arguments[1]);
  test_learner(arguments[1]);
  test_card();
  test_controller(arguments[1]);
  test_bridge(arguments[1]);
  for (const char *endpoint : {"tcp://127.0.0.1:*", "unix:@efferent-cpp-", "shm:@efferent-cpp-"}) {
    const bool is_tcp = endpoint[0] == 't';
    test_receiver(arguments[1], is_tcp ? endpoint : endpoint + std::to_string(getpid()));
  }
  test_ladder();
  test_keys(arguments[1]);
  return check_report();
}
