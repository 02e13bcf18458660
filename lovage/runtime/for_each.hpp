#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>

namespace lovage {

/// What becomes of the work under way when one fails. Nothing more is begun either way.
enum class OnFailure : std::uint8_t {
    cancel,  ///< It is cancelled (Asio's terminal cancellation).
    finish,  ///< It goes on to its end.
};

/// Does `work(index)` for each index below `count`, begun in order, at most `at_most` (at least 1)
/// at a time, and returns when all of it has ended; the first error, if there was one.
///
/// What `work` throws counts as a failure, and is thrown here once everything has ended.
/// Cancellation: begins nothing more, cancels what is under way and throws when that has ended.
/// Lifetime:     `work` is kept until the end; a lambda that returns a coroutine may refer to what
///               the caller has, but must not be a coroutine itself.
/// Runs on the caller's executor, a loop's: what `work` touches needs no lock.
[[nodiscard]] Awaitable<Result<void>> for_each_index(
    std::size_t count, std::size_t at_most,
    std::function<Awaitable<Result<void>>(std::size_t index)> work, OnFailure on_failure);

}  // namespace lovage
