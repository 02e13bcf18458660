#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace lovage::torture {

/// Finds out from when on work goes at a rate again.
///
/// Pure state: it is fed with counts and times. Not thread-safe.
class RateMeter {
public:
    using Time = std::chrono::steady_clock::time_point;
    struct Counts {
        std::uint64_t accepted = 0;
        std::uint64_t done = 0;
    };

    /// Times do not go back.
    void sample(Time now, Counts counts);
    /// Forgets what was before.
    void clear() { samples_.clear(); }
    /// The first moment, not before `earliest`, from which on both went at `per_second` or faster
    /// for at least a second.
    [[nodiscard]] std::optional<Time> full_from(Time earliest, double per_second) const;

private:
    struct Sample {
        Time time;
        Counts counts;
    };
    std::vector<Sample> samples_;
};

}  // namespace lovage::torture
