#include <lovage/beat/time_zone.hpp>

#include <algorithm>
#include <utility>

#include <absl/strings/string_view.h>
#include <absl/time/civil_time.h>
#include <absl/time/time.h>
#include <fmt/core.h>

namespace lovage {

namespace detail {

struct ZoneRules {
    std::string name;
    absl::TimeZone zone;
};

}  // namespace detail

namespace {

/// Names become paths below the folder of zone files, so they must not lead out of it.
bool is_zone_name(std::string_view name) {
    constexpr std::size_t kNameMax = 64;
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '/' || c == '_' || c == '-' || c == '+';
    };
    return !name.empty() && name.size() <= kNameMax && name.front() != '/' &&
           std::ranges::all_of(name, fits);
}

absl::Time to_absl(TimePoint when) {
    return absl::FromUnixMicros(when.time_since_epoch().count());
}

/// The moment of a transition, which Abseil tells as the wall times before and after it.
TimePoint moment_of(const absl::TimeZone& zone, const absl::TimeZone::CivilTransition& transition) {
    const absl::TimeZone::TimeInfo info = zone.At(transition.to);
    const absl::Time moment = info.kind == absl::TimeZone::TimeInfo::UNIQUE ? info.pre : info.trans;
    return TimePoint{std::chrono::seconds{absl::ToUnixSeconds(moment)}};
}

std::chrono::seconds offset_at(const absl::TimeZone& zone, TimePoint when) {
    return std::chrono::seconds{zone.At(to_absl(when)).offset};
}

}  // namespace

TimeZone::TimeZone()
    : TimeZone{std::make_shared<const detail::ZoneRules>("UTC", absl::UTCTimeZone())} {}

TimeZone::TimeZone(std::shared_ptr<const detail::ZoneRules> rules) : rules_{std::move(rules)} {}

Result<TimeZone> TimeZone::load(std::string_view name) {
    if (!is_zone_name(name)) {
        return fail(Errc::invalid_argument,
                    fmt::format("'{}' is no name of a time zone, such as Europe/Berlin",
                                name.substr(0, 100)));
    }
    absl::TimeZone zone;
    if (!absl::LoadTimeZone(absl::string_view{name.data(), name.size()}, &zone)) {
        return fail(Errc::not_found,
                    fmt::format("this system knows no time zone '{}' (the Debian package tzdata "
                                "has them all)",
                                name));
    }
    return TimeZone{std::make_shared<const detail::ZoneRules>(std::string{name}, zone)};
}

const std::string& TimeZone::name() const noexcept {
    return rules_->name;
}

ZoneSpan TimeZone::span_at(TimePoint when) const {
    const absl::TimeZone& zone = rules_->zone;
    ZoneSpan span{.begin = TimePoint::min(),
                  .end = TimePoint::max(),
                  .offset = offset_at(zone, when),
                  .offset_before = {}};
    span.offset_before = span.offset;
    absl::TimeZone::CivilTransition transition;
    if (zone.NextTransition(to_absl(when), &transition)) span.end = moment_of(zone, transition);
    // Abseil looks strictly before the second it is given.
    if (zone.PrevTransition(to_absl(when) + absl::Seconds(1), &transition)) {
        span.begin = moment_of(zone, transition);
        span.offset_before = offset_at(zone, span.begin - std::chrono::microseconds{1});
    }
    return span;
}

}  // namespace lovage
