#pragma once

#include <memory>
#include <utility>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace lovage {

/// Runs `work` on the app's loop and brings its value back to the caller's executor; a plain call
/// when the caller is on that loop already.
template <class T>
[[nodiscard]] Awaitable<T> on_loop(std::shared_ptr<AppCore> core, Awaitable<T> work) {
    const Executor home = core->loop().executor();
    if (co_await boost::asio::this_coro::executor == home) co_return co_await std::move(work);
    co_return co_await boost::asio::co_spawn(home, std::move(work), boost::asio::use_awaitable);
}

}  // namespace lovage
