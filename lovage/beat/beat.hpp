#pragma once

#include <lovage/app/app.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/beat/beat_schedule.hpp>
#include <lovage/core/error.hpp>

#include <functional>
#include <memory>
#include <string>

namespace lovage {

struct BeatOptions {
    /// Beats of the same schedule stand in for each other; empty: the app's name.
    std::string schedule;
    /// Called on the loop when this beat begins or ceases to lead.
    std::function<void()> on_change;
};

/// What a beat does at a moment.
struct BeatStatus {
    bool connected = false;
    bool leads = false;
    std::size_t entries = 0;  ///< Of a leader.
};

/// Sends an app's periodic tasks at their times. Any number of beats may run: one leads, the others
/// take over when it ends or dies. See Scheduler for how each time is sent once.
///
/// Lives on the app's loop; request_stop() may be called from any thread.
class Beat {
public:
    /// `app` must outlive the beat.
    explicit Beat(App& app, BeatOptions options = {});
    ~Beat();
    Beat(const Beat&) = delete;
    Beat& operator=(const Beat&) = delete;

    /// Serves until request_stop(). Waits for broker and state store when they are down, saying so.
    /// Run it on the app's loop, once. Errors: a setting that can never work.
    [[nodiscard]] Awaitable<Result<void>> run();
    /// Ends after the one task that is being sent, and lets another beat lead at once. Any number
    /// of times.
    void request_stop() noexcept;

    /// On the loop.
    [[nodiscard]] BeatStatus status() const;
    [[nodiscard]] const std::string& schedule() const noexcept;

private:
    class Impl;
    std::shared_ptr<Impl> impl_;
};

/// Sends an entry now, besides its times. Throws SendError; returns the task's id.
std::string run_now(App& app, const ScheduleEntry& entry);

}  // namespace lovage
