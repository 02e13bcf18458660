#pragma once

#include <lovage/brokers/broker.hpp>
#include <lovage/core/error.hpp>

#include <cstddef>

namespace lovage {

/// What the embedded brokers refuse.
struct MessageLimits {
    std::size_t body_bytes_max = std::size_t{16} << 20U;
    std::size_t header_bytes_max = std::size_t{1} << 20U;  ///< Of the header table's JSON text.
};

/// Checks a declaration by itself. Errors: invalid_argument (name empty or beyond AMQP's 255 bytes,
/// a negative time).
[[nodiscard]] Result<void> check_declaration(const QueueDeclaration& queue);
/// Compares a declaration with the queue that exists. Errors: conflict, naming queue and argument.
[[nodiscard]] Result<void> check_redeclaration(const QueueDeclaration& existing,
                                               const QueueDeclaration& wanted);
/// Errors: invalid_argument (prefetch out of range, no queue, a queue named twice).
[[nodiscard]] Result<void> check_consume(const ConsumeOptions& options);
/// Errors: too_large (names limit and size), invalid_argument (a name beyond 255 bytes).
[[nodiscard]] Result<void> check_publication(const Publication& publication,
                                             std::size_t header_bytes, const MessageLimits& limits);

[[nodiscard]] std::unexpected<Error> no_such_queue(std::string_view name);
[[nodiscard]] std::unexpected<Error> no_queue_takes(const Publication& publication);

}  // namespace lovage
