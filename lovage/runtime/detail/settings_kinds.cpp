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

ValueForm form_above_zero() {
    return form_of_seconds("more than 0", "a number of seconds greater than 0, such as 10 or 2.5");
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
    return special(name, owner, form_of_boolean(), member, sentence, read_boolean, show_boolean);
}

Setting override_of(std::string_view name, Owner owner, std::optional<bool> Settings::* member,
                    Sentence sentence) {
    return special(name, owner, form_of_boolean(), member, sentence, read_boolean,
                   [](const std::optional<bool>& flag) {
                       return flag ? show_boolean(*flag) : std::string{"as delivery says"};
                   });
}

Setting limit(std::string_view name, Owner owner,
              std::optional<std::chrono::milliseconds> Settings::* member, Sentence sentence) {
    const auto read = [](const Json& value) {
        auto time = read_seconds(value);
        if (time && time->count() == 0) time.reset();
        return time;
    };
    const auto show = [](const std::optional<std::chrono::milliseconds>& time) {
        return time ? show_seconds(*time) : std::string{"none"};
    };
    return special(name, owner, form_above_zero(), member, sentence, read, show);
}

Setting seconds(std::string_view name, Owner owner, std::chrono::milliseconds Settings::* member,
                Sentence sentence, std::string_view zero) {
    const std::string text =
        zero.empty() ? std::string{"a number of seconds such as 10 or 2.5"}
                     : fmt::format("a number of seconds such as 10 or 2.5, 0 for {}", zero);
    return special(name, owner, form_of_seconds("0", text, zero), member, sentence, read_seconds,
                   show_seconds);
}

Setting period(std::string_view name, Owner owner, std::chrono::milliseconds Settings::* member,
               Sentence sentence) {
    const auto read = [](const Json& value) {
        auto time = read_seconds(value);
        if (time && time->count() == 0) time.reset();
        return time;
    };
    return special(name, owner, form_above_zero(), member, sentence, read, show_seconds);
}

Setting expiry(std::string_view name, Owner owner,
               std::optional<std::chrono::seconds> Settings::* member, Sentence sentence) {
    const auto text = [](const std::optional<std::chrono::seconds>& time, std::string_view never) {
        return time ? std::to_string(time->count()) : std::string{never};
    };
    Setting setting = special(
        name, owner, form_of_seconds("0", "a number of seconds, 0 for never", "never"), member,
        sentence, read_expiry, [text](const auto& time) { return text(time, "never"); });
    setting.save = [text, member](const Settings& settings) { return text(settings.*member, "0"); };
    return setting;
}

Setting url(std::string_view name, Owner owner, std::string Settings::* member, Sentence sentence) {
    ValueForm form{.type = "URL",
                   .unit = "",
                   .range = "",
                   .text =
                       "a URL such as sqlite:///.lovage or amqp://user:password@host:5672// "
                       "(special characters of a password as %40 for '@', %2F for '/')"};
    const auto read = [](const Json& value) -> std::optional<std::string> {
        if (!value.is_string() || !show_urls(value.as_string())) return std::nullopt;
        return value.as_string();
    };
    Setting setting = special(name, owner, std::move(form), member, sentence, read, display_urls);
    setting.save = [member](const Settings& settings) { return settings.*member; };
    return setting;
}

Setting word(std::string_view name, Owner owner, std::vector<std::string_view> words,
             std::string Settings::* member, std::string_view unset, Sentence sentence) {
    ValueForm form = form_of_words(words);
    const auto read = [words = std::move(words)](const Json& value) -> std::optional<std::string> {
        if (!value.is_string() || std::ranges::find(words, value.as_string()) == words.end()) {
            return std::nullopt;
        }
        return value.as_string();
    };
    const auto show = [unset](const std::string& chosen) {
        return chosen.empty() ? std::string{unset} : chosen;
    };
    return special(name, owner, std::move(form), member, sentence, read, show);
}

Setting with_default(std::string_view text, Setting setting) {
    setting.default_text = text;
    return setting;
}

}  // namespace lovage::detail
