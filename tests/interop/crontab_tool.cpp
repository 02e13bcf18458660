// Answers crontab_differential.py: reads lines of four fields parted by tabs and writes one line
// for each.
//
//   EXPRESSION  ZONE  FROM  COUNT    the next COUNT times after FROM, in seconds since 1970,
//                                    parted by blanks; or "ERROR" and why there are none

#include <lovage/beat/crontab.hpp>

#include <array>
#include <charconv>
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>

namespace {

std::int64_t number(std::string_view text) {
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

std::string answer(const std::array<std::string, 4>& request) {
    const auto schedule = lovage::Crontab::parse(request[0]);
    if (!schedule) return "ERROR " + schedule.error().detail;
    const auto zone = lovage::TimeZone::load(request[1]);
    if (!zone) return "ERROR " + zone.error().detail;
    lovage::TimePoint time{std::chrono::seconds{number(request[2])}};
    std::string times;
    for (std::int64_t left = number(request[3]); left > 0; --left) {
        time = schedule->next_after(time, *zone);
        const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
        times += std::to_string(seconds.time_since_epoch().count()) + ' ';
    }
    return times;
}

}  // namespace

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        std::array<std::string, 4> request;
        std::size_t begin = 0;
        for (std::string& field : request) {
            const std::size_t end = std::min(line.find('\t', begin), line.size());
            field = line.substr(begin, end - begin);
            begin = std::min(end + 1, line.size());
        }
        std::cout << answer(request) << '\n';
    }
}
