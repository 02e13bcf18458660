#include <lovage/core/json_events.hpp>

#include <algorithm>
#include <limits>
#include <string>

#include <fmt/format.h>

#include <lovage/core/detail/json_scanner.hpp>
#include <lovage/core/detail/number_text.hpp>

namespace lovage {

namespace {

/// Recursion is bounded by `depth_max`, which read_json_events() keeps at or below kJsonDepthMax.
class Reporter {
public:
    Reporter(std::string_view text, std::size_t depth_max, JsonEvents& events)
        : scan_{text, depth_max}, events_{events} {}

    Result<void> report() {
        if (scan_.begin_document() && value() && scan_.end_document()) return {};
        return std::unexpected{scan_.take_error()};
    }

private:
    bool value() {
        if (scan_.at_end()) return scan_.fail_here("a value");
        switch (scan_.peek()) {
            case '{':
                return object();
            case '[':
                return array();
            case '"': {
                std::string_view text;
                if (!scan_.read_string(text, scratch_)) return false;
                events_.on_string(text);
                return true;
            }
            case 't':
            case 'f': {
                const bool truth = scan_.peek() == 't';
                if (!scan_.read_word(truth ? "true" : "false")) return false;
                events_.on_boolean(truth);
                return true;
            }
            case 'n':
                if (!scan_.read_word("null")) return false;
                events_.on_null();
                return true;
            case 'N':
                return real("NaN", std::numeric_limits<double>::quiet_NaN());
            case 'I':
                return real("Infinity", std::numeric_limits<double>::infinity());
            default:
                return number();
        }
    }

    bool real(std::string_view word, double meant) {
        if (!scan_.read_word(word)) return false;
        events_.on_real(meant);
        return true;
    }

    bool number() {
        detail::JsonScanner::Number number;
        if (!scan_.read_number(number)) return false;
        if (number.negative_infinity) {
            events_.on_real(-std::numeric_limits<double>::infinity());
        } else if (number.real) {
            events_.on_real(detail::real_from_decimal(number.text));
        } else {
            events_.on_integer(number.text);
        }
        return true;
    }

    bool array() {
        if (!scan_.enter_container()) return false;
        events_.on_array_begin();
        bool failed = false;
        if (!scan_.skip_if(']')) {
            do {
                if (!value()) return false;
            } while (scan_.next_item(']', failed));
        }
        if (failed) return false;
        events_.on_array_end();
        scan_.leave_container();
        return true;
    }

    bool object() {
        if (!scan_.enter_container()) return false;
        events_.on_object_begin();
        bool failed = false;
        if (!scan_.skip_if('}')) {
            do {
                std::string_view name;
                if (!scan_.read_name(name, scratch_)) return false;
                events_.on_name(name);
                if (!value()) return false;
            } while (scan_.next_item('}', failed));
        }
        if (failed) return false;
        events_.on_object_end();
        scan_.leave_container();
        return true;
    }

    detail::JsonScanner scan_;
    JsonEvents& events_;
    std::string scratch_;
};

}  // namespace

Result<void> read_json_events(std::string_view text, JsonEvents& events, const JsonLimits& limits) {
    if (text.size() > limits.bytes) {
        return fail(Errc::too_large, fmt::format("JSON text of {} bytes, more than the limit of {}",
                                                 text.size(), limits.bytes));
    }
    return Reporter{text, std::min(limits.depth, kJsonDepthMax), events}.report();
}

}  // namespace lovage
