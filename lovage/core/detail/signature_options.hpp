#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lovage/core/convert.hpp>
#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/signature.hpp>
#include <lovage/core/time.hpp>

// Options of signatures: maps laid over one another, read field by field.
namespace lovage::detail {

/// A list, opened; a single map is a list of one, as Celery takes it, and null none. `name` names
/// it in errors.
[[nodiscard]] Result<Json::Array> list_of(const Json& value, std::string_view name);

/// Adds `items` behind those of the list option `name`; without any, the option stays as it is.
[[nodiscard]] Result<void> extend(Json& options, std::string_view name, const Json& items);

/// Names of stamps, which stay as they are stored.
[[nodiscard]] std::vector<std::string> stamp_names(const Json& options);

/// Options of a call laid over a signature's own (celery-wire reference, section 14.2).
[[nodiscard]] Json merged(const Json& stored, const Json& over);

/// The option, or nullptr when it is missing or null.
[[nodiscard]] const Json* given(const Json& options, std::string_view name);

/// The option, taken out; null when it is not there.
Json taken(Json& options, std::string_view name);

[[nodiscard]] std::unexpected<Error> bad_option(const Signature& signature, std::string_view name,
                                                const Json& value);

/// Reads options one after the other and keeps the first problem.
class OptionReader {
public:
    OptionReader(const Signature& signature, const Json& options)
        : signature_{signature}, options_{options} {}

    template <class T>
    void read(std::string_view name, std::optional<T>& into) {
        const Json* const value = given(options_, name);
        if (value == nullptr) return;
        auto converted = from_json<T>(*value);
        if (converted) {
            into = std::move(*converted);
        } else {
            refuse(name, *value);
        }
    }
    template <class T>
    void read(std::string_view name, T& into) {
        std::optional<T> value;
        read(name, value);
        if (value) into = std::move(*value);
    }
    /// A moment, or a number of seconds from `now`.
    void read_time(std::string_view name, TimePoint now, std::optional<TimePoint>& into);
    /// As it is; null when it is missing.
    [[nodiscard]] Json get(std::string_view name) const;
    void refuse(std::string_view name, const Json& value);
    [[nodiscard]] const std::optional<Error>& problem() const { return problem_; }

private:
    const Signature& signature_;
    const Json& options_;
    std::optional<Error> problem_;
};

/// What nests deeper than kCanvasDepthMax.
[[nodiscard]] std::unexpected<Error> canvas_too_deep();

}  // namespace lovage::detail
