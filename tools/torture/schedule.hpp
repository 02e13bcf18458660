#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lovage::torture {

/// What the work goes through.
enum class Stack : std::uint8_t { rabbitmq, sqlite };
[[nodiscard]] std::string_view to_string(Stack stack);

enum class FaultKind : std::uint8_t {
    kill_worker,
    stop_worker,
    suspend_worker,  ///< Stopped for longer than a broker waits for it.
    end_worker,      ///< SIGTERM, under load.
    kill_slot,
    stop_slot,
    kill_producer,
    stop_producer,
    // RabbitMQ and Redis.
    kill_rabbitmq,
    stop_rabbitmq,
    close_by_operator,
    reset_broker,
    close_broker,
    silence_broker,
    forget_clients,
    kill_redis,
    stop_redis,
    reset_results,
    close_results,
    silence_results,
    // The embedded broker.
    lock_broker,
    lock_results,
};

/// One fault of a schedule.
struct PlannedFault {
    FaultKind kind{};
    /// How long it lasts; 0 for what happens in a moment.
    std::chrono::milliseconds duration{0};
    std::uint32_t pick = 0;   ///< Chooses among workers, slots, producers.
    std::uint32_t after = 0;  ///< It comes when that many tasks were sent.
};

/// What is to be done in a run.
struct Plan {
    Stack stack = Stack::rabbitmq;
    std::uint32_t tasks = 0;
    std::uint32_t faults = 0;
    std::uint64_t seed = 0;
};

/// The faults of a plan in their order: a pure function of it, the same on every machine.
///
/// Kinds are dealt like cards, so that a short schedule has as many of them as it can; every tenth
/// fault is one of those that take long to be noticed. The tasks are spread over the time that all
/// this takes, so that there is work under every fault and after it.
[[nodiscard]] std::vector<PlannedFault> make_schedule(const Plan& plan);

/// About how long a schedule takes on a machine that keeps up.
[[nodiscard]] std::chrono::milliseconds length_of(const std::vector<PlannedFault>& schedule);

/// "SIGSTOP of a slot for 1.2 s".
[[nodiscard]] std::string describe(const PlannedFault& fault);

/// The kinds that can befall a stack, for tests.
[[nodiscard]] std::vector<FaultKind> kinds_of(Stack stack);

}  // namespace lovage::torture
