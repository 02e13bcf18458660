// Any text as a crontab, as an entry of a schedule, and as what is remembered of one. Reading it
// must end in a value or in a readable reason; what is written of a value must be read as the same
// one; and a schedule's next time must be a later one.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <lovage/beat/schedule_json.hpp>

namespace {

using lovage::Json;
using lovage::TimePoint;

const TimePoint kNow{std::chrono::seconds{1'774'740'000}};  // 2026-03-28, the day before a change

void check_error(const lovage::Error& error) {
    LOVAGE_ASSERT(!error.detail.empty());
    LOVAGE_ASSERT(error.detail.find('\n') == std::string::npos);
}

void check_schedule(const lovage::Schedule& schedule) {
    static const lovage::TimeZone zone = lovage::TimeZone::load("Europe/Berlin").value();
    TimePoint time = kNow;
    for (int i = 0; i < 3; ++i) {
        const TimePoint next = next_after(schedule, time, zone);
        LOVAGE_ASSERT(next > time);
        time = next;
    }
    const auto latest = latest_until(schedule, kNow, time, zone);
    LOVAGE_ASSERT(latest && latest->time == time && latest->missed == 2);
}

void check_entry(const Json& json) {
    const auto entry = lovage::read_schedule_entry("it", json);
    if (!entry) return check_error(entry.error());
    check_schedule(entry->schedule);
    const Json written = lovage::write_schedule_entry(*entry);
    const auto again = lovage::read_schedule_entry("it", written);
    LOVAGE_ASSERT(again && lovage::write_schedule_entry(*again) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    if (const auto crontab = lovage::Crontab::parse(input)) {
        check_schedule(*crontab);
        LOVAGE_ASSERT(lovage::Crontab::parse(crontab->text()) == *crontab);
    } else {
        check_error(crontab.error());
    }
    if (const auto state = lovage::read_entry_state(input)) {
        LOVAGE_ASSERT(lovage::read_entry_state(lovage::write_entry_state(*state)) == *state);
    }
    const auto json = lovage::parse_json(input, {.depth = 100, .bytes = 1U << 16U});
    if (!json) return 0;
    check_entry(*json);
    if (const auto all = lovage::read_beat_schedule(*json); !all) check_error(all.error());
    return 0;
}
