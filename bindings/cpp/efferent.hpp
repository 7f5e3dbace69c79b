// Efferent for C++17: owning handles, exceptions, spans and Eigen maps over efferent.h. Header-only.
//
//   efferent::Policy policy("policy.onnx");
//   efferent::Session session(policy);
//   session.step(observation, action);      // std::vector<float>, std::array, float[], Eigen::VectorXf
//
// Include Eigen first to get the Eigen overloads. [RT] marks what allocates nothing, locks nothing and makes no system
// call, as in efferent.h, as long as it succeeds: an exception allocates.
#ifndef EFFERENT_EFFERENT_HPP
#define EFFERENT_EFFERENT_HPP

#include "efferent.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace efferent {

// ---- errors ----

// A call failed: what() says what failed, what was found and what was expected.
class Error : public std::runtime_error {
 public:
  Error(eff_status status, const std::string &message) : std::runtime_error(message), status_(status) {}
  eff_status status() const noexcept { return status_; }
  const char *name() const noexcept { return eff_status_name(status_); }

 private:
  eff_status status_;
};

// Throws this thread's last message for a negative status.
inline void check(eff_status status) {
  if (status < 0) throw Error(status, eff_last_error());
}

// The same for an [RT] function, which leaves no message.
inline void check_rt(eff_status status, const char *what) {
  if (status < 0) throw Error(status, std::string(what) + ": " + eff_status_name(status));
}

// Throws where the library that is loaded is not one that these headers are for (bindings/ABI.md): it would read
// structs of another layout.
// What loads or makes something calls it first.
inline void check_version() {
  const std::int32_t found = eff_version(), wanted = EFF_VERSION;
  // until 1.0 each minor version is one of its own
  const auto series = [](std::int32_t v) { return v < 10000 ? v / 100 : v / 10000 * 100; };
  if (series(found) == series(wanted) && (wanted < 10000 || found / 100 >= wanted / 100)) return;
  const auto text = [](std::int32_t v) {
    return std::to_string(v / 10000) + "." + std::to_string(v / 100 % 100) + "." + std::to_string(v % 100);
  };
  throw Error(EFF_E_MISMATCH, "libefferent " + text(found) + " is loaded, this program was built against "
                                  + text(wanted) + ": install library and headers of one release, and build again");
}

// ---- spans ----

// A view of contiguous memory that somebody else owns.
template <class T>
class span {
  template <class C>
  using pointer_of = decltype(std::declval<C &>().data());
  template <class C, class = void>
  struct is_eigen : std::false_type {};
  template <class C>
  // may have strides: it has its own overloads
  struct is_eigen<C, std::void_t<typename C::Scalar>> : std::true_type {};

 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;

  constexpr span() noexcept = default;
  constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
  template <std::size_t N>
  constexpr span(T (&array)[N]) noexcept : data_(array), size_(N) {}
  template <class C, class = std::enable_if_t<
                         !is_eigen<std::remove_const_t<C>>::value && !std::is_same_v<std::remove_const_t<C>, span>
                         && std::is_convertible_v<std::remove_pointer_t<pointer_of<C>> (*)[], T (*)[]>>>
  constexpr span(C &container) noexcept : data_(container.data()), size_(container.size()) {}

  constexpr T *data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T *begin() const noexcept { return data_; }
  constexpr T *end() const noexcept { return data_ + size_; }
  constexpr T &operator[](std::size_t i) const noexcept { return data_[i]; }

 private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};

// ---- tensors ----

enum class Role : std::int32_t {
  observation = EFF_ROLE_OBSERVATION,
  action = EFF_ROLE_ACTION,
  state = EFF_ROLE_STATE,
  aux = EFF_ROLE_AUX
};

// An input or an output of a policy; shape, count and size are those of one row.
struct Tensor {
  std::string name;
  Role role;
  std::int32_t dtype;  // EFF_F32, ...
  std::vector<std::int64_t> shape;
  std::size_t count, size;  // elements, bytes
  std::size_t index;
  std::int32_t pair;  // Role::state: index of the output (input) that belongs to this input (output); otherwise -1
  std::string reason;  // why it has its role: "told", "by metadata", "by name", "only candidate", ...
};

