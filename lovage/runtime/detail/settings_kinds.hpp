#pragma once

#include <lovage/runtime/detail/settings_table.hpp>
#include <lovage/runtime/detail/settings_values.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lovage::detail {

// Makers of settings of one kind: what is written in a row of settings_table.cpp.

/// Of any type: `read` makes a value of JSON, or nothing; `show` makes words of the member.
template <class T, class Read, class Show>
[[nodiscard]] Setting special(std::string_view name, Owner owner, ValueForm form,
                              T Settings::* member, Sentence sentence, Read read, Show show) {
    return {.name = name,
            .owner = owner,
            .form = std::move(form),
            .sentence = sentence,
            .assign =
                [member, read](Settings& settings, const Json& value) {
                    auto result = read(value);
                    if (result) settings.*member = std::move(*result);
                    return result.has_value();
                },
            .show = [member, show](
                        const Settings& settings) { return std::string{show(settings.*member)}; }};
}

[[nodiscard]] Setting boolean(std::string_view name, Owner owner, bool Settings::* member,
                              Sentence sentence);
/// A boolean that the profile `delivery` decides unless it is set.
[[nodiscard]] Setting override_of(std::string_view name, Owner owner,
                                  std::optional<bool> Settings::* member, Sentence sentence);

/// Seconds after which something is limited, more than 0; not set: no limit.
[[nodiscard]] Setting limit(std::string_view name, Owner owner,
                            std::optional<std::chrono::milliseconds> Settings::* member,
                            Sentence sentence);
/// Seconds from 0. `zero` says what 0 means where it is no ordinary time: "never".
[[nodiscard]] Setting seconds(std::string_view name, Owner owner,
                              std::chrono::milliseconds Settings::* member, Sentence sentence,
                              std::string_view zero = "");
/// Seconds above 0.
[[nodiscard]] Setting period(std::string_view name, Owner owner,
                             std::chrono::milliseconds Settings::* member, Sentence sentence);
/// Seconds that something is kept, shown as "never" for 0 and not set.
[[nodiscard]] Setting expiry(std::string_view name, Owner owner,
                             std::optional<std::chrono::seconds> Settings::* member,
                             Sentence sentence);

/// One URL or several, separated by `;`; shown without their secrets.
[[nodiscard]] Setting url(std::string_view name, Owner owner, std::string Settings::* member,
                          Sentence sentence);

/// Which whole numbers a setting takes.
struct WholeNumber {
    std::int64_t low = 0;
    std::int64_t high = 0;
    std::string_view unit = "";  ///< "KiB"; empty: none.
    std::string_view zero = "";  ///< What 0 means where it is no ordinary number: "no limit".
};
[[nodiscard]] ValueForm form_of(const WholeNumber& numbers);

template <std::integral Integer>
[[nodiscard]] auto reader_of(const WholeNumber& numbers) {
    return [low = numbers.low, high = numbers.high](const Json& value) {
        const auto number = read_integer(value, low, high);
        return number ? std::optional{static_cast<Integer>(*number)} : std::nullopt;
    };
}
template <std::integral Integer>
[[nodiscard]] Setting whole_number(std::string_view name, Owner owner, WholeNumber numbers,
                                   Integer Settings::* member, Sentence sentence) {
    return special(name, owner, form_of(numbers), member, sentence, reader_of<Integer>(numbers),
                   [](Integer number) { return std::to_string(number); });
}
template <std::integral Integer>
[[nodiscard]] Setting whole_number(std::string_view name, Owner owner, WholeNumber numbers,
                                   std::optional<Integer> Settings::* member, Sentence sentence) {
    return special(name, owner, form_of(numbers), member, sentence, reader_of<Integer>(numbers),
                   [](const std::optional<Integer>& number) {
                       return number ? std::to_string(*number) : std::string{"none"};
                   });
}

/// A word and what it stands for. Several words may stand for one value; the first is shown.
template <class T>
struct Word {
    std::string_view word;
    T value;
};
/// "one, two or three"
[[nodiscard]] std::string list_of(const std::vector<std::string_view>& words);
[[nodiscard]] ValueForm form_of_words(const std::vector<std::string_view>& words);

/// One of some words, in any case. `words` must have static lifetime.
template <class T>
[[nodiscard]] Setting word(std::string_view name, Owner owner, std::span<const Word<T>> words,
                           T Settings::* member, Sentence sentence) {
    std::vector<std::string_view> shown;
    for (const Word<T>& choice : words) {
        const auto* const first = &*std::ranges::find(words, choice.value, &Word<T>::value);
        if (first == &choice) shown.push_back(choice.word);
    }
    const auto read = [words](const Json& value) -> std::optional<T> {
        if (!value.is_string()) return std::nullopt;
        const auto found = std::ranges::find(words, to_lower(value.as_string()), &Word<T>::word);
        return found == words.end() ? std::nullopt : std::optional{found->value};
    };
    const auto show = [words](const T& value) {
        return std::ranges::find(words, value, &Word<T>::value)->word;
    };
    return special(name, owner, form_of_words(shown), member, sentence, read, show);
}

/// One of some words, kept as it is; shown as `unset` while it is empty.
[[nodiscard]] Setting word(std::string_view name, Owner owner, std::vector<std::string_view> words,
                           std::string Settings::* member, std::string_view unset,
                           Sentence sentence);

/// The same setting, with words for a default that depends on the machine or on the program.
[[nodiscard]] Setting with_default(std::string_view text, Setting setting);

}  // namespace lovage::detail
