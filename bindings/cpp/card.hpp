// Efferent for C++17: policy cards over card.h. Header-only.
//
//   efferent::Card card("policy.onnx", R"({"patch": {"policy_period": 0.02, "control_period": 0.02}})");
//   for (const auto &q : card.questions()) std::cerr << q.path << ": " << q.answer << '\n';
//
// Immutable, reference counted: a copy shares. Any thread.
#ifndef EFFERENT_CARD_HPP
#define EFFERENT_CARD_HPP

#include "card.h"
#include "efferent.hpp"

namespace efferent {

// What is still to be answered: its path, and how.
struct CardQuestion {
  std::string path, answer;
};

class Card {
 public:
  // A JSON card or an ONNX file with metadata; `supplied` is a JSON object of answers (card.h), or empty.
  explicit Card(const std::string &path, const std::string &supplied = {}) {
    check_version();
    const eff_card_options o = options(supplied, nullptr);
    check(eff_card_load_file(path.c_str(), &o, &handle_));
  }
  // The same from bytes, which messages call `name`.
  Card(const void *bytes, std::size_t size, const std::string &supplied = {}, const std::string &name = "card") {
    check_version();
    const eff_card_options o = options(supplied, name.c_str());
    check(eff_card_load_memory(bytes, size, &o, &handle_));
  }
  static Card from_json(const std::string &text) { return Card(text.data(), text.size()); }
  Card(const Card &other) noexcept : handle_(eff_card_retain(other.handle_)) {}
  Card(Card &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Card &operator=(Card other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Card() { eff_card_release(handle_); }

  eff_card *get() const noexcept { return handle_; }

  // The card as JSON, answers included.
  std::string json() const {
    const char *text = eff_card_json(handle_);
    return text ? text : "";
  }
  std::vector<CardQuestion> questions() const {
    std::vector<CardQuestion> out;
    for (std::size_t i = 0; i < eff_card_question_count(handle_); i++)
      out.push_back({eff_card_question(handle_, i), eff_card_answer(handle_, i)});
    return out;
  }

 private:
  static eff_card_options options(const std::string &supplied, const char *name) {
    eff_card_options o;
    eff_card_options_default(&o, sizeof o);
    o.supplied = supplied.empty() ? nullptr : supplied.c_str();
    o.name = name;
    return o;
  }

  eff_card *handle_ = nullptr;
};

}  // namespace efferent

#endif
