#include <lovage/core/json.hpp>

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include <lovage/core/detail/json_scanner.hpp>
#include <lovage/core/detail/number_text.hpp>

namespace lovage {

namespace {

/// A task message's body and its header table.
constexpr std::size_t kUsualItems = 3;
constexpr std::size_t kUsualMembers = 24;
constexpr std::size_t kAllLevels = std::numeric_limits<std::size_t>::max();

/// Applies Python's rule for doubled names: the last value wins, at the first one's place.
///
/// Small objects are compared name by name. Large ones are sorted by hash and name, which stays
/// O(n log n) even when someone chose names whose hashes collide.
void merge_doubled_names(Json::Object& members) {
    constexpr std::size_t kFewMembers = 32;
    if (members.size() <= kFewMembers) {
        for (std::size_t later = 1; later < members.size(); ++later) {
            for (std::size_t first = 0; first < later; ++first) {
                if (members[first].first != members[later].first) continue;
                members[first].second = std::move(members[later].second);
                members.erase(members.begin() + static_cast<std::ptrdiff_t>(later));
                --later;
                break;
            }
        }
        return;
    }

    struct Entry {
        std::size_t hash;
        std::size_t index;
    };
    std::vector<Entry> entries;
    entries.reserve(members.size());
    for (std::size_t i = 0; i < members.size(); ++i) {
        entries.push_back({std::hash<std::string_view>{}(members[i].first), i});
    }
    std::ranges::sort(entries, [&](const Entry& left, const Entry& right) {
        if (left.hash != right.hash) return left.hash < right.hash;
        const int order = members[left.index].first.compare(members[right.index].first);
        return order != 0 ? order < 0 : left.index < right.index;
    });

    std::vector<bool> doubled;
    for (std::size_t begin = 0, end = 1; end <= entries.size(); ++end) {
        const bool same = end < entries.size() && entries[end].hash == entries[begin].hash &&
                          members[entries[end].index].first == members[entries[begin].index].first;
        if (same) continue;
        if (end - begin > 1) {
            doubled.resize(members.size());
            members[entries[begin].index].second =
                std::move(members[entries[end - 1].index].second);
            for (std::size_t i = begin + 1; i < end; ++i) doubled[entries[i].index] = true;
        }
        begin = end;
    }
    if (doubled.empty()) return;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
        if (doubled[i]) continue;
        if (kept != i) members[kept] = std::move(members[i]);
        ++kept;
    }
    members.resize(kept);
}

/// One pass over a text. A null `out` anywhere means: check only, build nothing.
///
/// Recursion is bounded by `depth_max`, which parse() keeps at or below kJsonDepthMax.
class Reader {
public:
    Reader(std::string_view text, std::size_t depth_max) : scan_{text, depth_max} {}

    Result<Json> read(std::size_t levels) {
        Json value;
        if (!read_document(value, levels)) return std::unexpected{scan_.take_error()};
        return value;
    }

private:
    bool read_document(Json& value, std::size_t levels) {
        if (!scan_.begin_document()) return false;
        const char* const start = scan_.cursor();
        if (!read_value(levels == 0 ? nullptr : &value, levels)) return false;
        if (levels == 0) value = Json::raw(std::string{start, scan_.cursor()});
        return scan_.end_document();
    }

    /// Expects the cursor at the value's first character.
    bool read_value(Json* out, std::size_t levels) {
        if (scan_.at_end()) return scan_.fail_here("a value");
        switch (scan_.peek()) {
            case '{':
            case '[':
                return read_container(out, levels);
            case '"': {
                std::string_view text;
                if (!scan_.read_string(text, scratch_)) return false;
                if (out != nullptr) *out = Json{text};
                return true;
            }
            case 't':
                return read_word("true", out, true);
            case 'f':
                return read_word("false", out, false);
            case 'n':
                return read_word("null", out, nullptr);
            case 'N':
                return read_word("NaN", out, std::numeric_limits<double>::quiet_NaN());
            case 'I':
                return read_word("Infinity", out, std::numeric_limits<double>::infinity());
            default:
                return read_number(out);
        }
    }

    bool read_word(std::string_view word, Json* out, Json value) {
        if (!scan_.read_word(word)) return false;
        if (out != nullptr) *out = std::move(value);
        return true;
    }

    bool read_container(Json* out, std::size_t levels) {
        const char* const start = scan_.cursor();
        if (!scan_.enter_container()) return false;
        const bool keep_raw = out != nullptr && levels == 0;
        Json* const target = keep_raw ? nullptr : out;
        const std::size_t inner = levels == 0 ? 0 : levels - 1;
        if (!(*start == '[' ? read_array(target, inner) : read_object(target, inner))) return false;
        if (keep_raw) *out = Json::raw(std::string{start, scan_.cursor()});
        scan_.leave_container();
        return true;
    }

    // Only one container a text gets room in advance: with all of them, a text of many small ones
    // would cost much more memory than it has bytes.

    bool read_array(Json* out, std::size_t levels) {
        Json::Array items;
        bool failed = false;
        if (!scan_.skip_if(']')) {
            if (out != nullptr && scan_.is_outermost()) items.reserve(kUsualItems);
            do {
                if (!read_value(out == nullptr ? nullptr : &items.emplace_back(), levels))
                    return false;
            } while (scan_.next_item(']', failed));
        }
        if (out != nullptr) *out = std::move(items);
        return !failed;
    }

    bool read_object(Json* out, std::size_t levels) {
        Json::Object members;
        bool failed = false;
        if (!scan_.skip_if('}')) {
            if (out != nullptr && scan_.is_outermost()) members.reserve(kUsualMembers);
            do {
                Json::Member* const member = out == nullptr ? nullptr : &members.emplace_back();
                if (!read_member(member, levels)) return false;
            } while (scan_.next_item('}', failed));
        }
        if (out != nullptr && !failed) {
            merge_doubled_names(members);
            *out = std::move(members);
        }
        return !failed;
    }

    bool read_member(Json::Member* member, std::size_t levels) {
        std::string_view name;
        if (!scan_.read_name(name, scratch_)) return false;
        if (member != nullptr) member->first = name;
        return read_value(member == nullptr ? nullptr : &member->second, levels);
    }

    bool read_number(Json* out) {
        detail::JsonScanner::Number number;
        if (!scan_.read_number(number)) return false;
        if (out == nullptr) return true;
        if (number.negative_infinity) {
            *out = -std::numeric_limits<double>::infinity();
        } else {
            *out = number.real ? Json{detail::real_from_decimal(number.text)}
                               : Json::integer(number.text);
        }
        return true;
    }

    detail::JsonScanner scan_;
    std::string scratch_;
};

Result<Json> parse(std::string_view text, std::size_t levels, const JsonLimits& limits) {
    if (text.size() > limits.bytes) {
        return fail(Errc::too_large, fmt::format("JSON text of {} bytes, more than the limit of {}",
                                                 text.size(), limits.bytes));
    }
    return Reader{text, std::min(limits.depth, kJsonDepthMax)}.read(levels);
}

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) {
    return parse(text, kAllLevels, limits);
}

Result<Json> parse_json_shallow(std::string_view text, std::size_t levels,
                                const JsonLimits& limits) {
    return parse(text, levels, limits);
}

}  // namespace lovage
