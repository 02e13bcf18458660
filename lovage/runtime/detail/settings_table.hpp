#pragma once

#include <lovage/core/json.hpp>
#include <lovage/runtime/settings.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::detail {

/// Whose name a setting has: Celery's own are also read from CELERY_<NAME>.
enum class Owner : std::uint8_t { celery, lovage };

/// What a setting is for, in one sentence: a capital letter first, a full stop last. It is checked
/// by the compiler, and a Setting cannot be made without one.
class Sentence {
public:
    // Implicit, so that a row of the table is readable.
    consteval Sentence(const char* text) : text_{text} {  // NOLINT(google-explicit-constructor)
        if (text_.size() < 10 || text_.back() != '.' || text_.front() < 'A' || text_.front() > 'Z')
            throw "a setting is explained by a sentence: a capital letter first, a full stop last";
    }
    [[nodiscard]] std::string_view text() const noexcept { return text_; }

private:
    std::string_view text_;
};

/// Which values a setting takes.
struct ValueForm {
    std::string_view type;  ///< "boolean", "number", "whole number", "one of", "text", "URL", "map"
    std::string_view unit;  ///< "seconds", "KiB"; empty: none.
    std::string range;      ///< "1 to 10000"; empty: whatever has the type.
    std::string text;       ///< "true or false": ends the sentence "the accepted form is …"
};

/// One setting: how it is described, read and shown.
struct Setting {
    std::string_view name;
    Owner owner;
    ValueForm form;
    Sentence sentence;
    std::function<bool(Settings&, const Json&)> assign;
    std::function<std::string(const Settings&)> show;
    /// In the form `assign` reads, secrets included. Empty: what `show` shows.
    std::function<std::string(const Settings&)> save = nullptr;
    /// Words for a default that depends on the machine or on the program. Empty: what `show` shows.
    std::string_view default_text = "";
    std::string_view group = "";  ///< The heading it stands under in the reference.
};

/// Every setting, by name.
[[nodiscard]] const std::vector<Setting>& settings_table();
/// The headings of the reference, in its order.
[[nodiscard]] const std::vector<std::string_view>& setting_groups();
/// nullptr for a name that is none.
[[nodiscard]] const Setting* find_setting(std::string_view name);
[[nodiscard]] std::vector<std::string_view> setting_names();
/// The variables a setting is read from.
[[nodiscard]] std::vector<std::string> environment_names(const Setting& setting);

}  // namespace lovage::detail
