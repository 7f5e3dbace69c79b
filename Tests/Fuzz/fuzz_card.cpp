// libFuzzer: a policy card, or an ONNX file with metadata, and what the user answers -> eff_card. The text before the
// first zero byte is the card and the text behind it the answers; other bytes are a file. What is accepted must read
// back as it was written. Three of four mutations of a text change whole
// tokens, so that kinds, counts and names are changed and not only the syntax.
#include <efferent/card.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

void tryCard(const uint8_t *data, size_t size, const char *supplied) {
  eff_card_options options;
  eff_card_options_default(&options, sizeof options);
  options.supplied = supplied;
  eff_card *card = nullptr;
  if (eff_card_load_memory(data, size, &options, &card) != EFF_OK) {
    if (card || strlen(eff_last_error()) < 10) abort();
    return;
  }
  const char *text = eff_card_json(card);
  for (size_t i = 0; i < eff_card_question_count(card); i++) {
    if (!*eff_card_question(card, i) || !*eff_card_answer(card, i)) abort();
  }
  eff_card *again = nullptr;
  if (eff_card_load_memory(text, strlen(text), nullptr, &again) != EFF_OK) abort();
  if (strcmp(text, eff_card_json(again)) != 0) abort();
  eff_card_release(again);
  eff_card_release(card);
}

bool isText(const uint8_t *data, size_t size) { return size > 0 && data[0] == '{'; }

// Where the tokens of a JSON text begin, its end included.
std::vector<size_t> tokens(const std::string &text) {
  std::vector<size_t> out;
  for (size_t at = 0; at < text.size();) {
    out.push_back(at);
    if (text[at] == '"') {
      for (at++; at < text.size() && text[at] != '"'; at++) at += text[at] == '\\';
      at = at < text.size() ? at + 1 : text.size();
    } else if (strchr("{}[],: \n", text[at])) {
      at++;
    } else {
      while (at < text.size() && !strchr("{}[],: \n\"", text[at])) at++;
    }
  }
  out.push_back(text.size());
  return out;
}

const char *const values[] = {"0",
                              "-1",
                              "1",
                              "2",
                              "0.5",
                              "1e-320",
                              "1e308",
                              "1e999",
                              "9007199254740993",
                              "NaN",
                              "-Infinity",
                              "null",
                              "true",
                              "false",
                              "\"\"",
                              "[]",
                              "{}",
                              "[0]",
                              "[1, 0]",
                              "[0, 1]",
                              "[[0, 1]]",
                              "\"default\"",
                              "\"raw\"",
                              "\"time_major\"",
                              "\"first\"",
                              "\"policy\"",
                              "\"obs\"",
                              "\"a\"",
                              "\"b\"",
                              "\"memory:h\"",
                              "\"vector:obs\"",
                              "\"signal:base.orientation\"",
                              "\"model:policy.actions\"",
                              "16777216",
                              "1e17"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  const uint8_t *end = isText(data, size) ? static_cast<const uint8_t *>(memchr(data, 0, size)) : nullptr;
  if (!end) {
    tryCard(data, size, nullptr);
  } else {
    const std::string supplied(reinterpret_cast<const char *>(end + 1), data + size - end - 1);
    tryCard(data, end - data, supplied.c_str());
  }
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
  if (seed % 4 == 0 || !isText(data, size)) return LLVMFuzzerMutate(data, size, most);
  std::string text(reinterpret_cast<const char *>(data), size);
  const std::vector<size_t> at = tokens(text);
  auto random = [state = seed]() mutable { return (state = state * 1664525u + 1013904223u) >> 8; };
  const size_t one = random() % (at.size() - 1), other = random() % (at.size() - 1);
  const std::string token = text.substr(at[other], at[other + 1] - at[other]);
  switch (random() % 4) {
    case 0: text.replace(at[one], at[one + 1] - at[one], values[random() % (sizeof values / sizeof *values)]); break;
    case 1: text.replace(at[one], at[one + 1] - at[one], token); break;
    case 2: text.erase(at[one], at[one + 1] - at[one]); break;
    default: text.insert(at[one], token);
  }
  if (text.size() > most) return LLVMFuzzerMutate(data, size, most);
  memcpy(data, text.data(), text.size());
  return text.size();
}
