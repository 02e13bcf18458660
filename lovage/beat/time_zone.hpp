#pragma once

#include <lovage/core/error.hpp>
#include <lovage/core/time.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

namespace lovage {

namespace detail {
struct ZoneRules;
}

/// What a wall clock shows, without saying where: seconds since 1970-01-01 00:00 on that clock.
using WallTime = std::chrono::local_seconds;

/// A span of time in which clocks of a zone run evenly.
struct ZoneSpan {
    TimePoint begin;  ///< TimePoint::min() when the zone was always like this.
    TimePoint end;    ///< Not part of it any more; TimePoint::max() when it stays like this.
    std::chrono::seconds offset;         ///< Wall time minus UTC.
    std::chrono::seconds offset_before;  ///< That of the span before; `offset` when there is none.
};

/// A time zone of the IANA database ("Europe/Berlin"), as the system has it: the files of Debian's
/// package tzdata (RFC 9636), read by Abseil, which also carries on their last rule for years the
/// files do not list. "UTC" needs no file.
///
/// A value: cheap to copy, immutable, thread-safe. Rules are read once a process.
class TimeZone {
public:
    /// UTC.
    TimeZone();
    /// Errors: invalid_argument for what is no zone's name, not_found when the system has none of
    /// this name.
    [[nodiscard]] static Result<TimeZone> load(std::string_view name);

    [[nodiscard]] const std::string& name() const noexcept;
    /// The even span that holds `when`.
    [[nodiscard]] ZoneSpan span_at(TimePoint when) const;

private:
    explicit TimeZone(std::shared_ptr<const detail::ZoneRules> rules);
    std::shared_ptr<const detail::ZoneRules> rules_;
};

}  // namespace lovage
