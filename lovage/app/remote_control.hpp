#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <lovage/app/control_commands.hpp>
#include <lovage/app/reply_collector.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/control/lamport_clock.hpp>
#include <lovage/control/node_pattern.hpp>
#include <lovage/core/error.hpp>
#include <lovage/runtime/deadline.hpp>
#include <lovage/runtime/settings.hpp>

namespace lovage {

class AppCore;

/// Whom a command is for, and how long answers are waited for.
struct ControlOptions {
    /// Node names ("worker@host"); empty: all workers.
    std::vector<std::string> destination = {};
    /// Without `destination`: the workers whose node name matches.
    std::optional<std::string> pattern = std::nullopt;
    NodeMatcher matcher = NodeMatcher::glob;
    /// From the moment the request is out. Celery differs: there it begins anew with each reply.
    std::chrono::milliseconds timeout = std::chrono::seconds{1};
    /// So many replies are enough; absent: as many as come in time, or as there are destinations.
    std::optional<std::size_t> limit = std::nullopt;
    /// False: nobody shall answer; the call ends when the broker has the request. Celery differs:
    /// there it is the default for commands that change something.
    bool reply = true;
};

/// Asks workers what they do and tells them what to do, Python's and our own alike: Celery's
/// `app.control`. Got from App::control(). Thread-safe; keeps the App's connections and loop alive.
///
///     const NodeReplies busy = app.control().broadcast(control::inspect("active"));
///
/// Works on every broker. Needs no result backend. What it makes on the broker, a queue for the
/// replies, is kept for the next call and goes with the App.
class RemoteControl {
public:
    explicit RemoteControl(std::shared_ptr<AppCore> core) : core_{std::move(core)} {}

    /// Sends a command to workers and waits for their replies: until every destination has
    /// answered, `limit` nodes have, or the time is over. Who has not answered is not in the map; a
    /// broker without workers answers with an empty one at once. Two workers of one name show as
    /// one and are logged as a warning.
    /// Awaitable from any executor. Errors: disconnected (also when the connection is lost while it
    /// waits), unavailable (in a slot process, which has no broker), and those of the broker's
    /// operations.
    [[nodiscard]] Awaitable<Result<NodeReplies>> broadcast_async(ControlCommand command,
                                                                 ControlOptions options = {}) const;
    /// Blocking form; throws LovageError. Never call it on the app's own loop.
    NodeReplies broadcast(ControlCommand command, ControlOptions options = {}) const;

private:
    std::shared_ptr<AppCore> core_;
};

/// RemoteControl's work on a connected broker, for tools that have one of their own.
/// Lifetime: `broker`, `settings` and `clock` must outlive the returned Awaitable.
[[nodiscard]] Awaitable<Result<NodeReplies>> ask_nodes(Broker& broker, const Settings& settings,
                                                       LamportClock& clock, ControlCommand command,
                                                       ControlOptions options);

/// Tells all workers; nobody answers. Ends when the broker has the command, a broker without
/// workers included. Errors: those of the broker's operations.
/// Lifetime: `broker`, `settings` and `clock` must outlive the returned Awaitable.
[[nodiscard]] Awaitable<Result<void>> tell_nodes(Broker& broker, const Settings& settings,
                                                 LamportClock& clock, ControlCommand command,
                                                 Deadline deadline);

}  // namespace lovage