namespace detail {
// whether the elements of dtype can be read as T; 16-bit floats travel as their bits
template <class T>
bool holds(std::int32_t dtype) {
  using V = std::remove_cv_t<T>;
  if constexpr (std::is_same_v<V, float>) return dtype == EFF_F32;
  else if constexpr (std::is_same_v<V, double>) return dtype == EFF_F64;
  else if constexpr (std::is_same_v<V, bool>) return dtype == EFF_BOOL;
  else if constexpr (std::is_same_v<V, std::uint8_t>) return dtype == EFF_U8 || dtype == EFF_BOOL;
  else if constexpr (std::is_same_v<V, std::int8_t>) return dtype == EFF_I8;
  else if constexpr (std::is_same_v<V, std::uint16_t>) return dtype == EFF_U16 || dtype == EFF_F16 || dtype == EFF_BF16;
  else if constexpr (std::is_same_v<V, std::int16_t>) return dtype == EFF_I16;
  else if constexpr (std::is_integral_v<V> && sizeof(V) == 4) return dtype == (std::is_signed_v<V> ? EFF_I32 : EFF_U32);
  else if constexpr (std::is_integral_v<V> && sizeof(V) == 8) return dtype == (std::is_signed_v<V> ? EFF_I64 : EFF_U64);
  else return false;
}
}  // namespace detail

// ---- policy ----

// A value for an input that is fixed at load; `data` is borrowed until the policy is loaded.
struct Constant {
  std::string input;
  std::int32_t dtype;
  std::vector<std::int64_t> shape;
  const void *data;
};

// How to load a policy; the fields are those of eff_policy_options.
struct PolicyOptions {
  std::int32_t weights = 0;
  std::vector<std::int32_t> layer_weights;
  bool no_state = false;
  std::vector<std::pair<std::string, std::int64_t>> dims;
  std::vector<Constant> constants;
  std::vector<std::pair<std::string, std::string>> states;  // input, output
  const eff_allocator *allocator = nullptr;
  std::size_t memory_limit = 0;
  std::string folder;  // for bytes: folder of external data
  bool learnable = false;  // keeps a copy of the file, so that a learner can start from the policy
  bool locked = false;     // locks weights and plan in memory
  std::string action;       // output that moves the robot; empty: metadata, one clear name, the only candidate
  std::string observation;  // input that step writes; the others keep what was written to them
  std::vector<std::string> outputs;  // those that are wanted, in order; empty: all
};

