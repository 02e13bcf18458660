#pragma once
// The only public header that names Asio.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

namespace lovage {

/// Lovage's coroutine type. ("Task" is taken: it means what Celery means by it.)
template <class T>
using Awaitable = boost::asio::awaitable<T>;

using Executor = boost::asio::any_io_executor;

}  // namespace lovage
