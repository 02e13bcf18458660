#include <lovage/worker/control/memory_samples.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <fmt/format.h>

namespace lovage::control {
namespace {

/// Five digits at most, of the largest unit that leaves a number of one or more.
std::string shown(std::uint64_t bytes) {
    constexpr std::array<std::pair<unsigned, const char*>, 4> kUnits{
        {{40, "TB"}, {30, "GB"}, {20, "MB"}, {10, "KB"}}};
    for (const auto& [bits, unit] : kUnits) {
        if (bytes < 1ULL << bits) continue;
        const double number = std::ldexp(static_cast<double>(bytes), -static_cast<int>(bits));
        const std::string text = fmt::format("{:.5g}", number);
        // Python shows that there is more than the digits tell: "100.0".
        const bool rounded = number != std::floor(number) && !text.contains('.');
        return text + (rounded ? ".0" : "") + unit;
    }
    return fmt::format("{}b", bytes);
}

}  // namespace

std::string MemorySamples::add(std::uint64_t resident_bytes) {
    if (samples_.size() == kMost) samples_.pop_front();
    return samples_.emplace_back(shown(resident_bytes));
}

std::string MemorySamples::dump(std::size_t count, std::uint64_t resident_bytes) {
    const auto samples = std::exchange(samples_, {});
    std::string text;
    const std::size_t printed = std::min(count, samples.size());
    if (printed != 0) text += "- rss (sample):\n";
    for (std::size_t i = 0; i < printed; ++i) {
        text += fmt::format("-    > {},\n", samples[i * (samples.size() / printed)]);
    }
    return text + fmt::format("- rss (end): {}.\n", shown(resident_bytes));
}

}  // namespace lovage::control
