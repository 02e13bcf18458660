#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <lovage/awaitable.hpp>
#include <lovage/core/json.hpp>
#include <lovage/core/task_context.hpp>
#include <lovage/events/event_fields.hpp>

namespace lovage {

/// Events of the program's own (TaskContext::send_event) between the threads that run tasks and the
/// worker's loop. Bounded: what comes faster than the loop takes it is dropped and counted.
///
/// send() may be called by any thread, and long after close() (a slot that is left behind does);
/// the rest belongs to the worker's loop.
class CustomEvents final : public TaskContext::EventSink,
                           public std::enable_shared_from_this<CustomEvents> {
public:
    struct Event {
        std::string type;
        EventFields fields;
        double timestamp = 0;  ///< Unix time in seconds, when the task sent it.
    };
    struct Taken {
        std::vector<Event> events;  ///< In the order they came.
        std::size_t dropped = 0;
    };
    static constexpr std::size_t kEventsMost = 192;
    static constexpr std::size_t kBytesMost = std::size_t{4} << 20U;

    /// `on_news` is called on `loop` after events came: once for however many there are.
    CustomEvents(Executor loop, std::function<void()> on_news);

    void send(const std::string& task_id, std::string type, Json fields) override;
    /// What has come since.
    [[nodiscard]] Taken take();
    /// No news from here on; what still comes is forgotten.
    void close();

private:
    Executor loop_;
    std::function<void()> on_news_;  // the loop's
    std::atomic<bool> told_{false};
    std::mutex mutex_;  // guards what follows
    Taken waiting_;
    std::size_t bytes_ = 0;
    bool closed_ = false;
};

}  // namespace lovage
