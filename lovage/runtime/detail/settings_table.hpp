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

/// One setting: how messages describe it, how it is read and how it is shown.
struct Setting {
    std::string_view name;
    Owner owner;
    std::string_view form;  ///< "true or false": ends the sentence "the accepted form is …"
    std::function<bool(Settings&, const Json&)> assign;
    std::function<std::string(const Settings&)> show;
    /// In the form `assign` reads, secrets included. Empty: what `show` shows.
    std::function<std::string(const Settings&)> save = nullptr;
};

/// Every setting, by name.
[[nodiscard]] const std::vector<Setting>& settings_table();
/// nullptr for a name that is none.
[[nodiscard]] const Setting* find_setting(std::string_view name);
[[nodiscard]] std::vector<std::string_view> setting_names();
/// The variables a setting is read from.
[[nodiscard]] std::vector<std::string> environment_names(const Setting& setting);

[[nodiscard]] std::string to_lower(std::string_view text);
[[nodiscard]] std::string to_upper(std::string_view text);

}  // namespace lovage::detail
