#pragma once

#include <lovage/clients/redis/commands.hpp>
#include <lovage/clients/redis/reply.hpp>
#include <lovage/core/error.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lovage::redis {

/// What may be done with a call whose answer was lost with the connection.
enum class Resend : std::uint8_t {
    never,       ///< It ends as unknown_outcome.
    when_unsure  ///< Doing it twice is like doing it once: it goes out again.
};

/// Commands on their way, and what has come back.
struct Call {
    Commands commands;
    Resend resend = Resend::never;
    /// How long the server may keep silent over it (BLPOP and the like).
    std::chrono::milliseconds blocks_for{0};
    /// Confirmations expected by a SUBSCRIBE or UNSUBSCRIBE, one a channel; zero for other
    /// commands.
    std::size_t confirmations = 0;
    /// Called once, when the call has ended. Not called for abandoned calls.
    std::function<void()> ended;

    std::vector<Reply> replies;  ///< In the order of the commands; without confirmations.
    std::optional<Error> error;  ///< Why there are no replies.
    bool done = false;
    bool was_sent = false;   ///< At least once, at least in part.
    bool in_flight = false;  ///< Sent on the present connection.
    bool abandoned = false;  ///< Nobody waits for it any more.
};

/// The calls of one connection, in their order: waiting to be sent, or sent and waiting for
/// replies, which come in the same order.
///
/// Pure state; not thread-safe. Survives connections: connection_lost() decides what happens to
/// calls whose answer will not come any more.
class CallQueue {
public:
    struct Limits {
        std::size_t calls = 65'536;
        std::size_t bytes = std::size_t{256} << 20U;  ///< Of their commands.
    };
    explicit CallQueue(Limits limits) : limits_{limits} {}

    /// Errors: unavailable when full (nothing was done).
    [[nodiscard]] Result<void> push(std::shared_ptr<Call> call);
    /// A call of the client's own (a PING), which always finds room.
    void push_unlimited(std::shared_ptr<Call> call);

    [[nodiscard]] bool has_unsent() const noexcept { return !unsent_.empty(); }
    [[nodiscard]] bool empty() const noexcept { return unsent_.empty() && sent_.empty(); }
    /// The next call to send; it counts as sent from now on. Needs has_unsent().
    [[nodiscard]] std::shared_ptr<Call> take_unsent();

    /// An answer. False when none is expected: the connection is of no use then.
    [[nodiscard]] bool on_reply(Reply reply);
    /// A confirmation of SUBSCRIBE or UNSUBSCRIBE. False when none is expected.
    [[nodiscard]] bool on_confirmation();

    /// Calls that were sent end as unknown_outcome or go back to the front, in their order.
    void connection_lost(const std::string& why);
    /// Nobody waits for `call` any more: it is not sent if that has not begun, and its replies are
    /// dropped.
    void abandon(const std::shared_ptr<Call>& call);
    /// Ends everything: unknown_outcome for what was sent, `error` for the rest.
    void end_all(const Error& error);

    /// How long the call that must answer next may keep the server silent.
    [[nodiscard]] std::chrono::milliseconds allowed_silence() const;
    [[nodiscard]] std::size_t calls() const noexcept { return unsent_.size() + sent_.size(); }
    [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

private:
    struct Sent {
        std::shared_ptr<Call> call;
        std::size_t missing;  ///< Replies or confirmations.
    };
    /// The call at the front has one reply or confirmation less to wait for.
    bool one_less();
    void finish(const std::shared_ptr<Call>& call);
    void finish_with(const std::shared_ptr<Call>& call, Error error);

    Limits limits_;
    std::deque<std::shared_ptr<Call>> unsent_;
    std::deque<Sent> sent_;
    std::size_t bytes_ = 0;
};

}  // namespace lovage::redis
