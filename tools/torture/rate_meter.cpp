#include "rate_meter.hpp"

namespace lovage::torture {

void RateMeter::sample(Time now, Counts counts) {
    samples_.push_back({now, counts});
}

std::optional<RateMeter::Time> RateMeter::full_from(Time earliest, double per_second) const {
    constexpr std::chrono::seconds kLongEnough{1};
    std::size_t end = 0;
    for (const Sample& first : samples_) {
        if (first.time < earliest) continue;
        while (end < samples_.size() && samples_[end].time - first.time < kLongEnough) ++end;
        if (end == samples_.size()) return std::nullopt;
        const std::chrono::duration<double> time = samples_[end].time - first.time;
        const double wanted = per_second * time.count();
        const Counts& before = first.counts;
        const Counts& after = samples_[end].counts;
        if (static_cast<double>(after.accepted - before.accepted) >= wanted &&
            static_cast<double>(after.done - before.done) >= wanted) {
            return first.time;
        }
    }
    return std::nullopt;
}

}  // namespace lovage::torture
