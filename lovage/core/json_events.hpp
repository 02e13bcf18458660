#pragma once

#include <string_view>

#include <lovage/core/error.hpp>
#include <lovage/core/json.hpp>

namespace lovage {

/// Is told what a JSON text consists of, in its order, by read_json_events(). For writers of
/// another format that need no tree in between.
///
/// Texts are valid during the call only.
class JsonEvents {
public:
    virtual ~JsonEvents() = default;

    virtual void on_null() = 0;
    virtual void on_boolean(bool value) = 0;
    /// Of any size: `-?[0-9]+`.
    virtual void on_integer(std::string_view decimal) = 0;
    virtual void on_real(double value) = 0;
    /// Unescaped; UTF-8 with lone surrogates kept (WTF-8).
    virtual void on_string(std::string_view text) = 0;
    virtual void on_array_begin() = 0;
    virtual void on_array_end() = 0;
    virtual void on_object_begin() = 0;
    /// The next value's name. A name that is doubled comes twice.
    virtual void on_name(std::string_view name) = 0;
    virtual void on_object_end() = 0;
};

/// Reads one JSON value, accepting what parse_json() accepts, and tells `events` of each part as
/// soon as it is read: of the parts before a mistake, too. Errors: as parse_json().
[[nodiscard]] Result<void> read_json_events(std::string_view text, JsonEvents& events,
                                            const JsonLimits& limits = {});

}  // namespace lovage
