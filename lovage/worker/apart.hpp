#pragma once

#include <algorithm>
#include <chrono>

namespace lovage {

/// How long tasks stay away that find no room here: a second, and each a little longer than the one
/// before, so that they come back one after another. Who is back by now counts no more, so that few
/// of them never wait for long.
///
/// Pure state; not thread-safe.
class Apart {
public:
    using Clock = std::chrono::steady_clock;
    using Time = Clock::time_point;

    static constexpr std::chrono::milliseconds kShortest{1'000};
    static constexpr std::chrono::milliseconds kStep{10};
    /// That many come back at times of their own, further ones beside them.
    static constexpr int kMost = 30'000;

    [[nodiscard]] std::chrono::milliseconds stay_away(Time now) noexcept {
        const Time first = now + kShortest;
        last_ = std::max(last_ + kStep, first);
        if (last_ - first > kMost * kStep) last_ = first;  // and from the beginning
        return std::chrono::ceil<std::chrono::milliseconds>(last_ - now);
    }

private:
    Time last_{};  // when the last one comes back
};

}  // namespace lovage
