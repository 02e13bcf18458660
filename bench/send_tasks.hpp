#pragma once

// How the benchmark programs send: many at a time, each confirmed.

#include <lovage/app/app_core.hpp>
#include <lovage/lovage.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

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

}  // namespace detail

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
