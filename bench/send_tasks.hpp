#pragma once

// How the benchmark programs send: many at a time, each confirmed.

#include <lovage/app/app_core.hpp>
#include <lovage/app/queues.hpp>
#include <lovage/lovage.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <chrono>
#include <cstddef>
#include <future>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// It travels twice, as argument and in `argsrepr`: with it a message is 1 KiB.
inline constexpr std::size_t kPayloadBytes = 256;

namespace detail {

struct Sending {
    lovage::App* app;
    std::string task;
    long left;
    long refused = 0;
    std::string payload = std::string(kPayloadBytes, 'x');
};

inline lovage::Awaitable<void> send_some(Sending* sending) {
    while (sending->left > 0) {
        --sending->left;
        const auto sent = co_await sending->app->send(
            sending->task, lovage::Json::array({lovage::Json{sending->payload}}));
        if (!sent.accepted() && ++sending->refused == 1) {
            std::cerr << "refused: " << sent.error->message() << '\n';
        }
    }
}

inline lovage::Awaitable<lovage::Result<void>> empty_queue(lovage::App* app) {
    lovage::AppCore& core = *app->core();
    const std::string queue = app->settings().task_default_queue;
    const lovage::Deadline deadline = lovage::Deadline::in(std::chrono::seconds{60});
    auto done = co_await core.connect(deadline);
    if (done) {
        done = co_await lovage::declare_task_queue(core.broker(), app->settings(), queue, deadline);
    }
    if (!done) co_return done;
    auto purged = co_await core.broker().purge(queue, deadline);
    if (!purged) co_return std::unexpected{purged.error()};
    co_return lovage::Result<void>{};
}

}  // namespace detail

/// Declares the default queue and empties it, as the other sides do before and after they are
/// measured: a broker that holds what an earlier run left behind is a slower one.
inline void empty_queue(lovage::App& app) {
    lovage::value_or_throw(app.core()->loop().run_blocking(detail::empty_queue(&app)));
}

/// Sends `tasks` tasks that take a payload, 200 at a time; returns how many were refused. The first
/// reason goes to standard error.
inline long send_tasks(lovage::App& app, std::string task, long tasks) {
    constexpr long kSenders = 200;
    detail::Sending sending{&app, std::move(task), tasks};
    std::vector<std::future<void>> senders;
    for (long i = 0; i < kSenders; ++i) {
        senders.push_back(boost::asio::co_spawn(
            app.core()->loop().executor(), detail::send_some(&sending), boost::asio::use_future));
    }
    for (auto& sender : senders) sender.get();
    return sending.refused;
}

}  // namespace bench
