#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <semaphore>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include <lovage/app/app.hpp>
#include <lovage/app/app_core.hpp>
#include <lovage/worker/worker.hpp>

#include <tests/support/soon.hpp>

namespace lovage {

using namespace std::chrono_literals;

inline constexpr auto kLong = 20s;  // a bound for what takes milliseconds

/// A worker serving on the app's loop until it is stopped.
class RunningWorker {
public:
    explicit RunningWorker(App& app, std::size_t concurrency = 1, std::string node = "w@test")
        : app_{app},
          worker_{app, options(concurrency, std::move(node))},
          run_{std::async(std::launch::async, [this, &app] {
              return app.core()->loop().run_blocking(worker_.run());
          })} {
        ready_.acquire();
    }
    ~RunningWorker() {
        if (run_.valid()) stop();
    }

    void request_stop() { worker_.request_stop(); }
    Result<void> wait_stopped() { return run_.get(); }
    Result<void> stop() {
        request_stop();
        return wait_stopped();
    }
    /// Asked on the app's loop.
    WorkerStatus status() {
        const auto ask = [](Worker* worker) -> Awaitable<WorkerStatus> {
            co_return worker->status();
        };
        return app_.core()->loop().run_blocking(ask(&worker_));
    }
    Worker& worker() { return worker_; }

private:
    WorkerOptions options(std::size_t concurrency, std::string node) {
        WorkerOptions wanted;
        wanted.concurrency = concurrency;
        wanted.hostname = std::move(node);
        wanted.on_ready = [this] { ready_.release(); };
        return wanted;
    }

    App& app_;
    std::binary_semaphore ready_{0};
    Worker worker_;
    std::future<Result<void>> run_;
};

inline QueueStatus status_of(App& app, const std::string& queue) {
    const auto ask = [](std::shared_ptr<AppCore> core, std::string name) -> Awaitable<QueueStatus> {
        (void)co_await core->connect(Deadline::in(5s));
        auto status = co_await core->broker().queue_status(std::move(name), Deadline::in(5s));
        co_return status.value_or(QueueStatus{});
    };
    return app.core()->loop().run_blocking(ask(app.core(), queue));
}

/// Waits for what a worker does on its own threads.
inline void wait_for(const std::function<bool()>& condition) {
    EXPECT_TRUE(eventually(condition, Deadline::in(kLong)));
}

/// Ready, delayed or delivered and not settled.
inline std::uint64_t messages_in(App& app, const std::string& queue) {
    const QueueStatus status = status_of(app, queue);
    return status.ready + status.delayed + status.unsettled;
}

/// Sends a message as it is to queue "celery".
inline void publish(App& app, Message message) {
    const auto send = [](std::shared_ptr<AppCore> core, Message what) -> Awaitable<void> {
        const Deadline deadline = Deadline::in(5s);
        (void)co_await core->connect(deadline);
        (void)co_await core->broker().declare_queue({.name = "celery"}, deadline);
        Publication publication;
        publication.routing_key = "celery";
        publication.message = std::move(what);
        (void)co_await core->broker().publish(std::move(publication), deadline);
    };
    app.core()->loop().run_blocking(send(app.core(), std::move(message)));
}

/// The first message of queue "celery.quarantine"; waits for it.
inline Message take_quarantined(App& app) {
    const auto receive = [](std::shared_ptr<AppCore> core) -> Awaitable<Message> {
        const Deadline deadline = Deadline::in(kLong);
        (void)co_await core->broker().declare_queue({.name = "celery.quarantine"}, deadline);
        auto consumer =
            co_await core->broker().consume({{"celery.quarantine"}, 1, "test"}, deadline);
        auto deliveries = co_await (*consumer)->receive(deadline);
        Message message = std::move(deliveries->front().message);
        (*consumer)->ack(deliveries->front().tag);
        (void)co_await (*consumer)->close(deadline);
        co_return message;
    };
    return app.core()->loop().run_blocking(receive(app.core()));
}

}  // namespace lovage