// What a trainer exported, ready to run. Immutable; copies share it.
class Policy {
 public:
  explicit Policy(const std::string &path, const PolicyOptions &options = {}) {
    check_version();
    const Lent lent(options);
    check(eff_policy_load_file(path.c_str(), &lent.options, &handle_));
  }
  Policy(const void *bytes, std::size_t size, const PolicyOptions &options = {}) {
    check_version();
    const Lent lent(options);
    check(eff_policy_load_memory(bytes, size, &lent.options, &handle_));
  }
  Policy(const Policy &other) noexcept : handle_(eff_policy_retain(other.handle_)) {}
  Policy(Policy &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Policy &operator=(Policy other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Policy() { eff_policy_release(handle_); }

  eff_policy *get() const noexcept { return handle_; }

  std::size_t input_count() const noexcept { return eff_policy_input_count(handle_); }
  std::size_t output_count() const noexcept { return eff_policy_output_count(handle_); }
  Tensor input(std::size_t index) const { return describe(eff_policy_input, index); }
  Tensor output(std::size_t index) const { return describe(eff_policy_output, index); }
  std::vector<Tensor> inputs() const { return describe_all(eff_policy_input, input_count()); }
  std::vector<Tensor> outputs() const { return describe_all(eff_policy_output, output_count()); }

  // Index of a name; throws where there is none.
  std::size_t find_input(const std::string &name) const {
    return found(eff_policy_find_input(handle_, name.c_str()), "input", name);
  }
  std::size_t find_output(const std::string &name) const {
    return found(eff_policy_find_output(handle_, name.c_str()), "output", name);
  }

  // Value of a metadata key, or NULL.
  const char *metadata(const std::string &key) const noexcept { return eff_policy_metadata(handle_, key.c_str()); }
  std::vector<std::string> metadata_keys() const { return texts(eff_policy_metadata_key); }

  eff_policy_info info() const {
    eff_policy_info info{};
    info.struct_size = sizeof info;
    check(eff_policy_describe(handle_, &info));
    return info;
  }
  // Which policy this is, the same on every processor; see eff_policy_info.hash.
  std::uint64_t hash() const { return info().hash; }
  std::vector<std::string> ops() const { return texts(eff_policy_op); }
  // What was decided at load: pairs of state, inputs that nothing reads, why a step is refused.
  std::vector<std::string> notes() const { return texts(eff_policy_note); }
  // Why step is refused, with the candidates and how to choose; empty where it runs.
  std::string step_refusal() const { return info().step_refusal; }
  eff_layer layer(std::size_t index) const {
    eff_layer layer{};
    layer.struct_size = sizeof layer;
    check(eff_policy_layer(handle_, index, &layer));
    return layer;
  }

 private:
  // options as C structs, pointing into PolicyOptions
  struct Lent {
    explicit Lent(const PolicyOptions &from) {
      eff_policy_options_default(&options, sizeof options);
      options.weights = from.weights;
      options.layer_weights = from.layer_weights.data(), options.layer_count = from.layer_weights.size();
      options.no_state = from.no_state;
      options.allocator = from.allocator;
      options.memory_limit = from.memory_limit;
      options.folder = from.folder.empty() ? nullptr : from.folder.c_str();
      options.learnable = from.learnable;
      options.locked = from.locked;
      options.action = from.action.empty() ? nullptr : from.action.c_str();
      options.observation = from.observation.empty() ? nullptr : from.observation.c_str();
      for (const auto &name : from.outputs) outputs.push_back(name.c_str());
      options.outputs = outputs.data(), options.output_count = outputs.size();
      for (const auto &[name, size] : from.dims) dims.push_back({name.c_str(), size});
      for (const auto &[input, output] : from.states) states.push_back({input.c_str(), output.c_str()});
      for (const auto &c : from.constants) {
        if (c.shape.size() > EFF_MAX_RANK)
          throw Error(EFF_E_SHAPE,
                      "constant '" + c.input + "' has rank " + std::to_string(c.shape.size()) + ", expected at most 8");
        eff_constant_binding to{c.input.c_str(), c.dtype, static_cast<std::int32_t>(c.shape.size()), {}, c.data};
        for (std::size_t i = 0; i < c.shape.size(); i++) to.shape[i] = c.shape[i];
        constants.push_back(to);
      }
      options.dims = dims.data(), options.dim_count = dims.size();
      options.states = states.data(), options.state_count = states.size();
      options.constants = constants.data(), options.constant_count = constants.size();
    }
    eff_policy_options options;
    std::vector<const char *> outputs;
    std::vector<eff_dim_binding> dims;
    std::vector<eff_state_pair> states;
    std::vector<eff_constant_binding> constants;
  };

  using Describe = eff_status (*)(const eff_policy *, std::size_t, eff_tensor_spec *);
  Tensor describe(Describe function, std::size_t index) const {
    eff_tensor_spec s{};
    s.struct_size = sizeof s;
    check(function(handle_, index, &s));
    return {s.name,  static_cast<Role>(s.role), s.dtype, {s.shape, s.shape + s.rank}, s.count, s.size, index, s.pair,
            s.reason};
  }
  std::vector<Tensor> describe_all(Describe function, std::size_t count) const {
    std::vector<Tensor> all;
    for (std::size_t i = 0; i < count; i++) all.push_back(describe(function, i));
    return all;
  }
  std::vector<std::string> texts(const char *(*function)(const eff_policy *, std::size_t)) const {
    std::vector<std::string> all;
    while (const char *text = function(handle_, all.size())) all.emplace_back(text);
    return all;
  }
  static std::size_t found(std::int64_t index, const char *what, const std::string &name) {
    if (index < 0) throw Error(EFF_E_ARGUMENT, std::string(what) + " '" + name + "' does not exist");
    return static_cast<std::size_t>(index);
  }

  eff_policy *handle_ = nullptr;
};

// ---- session ----

// How to create a session; the fields are those of eff_session_options.
struct SessionOptions {
  std::size_t max_rows = 1;
  void *arena = nullptr;  // kept: memory of the caller, aligned to 64 bytes
  std::size_t arena_size = 0;
  const eff_allocator *allocator = nullptr;
  std::uint64_t seed = 0;
  bool locked = false;  // locks arena and tables in memory
  std::uint64_t first_row = 0;  // row r draws random numbers from the stream of (seed, first_row + r)
  eff_non_finite non_finite = EFF_NON_FINITE_REFUSE;  // what step does with numbers that are NaN or infinite
};

// One running instance of a policy, for up to max_rows independent robots. One caller at a time; it keeps its policy
// alive.
class Session {
 public:
  explicit Session(const Policy &policy, const SessionOptions &options = {})
      : policy_(policy), max_rows_(options.max_rows) {
    std::size_t observations = 0, actions = 0;
    for (auto &t : policy.inputs()) {
      if (t.role == Role::observation && observations++ == 0) observation_count_ = t.count;
      inputs_.push_back({t.dtype, t.count});
    }
    for (auto &t : policy.outputs()) {
      if (t.role == Role::action && actions++ == 0) action_count_ = t.count;
      outputs_.push_back({t.dtype, t.count});
    }
    if (observations != 1 || actions != 1) observation_count_ = action_count_ = 0;
    const eff_session_options lent = lend(options);
    check(eff_session_create(policy.get(), &lent, &handle_));  // last: what throws after it would leak it
  }
  Session(const Policy &policy, std::size_t max_rows, std::uint64_t seed = 0)
      : Session(policy, SessionOptions{max_rows, nullptr, 0, nullptr, seed, false, 0, EFF_NON_FINITE_REFUSE}) {}
  Session(Session &&other) noexcept
      : policy_(std::move(other.policy_)), handle_(std::exchange(other.handle_, nullptr)), max_rows_(other.max_rows_),
        observation_count_(other.observation_count_), action_count_(other.action_count_),
        inputs_(std::move(other.inputs_)), outputs_(std::move(other.outputs_)) {}
  Session &operator=(Session &&other) noexcept {
    Session moved(std::move(other));
    swap_with(moved);
    return *this;
  }
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;
  ~Session() { eff_session_destroy(handle_); }

  // Bytes that a session needs for its arena.
  static std::size_t arena_size(const Policy &policy, const SessionOptions &options = {}) {
    std::size_t size = 0;
    const eff_session_options lent = lend(options);
    check(eff_session_arena_size(policy.get(), &lent, &size));
    return size;
  }

  eff_session *get() const noexcept { return handle_; }
  const Policy &policy() const noexcept { return policy_; }
  std::size_t max_rows() const noexcept { return max_rows_; }
  // Elements of one row's observation and action; 0 for policies with more than one of them.
  std::size_t observation_count() const noexcept { return observation_count_; }
  std::size_t action_count() const noexcept { return action_count_; }

  // [RT] Reads observation [rows, observation_count], writes action [rows, action_count]; returns a code instead of
  // throwing. The caller vouches for the lengths.
  eff_status step(std::size_t rows, const float *observation, float *action) noexcept {
    return eff_session_step(handle_, rows, observation, action);
  }

  // [RT] The same with the lengths checked (EFF_E_SHAPE).
  eff_status step(std::size_t rows, span<const float> observation, span<float> action) noexcept {
    return eff_session_step_n(handle_, rows, observation.data(), observation.size(), action.data(), action.size());
  }

  // [RT] The same with the number of rows taken from the observation; throws what explain() says.
  void step(span<const float> observation, span<float> action) {
    const std::size_t rows = observation_count_ ? std::max<std::size_t>(1, observation.size() / observation_count_) : 1;
    check_call(step(rows, observation, action), "step");
  }

  // The last refusal of step, run, reset or prewarm in words, and how many numbers were cleared; "" where there was
  // neither.
  std::string explain() const { return eff_session_explain(handle_); }

  // The same, returning a new vector.
  std::vector<float> step(span<const float> observation) {
    std::vector<float> action(observation_count_ ? observation.size() / observation_count_ * action_count_ : 0);
    step(observation, span<float>(action));
    return action;
  }

  // [RT] Memory of an input, [max_rows, count], to be written before run. That of recurrent state moves with every run.
  template <class T = float>
  span<T> input(std::size_t index) {
    const Layout &t = layout<T>(inputs_, index, "input");
    return {static_cast<T *>(eff_session_input(handle_, index)), max_rows_ * t.count};
  }
  template <class T = float>
  span<T> input(const std::string &name) { return input<T>(policy_.find_input(name)); }

  // [RT] Memory of an output, [max_rows, count], valid until the next run.
  template <class T = float>
  span<const T> output(std::size_t index) const {
    const Layout &t = layout<T>(outputs_, index, "output");
    return {static_cast<const T *>(eff_session_output(handle_, index)), max_rows_ * t.count};
  }
  template <class T = float>
  span<const T> output(const std::string &name) const { return output<T>(policy_.find_output(name)); }

  void run(std::size_t rows = 1) { check_call(eff_session_run(handle_, rows), "run"); }         // [RT]
  void reset(std::int64_t row = -1) { check_rt(eff_session_reset(handle_, row), "reset"); }     // [RT] one row, or all
  void prewarm() { check_rt(eff_session_prewarm(handle_), "prewarm"); }                         // [RT]
  // [RT] Reads the weights alone; for the stepping thread or the one that swaps.
  void prewarm_weights() const { check_rt(eff_session_prewarm_weights(handle_), "prewarm_weights"); }
  // Adopted at the next step, which clears the recurrent state of all rows where reset_state says so; a newer offer
  // replaces one that waits.
  void swap(const Policy &next, bool reset_state = false) {
    eff_session_swap_options options;
    eff_session_swap_options_default(&options, sizeof options);
    options.reset_state = reset_state;
    check(eff_session_swap_with(handle_, next.get(), &options));
  }
  void reclaim() { check(eff_session_reclaim(handle_)); }

#ifdef EIGEN_CORE_H
  using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  // [RT] One row, or one robot per matrix row. Dense float vectors and row-major matrices are used in place; anything
  // else is copied first.
  void step(const Eigen::Ref<const Eigen::VectorXf> &observation, Eigen::Ref<Eigen::VectorXf> action) {
    step(span<const float>(observation.data(), size_of(observation)), span<float>(action.data(), size_of(action)));
  }
  void step_rows(const Eigen::Ref<const Matrix> &observation, Eigen::Ref<Matrix> action) {
    if (observation.outerStride() != observation.cols() || action.outerStride() != action.cols())
      throw Error(EFF_E_SHAPE, "step_rows: the rows of observation and action must follow each other without gaps");
    if (observation.rows() != action.rows())
      throw Error(EFF_E_SHAPE, "step_rows: observation has " + std::to_string(observation.rows()) + " rows and action "
                                   + std::to_string(action.rows()));
    step(span<const float>(observation.data(), size_of(observation)), span<float>(action.data(), size_of(action)));
  }
  Eigen::VectorXf step(const Eigen::Ref<const Eigen::VectorXf> &observation) {
    Eigen::VectorXf action(static_cast<Eigen::Index>(action_count_));
    step(observation, action);
    return action;
  }

  // [RT] Maps of input and output memory, [max_rows, count].
  Eigen::Map<Matrix> input_map(std::size_t index) {
    auto view = input<float>(index);
    return {view.data(), static_cast<Eigen::Index>(max_rows_), static_cast<Eigen::Index>(inputs_[index].count)};
  }
  Eigen::Map<const Matrix> output_map(std::size_t index) const {
    auto view = output<float>(index);
    return {view.data(), static_cast<Eigen::Index>(max_rows_), static_cast<Eigen::Index>(outputs_[index].count)};
  }
  Eigen::Map<Matrix> input_map(const std::string &name) { return input_map(policy_.find_input(name)); }
  Eigen::Map<const Matrix> output_map(const std::string &name) const { return output_map(policy_.find_output(name)); }
#endif

 private:
  struct Layout {
    std::int32_t dtype;
    std::size_t count;
  };

  void check_call(eff_status status, const char *what) const {
    if (status >= 0) return;
    const std::string words = explain();
    throw Error(status, std::string(what) + ": " + (words.empty() ? eff_status_name(status) : words));
  }
  static eff_session_options lend(const SessionOptions &from) {
    eff_session_options to;
    eff_session_options_default(&to, sizeof to);
    to.max_rows = from.max_rows;
    to.arena = from.arena;
    to.arena_size = from.arena_size;
    to.allocator = from.allocator;
    to.seed = from.seed;
    to.locked = from.locked;
    to.first_row = from.first_row;
    to.non_finite = from.non_finite;
    return to;
  }
  template <class T>
  static const Layout &layout(const std::vector<Layout> &all, std::size_t index, const char *what) {
    if (index >= all.size())
      throw Error(EFF_E_ARGUMENT, std::string(what) + " " + std::to_string(index) + " does not exist: there are "
                                      + std::to_string(all.size()));
    if (!detail::holds<T>(all[index].dtype))
      throw Error(EFF_E_SHAPE, std::string(what) + " " + std::to_string(index) + " has elements of another type");
    return all[index];
  }
  void swap_with(Session &other) noexcept {
    std::swap(policy_, other.policy_);
    std::swap(handle_, other.handle_);
    std::swap(max_rows_, other.max_rows_);
    std::swap(observation_count_, other.observation_count_);
    std::swap(action_count_, other.action_count_);
    std::swap(inputs_, other.inputs_);
    std::swap(outputs_, other.outputs_);
  }
#ifdef EIGEN_CORE_H
  template <class E>
  static std::size_t size_of(const E &e) { return static_cast<std::size_t>(e.size()); }
#endif

  Policy policy_;
  eff_session *handle_ = nullptr;
  std::size_t max_rows_ = 1, observation_count_ = 0, action_count_ = 0;
  std::vector<Layout> inputs_, outputs_;
};

}  // namespace efferent

#endif
