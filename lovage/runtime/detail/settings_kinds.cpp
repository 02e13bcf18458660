#include <lovage/runtime/detail/settings_kinds.hpp>

#include <limits>

#include <fmt/core.h>

#include <lovage/runtime/url.hpp>

namespace lovage::detail {

namespace {

ValueForm form_of_boolean() {
    return {.type = "boolean", .unit = "", .range = "", .text = "true or false"};
}

ValueForm form_of_seconds(std::string_view low, std::string_view text, std::string_view zero = "") {
    return {.type = "number",
            .unit = "seconds",
            .range = fmt::format("{} to {}{}{}", low, kLongestSeconds,
                                 zero.empty() ? "" : ", 0 for ", zero),
            .text = std::string{text}};
}

std::string show_boolean(bool flag) {
    return flag ? "true" : "false";
}

}  // namespace

std::string list_of(const std::vector<std::string_view>& words) {
    std::string list;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i != 0) list += i + 1 == words.size() ? " or " : ", ";
        list += words[i];
    }
    return list;
}

ValueForm form_of_words(const std::vector<std::string_view>& words) {
    return {.type = "one of", .unit = "", .range = list_of(words), .text = list_of(words)};
}

ValueForm form_of(const WholeNumber& numbers) {
    std::string text = "a whole number";
    if (!numbers.unit.empty()) text += fmt::format(" of {}", numbers.unit);
    if (numbers.high < std::numeric_limits<std::uint32_t>::max()) {
        text += fmt::format(" from {} to {}", numbers.low, numbers.high);
    }
    const std::string zero = numbers.zero.empty() ? "" : fmt::format(", 0 for {}", numbers.zero);
    return {.type = "whole number",
            .unit = numbers.unit,
            .range = fmt::format("{} to {}{}", numbers.low, numbers.high, zero),
            .text = text + zero};
}

Setting boolean(std::string_view name, Owner owner, bool Settings::* member, Sentence sentence) {
    return {.name = name,
            .owner = owner,
            .form = form_of_boolean(),
            .sentence = sentence,
            .assign =
                [member](Settings& settings, const Json& value) {
                    const auto flag = read_boolean(value);
                    if (flag) settings.*member = *flag;
                    return flag.has_value();
                },
            .show = [member](const Settings& settings) { return show_boolean(settings.*member); }};
}

Setting override_of(std::string_view name, Owner owner, std::optional<bool> Settings::* member,
                    Sentence sentence) {
    return {.name = name,
            .owner = owner,
            .form = form_of_boolean(),
            .sentence = sentence,
            .assign =
                [member](Settings& settings, const Json& value) {
                    const auto flag = read_boolean(value);
                    if (flag) settings.*member = *flag;
                    return flag.has_value();
                },
            .show =
                [member](const Settings& settings) {
                    const std::optional<bool>& flag = settings.*member;
                    return flag ? show_boolean(*flag) : std::string{"as delivery says"};
                }};
}

Setting limit(std::string_view name, Owner owner,
              std::optional<std::chrono::milliseconds> Settings::* member, Sentence sentence) {
    return {
        .name = name,
        .owner = owner,
        .form =
            form_of_seconds("more than 0", "a number of seconds greater than 0, such as 10 or 2.5"),
        .sentence = sentence,
        .assign =
            [member](Settings& settings, const Json& value) {
                const auto time = read_seconds(value);
                if (!time || time->count() == 0) return false;
                settings.*member = *time;
                return true;
            },
        .show =
            [member](const Settings& settings) {
                return settings.*member ? show_seconds(*(settings.*member)) : std::string{"none"};
            }};
}

Setting seconds(std::string_view name, Owner owner, std::chrono::milliseconds Settings::* member,
                Sentence sentence, std::string_view zero) {
    const std::string text =
        zero.empty() ? std::string{"a number of seconds such as 10 or 2.5"}
                     : fmt::format("a number of seconds such as 10 or 2.5, 0 for {}", zero);
    return {.name = name,
            .owner = owner,
            .form = form_of_seconds("0", text, zero),
            .sentence = sentence,
            .assign =
                [member](Settings& settings, const Json& value) {
                    const auto time = read_seconds(value);
                    if (time) settings.*member = *time;
                    return time.has_value();
                },
            .show = [member](const Settings& settings) { return show_seconds(settings.*member); }};
}

Setting expiry(std::string_view name, Owner owner,
               std::optional<std::chrono::seconds> Settings::* member, Sentence sentence) {
    const auto text = [member](const Settings& settings, std::string_view never) {
        const std::optional<std::chrono::seconds>& time = settings.*member;
        return time ? std::to_string(time->count()) : std::string{never};
    };
    return {.name = name,
            .owner = owner,
            .form = form_of_seconds("0", "a number of seconds, 0 for never", "never"),
            .sentence = sentence,
            .assign =
                [member](Settings& settings, const Json& value) {
                    const auto time = read_expiry(value);
                    if (time) settings.*member = *time;
                    return time.has_value();
                },
            .show = [text](const Settings& settings) { return text(settings, "never"); },
            .save = [text](const Settings& settings) { return text(settings, "0"); }};
}

Setting url(std::string_view name, Owner owner, std::string Settings::* member, Sentence sentence) {
    return {.name = name,
            .owner = owner,
            .form = {.type = "URL",
                     .unit = "",
                     .range = "",
                     .text = "a URL such as sqlite:///.lovage or amqp://user:password@host:5672// "
                             "(special characters of a password as %40 for '@', %2F for '/')"},
            .sentence = sentence,
            .assign =
                [member](Settings& settings, const Json& value) {
                    if (!value.is_string() || !show_urls(value.as_string())) return false;
                    settings.*member = value.as_string();
                    return true;
                },
            .show = [member](const Settings& settings) { return display_urls(settings.*member); },
            .save = [member](const Settings& settings) { return settings.*member; }};
}

Setting word(std::string_view name, Owner owner, std::vector<std::string_view> words,
             std::string Settings::* member, std::string_view unset, Sentence sentence) {
    return {.name = name,
            .owner = owner,
            .form = form_of_words(words),
            .sentence = sentence,
            .assign =
                [member, words](Settings& settings, const Json& value) {
                    if (!value.is_string()) return false;
                    const auto found = std::ranges::find(words, value.as_string());
                    if (found == words.end()) return false;
                    settings.*member = *found;
                    return true;
                },
            .show =
                [member, unset](const Settings& settings) {
                    const std::string& chosen = settings.*member;
                    return chosen.empty() ? std::string{unset} : chosen;
                }};
}

Setting with_default(std::string_view text, Setting setting) {
    setting.default_text = text;
    return setting;
}

}  // namespace lovage::detail
