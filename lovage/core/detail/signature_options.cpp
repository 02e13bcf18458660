#include <lovage/core/detail/signature_options.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include <lovage/core/python_repr.hpp>

namespace lovage::detail {

Result<Json::Array> list_of(const Json& value, std::string_view name) {
    auto opened = value.expanded();
    if (!opened) return std::unexpected{std::move(opened.error())};
    if (opened->is_null()) return Json::Array{};
    if (opened->is_object()) return Json::Array{std::move(*opened)};
    if (!opened->is_array()) {
        return fail(Errc::malformed,
                    fmt::format("'{}' is no list but {}", name, python_repr(value, 60)));
    }
    return std::move(opened->as_array());
}

Result<void> extend(Json& options, std::string_view name, const Json& items) {
    const Json* const stored = options.find(name);
    auto list = list_of(stored != nullptr ? *stored : Json{}, name);
    if (!list) return std::unexpected{std::move(list.error())};
    auto more = list_of(items, name);
    if (!more) return std::unexpected{std::move(more.error())};
    if (more->empty()) return {};
    list->insert(list->end(), std::make_move_iterator(more->begin()),
                 std::make_move_iterator(more->end()));
    options.set(name, Json{std::move(*list)});
    return {};
}

std::vector<std::string> stamp_names(const Json& options) {
    std::vector<std::string> names;
    const Json* const stamped = options.find("stamped_headers");
    if (stamped == nullptr) return names;
    const auto opened = stamped->expanded();
    if (!opened || !opened->is_array()) return names;
    for (const Json& name : opened->as_array()) {
        if (name.is_string()) names.push_back(name.as_string());
    }
    return names;
}

Json merged(const Json& stored, const Json& over) {
    Json options = stored;
    const std::vector<std::string> stamps = stamp_names(stored);
    for (const auto& [name, value] : over.as_object()) {
        if (value.is_null()) continue;
        const bool stays = name == "group_id" || name == "stamped_headers" ||
                           std::ranges::find(stamps, name) != stamps.end();
        const Json* const own = options.find(name);
        if (stays && own != nullptr && !own->is_null()) continue;
        options.set(name, value);
    }
    return options;
}

const Json* given(const Json& options, std::string_view name) {
    const Json* value = options.find(name);
    return value != nullptr && !value->is_null() ? value : nullptr;
}

Json taken(Json& options, std::string_view name) {
    Json* const value = options.find(name);
    if (value == nullptr) return {};
    Json what = std::move(*value);
    options.erase(name);
    return what;
}

std::unexpected<Error> bad_option(const Signature& signature, std::string_view name,
                                  const Json& value) {
    return fail(Errc::malformed, fmt::format("signature '{}' has an option '{}' that cannot be: {}",
                                             signature.task, name, python_repr(value, 60)));
}

void OptionReader::read_time(std::string_view name, TimePoint now, std::optional<TimePoint>& into) {
    const Json* const value = given(options_, name);
    if (value == nullptr) return;
    if (!value->is_integer() && !value->is_real()) return read(name, into);
    std::optional<double> seconds;
    read(name, seconds);
    constexpr double kLongest = 100.0 * 366 * 86400;
    if (seconds && std::isfinite(*seconds) && std::abs(*seconds) <= kLongest) {
        into = now + std::chrono::microseconds{std::llround(*seconds * 1e6)};
    } else {
        refuse(name, *value);
    }
}

Json OptionReader::get(std::string_view name) const {
    const Json* const value = given(options_, name);
    return value != nullptr ? *value : Json{};
}

void OptionReader::refuse(std::string_view name, const Json& value) {
    if (!problem_) problem_ = bad_option(signature_, name, value).error();
}

std::unexpected<Error> canvas_too_deep() {
    return fail(Errc::too_large,
                fmt::format("a canvas is nested deeper than {} levels", kCanvasDepthMax));
}

}  // namespace lovage::detail
