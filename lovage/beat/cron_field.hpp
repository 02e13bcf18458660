#pragma once

#include <lovage/core/error.hpp>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lovage {

/// What stands in one field of a crontab: text in Celery's syntax, or the values themselves.
using CronSpec = std::variant<std::string, std::vector<int>>;

/// Which values a field may have, and what messages call it.
struct CronRange {
    std::string_view name;
    int min;
    int max;
};

/// The values of one field, as a set of small numbers.
class CronSet {
public:
    CronSet() = default;
    CronSet(std::initializer_list<int> values) {
        for (const int value : values) add(value);
    }
    /// 0–63; asserts on anything else.
    void add(int value);
    [[nodiscard]] bool contains(int value) const noexcept {
        return value >= 0 && value < 64 && ((bits_ >> static_cast<unsigned>(value)) & 1U) != 0;
    }
    /// The smallest value that is at least `value`; -1 when there is none.
    [[nodiscard]] int at_least(int value) const noexcept;
    [[nodiscard]] std::vector<int> values() const;
    /// Every value of `range` is in it.
    [[nodiscard]] bool covers(const CronRange& range) const noexcept;
    friend bool operator==(const CronSet&, const CronSet&) = default;

private:
    std::uint64_t bits_ = 0;
};

/// Expands a field to the letter of Celery 5.6's `crontab_parser` (celery-wire reference, section
/// 19.4). What surprises:
///
/// - `*/n` counts from the smallest value: `*/2` as day of month is 1, 3, 5, …
/// - A range may wrap (`fri-mon`, `55-5`); its step counts along the wrapped list.
/// - `5/10` is an error, as are an empty part of a list, a step of zero and day of week 7.
/// - Names are told by their first three letters in any case, and a month's name is accepted in
///   every field where its number fits ("mar" as day of week is Wednesday).
/// - What follows a range is ignored: `1-5-7` is `1-5`, `1-5/2/3` is `1-5/2`.
/// - Numbers are Python's: ` 5`, `+5`, `05` and `1_0` are numbers, `-5` and `5.0` are not.
///
/// Celery differs: it also takes an empty list, and fails when the schedule is used; and digits
/// and letters beyond ASCII. Errors: invalid_argument naming field, text and fault.
[[nodiscard]] Result<CronSet> expand_cron_field(const CronRange& range, const CronSpec& spec);

}  // namespace lovage
