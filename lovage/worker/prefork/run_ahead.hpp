#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace lovage::slot {

/// How many requests a slot is given beyond the one it runs, so that it need not wait for its
/// worker between two short tasks: as many as it runs in `kWait`, at most `kMost`. None until a
/// task has ended, and none when tasks are long: what waits in one slot cannot start in another
/// that falls idle first, until it is taken back.
///
/// Pure state, exponentially averaged over about the last 8 tasks. Not thread-safe.
class RunAhead {
public:
    static constexpr std::size_t kMost = 16;
    static constexpr std::chrono::microseconds kWait{1000};
    /// What has not begun after that is taken back.
    static constexpr std::chrono::milliseconds kPatience{10};
    using Duration = std::chrono::steady_clock::duration;

    /// A task has run for so long.
    void on_task_ended(Duration run_time) noexcept {
        const double seconds = std::max(0.0, std::chrono::duration<double>(run_time).count());
        seconds_ = seconds_ < 0 ? seconds : seconds_ + (seconds - seconds_) / 8;
    }
    /// What was given ahead had to wait for `kPatience`.
    void on_late() noexcept {
        seconds_ = std::max(seconds_, std::chrono::duration<double>(kPatience).count());
    }

    [[nodiscard]] std::size_t depth() const noexcept {
        if (seconds_ < 0) return 0;
        const double wait = std::chrono::duration<double>(kWait).count();
        return seconds_ * kMost <= wait ? kMost : static_cast<std::size_t>(wait / seconds_);
    }

private:
    double seconds_ = -1;  // negative: no task seen yet
};

}  // namespace lovage::slot
