// Reads texts as JSON and answers each with what Lovage makes of it; json_differential.py compares
// that with Python.
//
// Records on both sides are a decimal length, a line break, and that many bytes. Every record in is
// answered by two: the value written in Python's style and in the compact one, or "ERROR <code>"
// twice. When opening the text a level at a time gives another value than reading it whole, the
// answer is "SHALLOW" twice.

#include <cstddef>
#include <iostream>
#include <string>
#include <string_view>

#include <lovage/core/json.hpp>

namespace {

void answer(std::string_view text) {
    std::cout << text.size() << '\n' << text;
}

/// Does opening the text one level, and the rest afterwards, give what reading it whole gives?
bool shallow_agrees(std::string_view text, std::string_view whole) {
    const auto shallow = lovage::parse_json_shallow(text, 1);
    if (!shallow) return false;
    const auto full = shallow->fully_expanded();
    return full && to_json_text(*full) == whole;
}

void process(std::string_view text) {
    const auto value = lovage::parse_json(text);
    if (!value) {
        const std::string error = "ERROR " + std::string{to_string(value.error().code)};
        answer(error);
        answer(error);
        return;
    }
    const std::string written = to_json_text(*value);
    const bool agrees = shallow_agrees(text, written);
    answer(agrees ? written : "SHALLOW");
    answer(agrees ? to_json_text(*value, lovage::JsonStyle::compact) : "SHALLOW");
}

}  // namespace

int main() {
    std::ios::sync_with_stdio(false);
    std::size_t length = 0;
    while (std::cin >> length) {
        std::cin.get();
        std::string text(length, '\0');
        if (!std::cin.read(text.data(), static_cast<std::streamsize>(length))) return 1;
        process(text);
    }
    return std::cin.eof() ? 0 : 1;
}
