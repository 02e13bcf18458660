#pragma once

#include <lovage/awaitable.hpp>
#include <lovage/clients/redis/commands.hpp>
#include <lovage/clients/redis/options.hpp>
#include <lovage/clients/redis/reply.hpp>
#include <lovage/core/error.hpp>
#include <lovage/runtime/deadline.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lovage::redis {

/// A connection to one server that makes itself anew whenever it is lost.
///
/// Whatever is asked for in one turn of the loop goes out in one write, and answers come back in
/// order. Calls made while the connection is down wait for it, up to their deadline. Belongs to its
/// executor's loop; not thread-safe. Close it and wait for that before destroying it.
class Client {
public:
    /// Any may be empty.
    struct Hooks {
        /// Called on the loop, never from inside a member function of the client.
        std::function<void()> connected;
        std::function<void()> lost;
        /// A message or another push; confirmations of SUBSCRIBE are not passed on.
        std::function<void(Reply)> pushed;
    };
    struct RunOptions {
        Resend resend = Resend::never;
        /// What the server may wait on top (BLPOP's timeout). Use a client of its own for such
        /// commands: everything behind them waits.
        std::chrono::milliseconds blocks_for{0};
    };

    Client(Executor executor, Options options);
    Client(Executor executor, Options options, Hooks hooks);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Starts connecting; failures are logged and tried again with full jitter until close().
    /// Calling it again does nothing.
    void start();
    /// Waits until the connection is usable. Errors: the last attempt's reason when the deadline
    /// passes (disconnected, not_found, rejected, unavailable, malformed); invalid_argument at once
    /// for what no retry can mend (files, database number); closed.
    [[nodiscard]] Awaitable<Result<void>> connected(Deadline deadline);
    /// Lets calls under way finish until the deadline, then ends the rest with Errc::closed, or
    /// unknown_outcome when they had been sent. Afterwards the client can only be destroyed.
    [[nodiscard]] Awaitable<void> close(Deadline deadline);

    /// Sends the commands together and returns their replies in order; error replies are values.
    /// A script the server does not know is loaded, and its calls are sent once more.
    /// Cancellation: as when the deadline passes.
    /// Errors: disconnected (the connection was down until the deadline) and deadline_exceeded
    ///         (it was up, but too busy): nothing was sent; unknown_outcome: sent, no answer;
    ///         unavailable: too much waits already, nothing was sent; closed: nothing was sent.
    [[nodiscard]] Awaitable<Result<std::vector<Reply>>> run(Commands commands, RunOptions options,
                                                            Deadline deadline);
    /// The same for one command.
    [[nodiscard]] Awaitable<Result<Reply>> run_one(Commands command, RunOptions options,
                                                   Deadline deadline);
    /// SUBSCRIBE or UNSUBSCRIBE for `channels` (1 or more); returns when the server has confirmed
    /// all. A lost connection ends it with unknown_outcome: subscriptions go with the connection.
    /// Subscriber keeps a set of channels subscribed across connections.
    [[nodiscard]] Awaitable<Result<void>> change_subscription(std::string command,
                                                              std::vector<std::string> channels,
                                                              Deadline deadline);

    [[nodiscard]] bool is_connected() const noexcept;
    /// Calls waiting or under way, and the bytes of their commands.
    [[nodiscard]] std::size_t calls() const noexcept;
    [[nodiscard]] std::size_t bytes() const noexcept;
    [[nodiscard]] const Options& options() const noexcept;

private:
    class Connection;
    std::shared_ptr<Connection> connection_;
};

}  // namespace lovage::redis
