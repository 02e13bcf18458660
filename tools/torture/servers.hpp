#pragma once

#include "schedule.hpp"

#include <lovage/runtime/deadline.hpp>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include <sys/types.h>

namespace lovage::torture {

/// What shows that a fault really happened; nothing when it did not.
struct Sign {
    std::string text;
    /// From when on nothing hinders the work any more but what the fault has left behind.
    Deadline::Clock::time_point healed = Deadline::Clock::now();
};
using Evidence = std::optional<Sign>;

/// The servers of a stack, or its files, which belong to the run; and the faults that befall them.
class Servers {
public:
    struct Urls {
        std::string broker;
        std::string results;
    };

    virtual ~Servers() = default;
    Servers() = default;
    Servers(const Servers&) = delete;
    Servers& operator=(const Servers&) = delete;

    /// Where workers and producers find them, past what may happen to connections.
    [[nodiscard]] virtual Urls urls() const = 0;
    /// Straight, to look at what is there in the end.
    [[nodiscard]] virtual Urls straight() const = 0;
    /// Does it, from its begin until it is healed, and waits for what shows that it happened.
    [[nodiscard]] virtual Evidence inflict(const PlannedFault& fault) = 0;
    /// What the servers themselves have to say against us in the end; empty when nothing.
    [[nodiscard]] virtual std::string complaint() const { return {}; }
};

/// RabbitMQ and Redis, started for the run in `folder`, each behind a proxy. Throws
/// std::runtime_error when they do not start.
[[nodiscard]] std::unique_ptr<Servers> make_rabbitmq_servers(const std::filesystem::path& folder);
/// The embedded broker and results in `folder`.
[[nodiscard]] std::unique_ptr<Servers> make_sqlite_servers(const std::filesystem::path& folder);

/// Nothing is waited for, but time has to pass.
void let_pass(Deadline::Clock::duration time);
/// Looks until `condition` holds; false when the deadline passed first.
template <class Condition>
[[nodiscard]] bool look_until(Condition condition, Deadline deadline) {
    while (!condition()) {
        if (deadline.passed()) return false;
        let_pass(std::chrono::milliseconds{5});
    }
    return true;
}

/// The letter by which Linux says what a process does: 'R', 'S', 'T' for a stopped one, 'Z'; 0 when
/// there is no such process.
[[nodiscard]] char state_of(pid_t pid);
/// SIGSTOP for that long, then SIGCONT.
[[nodiscard]] Evidence suspend(pid_t pid, std::chrono::milliseconds time);

}  // namespace lovage::torture
