#include <lovage/clients/redis/client.hpp>

#include <lovage/clients/redis/session.hpp>
#include <lovage/net/backoff.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include <fmt/core.h>

namespace lovage::redis {

namespace asio = boost::asio;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
/// Small calls are copied together up to this many bytes.
constexpr std::size_t kWriteTogether = std::size_t{256} << 10U;
/// Calls from here on are written from where they are instead of being copied together.
constexpr std::size_t kLargeCall = std::size_t{64} << 10U;
/// After the first failure to connect, every this many attempts are worth a line in the log.
constexpr int kLogEvery = 8;

bool is_subscription_word(const Reply& reply) {
    static constexpr std::array<std::string_view, 6> kWords{
        "subscribe", "unsubscribe", "psubscribe", "punsubscribe", "ssubscribe", "sunsubscribe"};
    return !reply.items.empty() &&
           std::ranges::find(kWords, reply.items.front().text) != kWords.end();
}

/// RESP2 has no push type: there messages are arrays, on connections that have subscriptions.
bool is_resp2_push(const Reply& reply) {
    if (reply.kind != Reply::Kind::array || reply.items.size() < 3) return false;
    const std::string& word = reply.items.front().text;
    return word == "message" || word == "pmessage" || is_subscription_word(reply);
}

}  // namespace

/// What a client consists of. Coroutines that wait for it hold it, so that it outlives them all.
class Client::Connection : public std::enable_shared_from_this<Connection> {
public:
    Connection(Executor executor, Options options, Hooks hooks)
        : executor_{std::move(executor)},
          options_{std::move(options)},
          hooks_{std::move(hooks)},
          url_{options_.display_url()},
          label_{options_.client_name.empty() ? url_
                                              : fmt::format("{} ({})", url_, options_.client_name)},
          queue_{options_.queue},
          backoff_{net::random_unit, net::Backoff::kFirst,
                   std::max(options_.reconnect_longest, net::Backoff::kFirst)},
          unsent_{executor_},
          changed_{executor_},
          scope_{executor_} {}

    void start() {
        if (std::exchange(started_, true)) return;
        scope_.spawn("redis " + url_, stay_connected());
    }
    Awaitable<Result<void>> connected(Deadline deadline);
    Awaitable<void> close(Deadline deadline);
    Awaitable<Result<std::vector<Reply>>> run(Commands commands, RunOptions options,
                                              Deadline deadline);
    Awaitable<Result<void>> change_subscription(std::string command,
                                                std::vector<std::string> channels,
                                                Deadline deadline);

    [[nodiscard]] bool is_connected() const noexcept { return connected_; }
    [[nodiscard]] const CallQueue& queue() const noexcept { return queue_; }
    [[nodiscard]] const Options& options() const noexcept { return options_; }

private:
    Awaitable<void> stay_connected();
    Awaitable<Error> serve(Session* session);
    Awaitable<Error> read_replies(Session* session);
    Awaitable<Error> write_calls(Session* session);
    Awaitable<Error> watch(Session* session);
    [[nodiscard]] Result<void> dispatch(const Session& session, Reply reply);
    void attempt_failed(const Error& error);
    void session_began(const Session& session);
    void session_ended(const Error& error);
    [[nodiscard]] Error missed(const Call& call) const;
    Awaitable<Result<std::vector<Reply>>> finish(std::shared_ptr<Call> call, Deadline deadline);
    Awaitable<Result<std::vector<Reply>>> load_and_repeat(std::shared_ptr<Call> call,
                                                          RunOptions options, Deadline deadline);

    Executor executor_;
    Options options_;
    Hooks hooks_;
    std::string url_;
    std::string label_;  ///< For the log: the URL, and which of several connections it is.
    CallQueue queue_;
    net::Backoff backoff_;
    Notifier unsent_;   ///< Something is to be sent.
    Notifier changed_;  ///< connected_, last_problem_ or the queue's emptiness.
    bool started_ = false;
    bool connected_ = false;
    bool closed_ = false;
    bool subscribes_ = false;  ///< Ever: without, any array is an answer.
    int failures_ = 0;
    Error last_problem_{Errc::disconnected, "not connected yet"};
    TaskScope scope_;
};

// ---- Connecting

Awaitable<void> Client::Connection::stay_connected() {
    asio::steady_timer pause{executor_};
    while (true) {
        auto session = co_await Session::open(options_);
        if (session) {
            session_began(**session);
            const Error error = co_await serve(session->get());
            (*session)->close();
            session_ended(error);
            if (closed_) co_return;  // close() ends what is left.
        } else {
            attempt_failed(session.error());
        }
        pause.expires_after(backoff_.next());
        co_await pause.async_wait(asio::use_awaitable);
    }
}

void Client::Connection::attempt_failed(const Error& error) {
    last_problem_ = error;
    if (closed_) return;
    if (failures_++ % kLogEvery == 0) {
        log::warning("redis", "{} is not reachable: {}; trying again", label_, error.message());
    }
    changed_.notify_all();
}

void Client::Connection::session_began(const Session& session) {
    failures_ = 0;
    connected_ = true;
    log::info("redis", "connected to {}: Redis {}, RESP{}", label_, session.server_version(),
              session.protocol());
    changed_.notify_all();
    if (hooks_.connected) hooks_.connected();
}

void Client::Connection::session_ended(const Error& error) {
    last_problem_ = error;
    connected_ = false;
    if (!closed_) {
        log::warning("redis", "the connection to {} is lost: {}; {} calls wait", label_,
                     error.message(), queue_.calls());
    }
    // While close() waits, too: no answer will come, and none may be taken for another call's.
    queue_.connection_lost("the connection to " + url_ + " was lost: " + error.detail);
    changed_.notify_all();
    if (!closed_ && hooks_.lost) hooks_.lost();
}

// ---- A connection at work

Awaitable<Error> Client::Connection::serve(Session* session) {
    using namespace asio::experimental::awaitable_operators;
    auto ended = co_await (read_replies(session) || write_calls(session) || watch(session));
    co_return std::visit([](auto& error) { return std::move(error); }, ended);
}

Awaitable<Error> Client::Connection::read_replies(Session* session) {
    while (true) {
        // Before the first receive(), too: more than the greeting's last reply may have come with
        // it.
        while (true) {
            auto reply = session->next();
            if (!reply) co_return std::move(reply.error());
            if (!*reply) break;
            // The server answers: the next attempt to connect may come soon.
            backoff_.reset();
            if (auto done = dispatch(*session, std::move(**reply)); !done) co_return done.error();
        }
        if (queue_.empty()) changed_.notify_all();
        if (auto received = co_await session->receive(); !received) co_return received.error();
    }
}

Result<void> Client::Connection::dispatch(const Session& session, Reply reply) {
    const bool push = reply.kind == Reply::Kind::push ||
                      (session.protocol() == 2 && subscribes_ && is_resp2_push(reply));
    if (push && !is_subscription_word(reply)) {
        if (hooks_.pushed) hooks_.pushed(std::move(reply));
        return {};
    }
    const bool expected = push ? queue_.on_confirmation() : queue_.on_reply(std::move(reply));
    if (expected) return {};
    return fail(Errc::malformed, "an answer came that nobody had asked for");
}

Awaitable<Error> Client::Connection::write_calls(Session* session) {
    std::string together;
    while (true) {
        while (!queue_.has_unsent()) co_await unsent_.wait();
        together.clear();
        std::shared_ptr<Call> large;
        while (queue_.has_unsent() && !large && together.size() < kWriteTogether) {
            auto call = queue_.take_unsent();
            if (call->commands.wire().size() < kLargeCall) {
                together += call->commands.wire();
            } else {
                large = std::move(call);
            }
        }
        auto sent = co_await session->write(together);
        if (sent && large) sent = co_await session->write(large->commands.wire());
        if (!sent) co_return std::move(sent.error());
    }
}

Awaitable<Error> Client::Connection::watch(Session* session) {
    asio::steady_timer timer{executor_};
    while (true) {
        const auto finding = session->look(queue_.allowed_silence());
        if (finding.verdict == Liveness::Verdict::dead) {
            co_return Error{Errc::disconnected, fmt::format("the server has been silent for {} ms",
                                                            options_.liveness.dead_after.count())};
        }
        if (finding.verdict == Liveness::Verdict::ping) {
            auto ping = std::make_shared<Call>();
            ping->commands.add({"PING"});
            queue_.push_unlimited(std::move(ping));
            unsent_.notify_all();
        }
        timer.expires_at(finding.look_again);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

// ---- Callers

Awaitable<Result<void>> Client::Connection::connected(Deadline deadline) {
    const auto self = shared_from_this();
    while (true) {
        if (closed_) co_return fail(Errc::closed, url_ + " is closed");
        if (connected_) co_return Result<void>{};
        if (last_problem_.code == Errc::invalid_argument || deadline.passed()) {
            co_return fail(last_problem_.code, url_ + ": " + last_problem_.detail);
        }
        co_await changed_.wait(deadline);
    }
}

Awaitable<Result<std::vector<Reply>>> Client::Connection::run(Commands commands, RunOptions options,
                                                              Deadline deadline) {
    const auto self = shared_from_this();
    if (commands.empty()) co_return std::vector<Reply>{};
    auto call = std::make_shared<Call>();
    call->commands = std::move(commands);
    call->resend = options.resend;
    call->blocks_for = options.blocks_for;
    auto replies = co_await finish(call, deadline);
    const bool unknown_script = replies && call->commands.script() != nullptr &&
                                std::ranges::any_of(*replies, [](const Reply& reply) {
                                    return reply.error_code() == "NOSCRIPT";
                                });
    if (!unknown_script) co_return replies;
    call->replies = std::move(*replies);
    co_return co_await load_and_repeat(std::move(call), options, deadline);
}

Awaitable<Result<std::vector<Reply>>> Client::Connection::load_and_repeat(
    std::shared_ptr<Call> call, RunOptions options, Deadline deadline) {
    auto again = std::make_shared<Call>();
    again->resend = options.resend;
    again->commands.add({"SCRIPT", "LOAD", call->commands.script()->body()});
    for (std::size_t index = 0; index < call->replies.size(); ++index) {
        if (call->replies[index].error_code() != "NOSCRIPT") continue;
        again->commands.append(call->commands, index);
    }
    auto replies = co_await finish(again, deadline);
    if (!replies) co_return replies;
    if (replies->front().is_error()) co_return std::unexpected{to_error(replies->front())};
    auto next = replies->begin() + 1;
    for (Reply& reply : call->replies) {
        if (reply.error_code() == "NOSCRIPT") reply = std::move(*next++);
    }
    co_return std::move(call->replies);
}

Awaitable<Result<std::vector<Reply>>> Client::Connection::finish(std::shared_ptr<Call> call,
                                                                 Deadline deadline) {
    const auto self = shared_from_this();
    if (closed_) co_return fail(Errc::closed, url_ + " is closed");
    // Taken off the queue however this coroutine ends.
    struct Waiting {
        Waiting(Connection& of, std::shared_ptr<Call> waited, Deadline until)
            : connection{of}, call{std::move(waited)}, timer{of.executor_, until.time()} {
            call->ended = [this] { timer.cancel(); };
        }
        ~Waiting() {
            call->ended = nullptr;
            connection.queue_.abandon(call);
            if (connection.closed_) connection.changed_.notify_all();
        }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;
        Connection& connection;
        std::shared_ptr<Call> call;
        asio::steady_timer timer;
    };
    Waiting waiting{*this, call, deadline};
    if (auto pushed = queue_.push(call); !pushed) {
        call->done = true;
        co_return std::unexpected{std::move(pushed.error())};
    }
    unsent_.notify_all();
    co_await waiting.timer.async_wait(kAwait);
    if (!call->done) co_return std::unexpected{missed(*call)};
    if (call->error) co_return std::unexpected{std::move(*call->error)};
    co_return std::move(call->replies);
}

Awaitable<Result<void>> Client::Connection::change_subscription(std::string command,
                                                                std::vector<std::string> channels,
                                                                Deadline deadline) {
    LOVAGE_ASSERT(!channels.empty());
    subscribes_ = true;
    std::vector<std::string_view> words{command};
    words.insert(words.end(), channels.begin(), channels.end());
    auto call = std::make_shared<Call>();
    call->commands.add(words);
    call->confirmations = channels.size();
    auto done = co_await finish(std::move(call), deadline);
    if (!done) co_return std::unexpected{std::move(done.error())};
    co_return Result<void>{};
}

Error Client::Connection::missed(const Call& call) const {
    if (call.was_sent) {
        return {Errc::unknown_outcome, url_ + " has not answered within the time given"};
    }
    if (!connected_) {
        return {Errc::disconnected, url_ + " is not reachable: " + last_problem_.detail};
    }
    return {Errc::deadline_exceeded, url_ + ": the time given was over before anything was sent"};
}

Awaitable<void> Client::Connection::close(Deadline deadline) {
    const auto self = shared_from_this();
    if (std::exchange(closed_, true)) co_return;
    while (connected_ && !queue_.empty()) {
        if (!co_await changed_.wait(deadline) && deadline.passed()) break;
    }
    queue_.end_all({Errc::closed, url_ + " was closed"});
    changed_.notify_all();
    scope_.request_stop();
    // Cancelled coroutines end within a few turns of the loop, whatever the deadline was.
    co_await scope_.join(Deadline::in(std::chrono::minutes{1}));
    connected_ = false;
}

// ---- The handle

Client::Client(Executor executor, Options options)
    : Client{std::move(executor), std::move(options), Hooks{}} {}
Client::Client(Executor executor, Options options, Hooks hooks)
    : connection_{std::make_shared<Connection>(std::move(executor), std::move(options),
                                               std::move(hooks))} {}
Client::~Client() = default;

void Client::start() {
    connection_->start();
}
Awaitable<Result<void>> Client::connected(Deadline deadline) {
    return connection_->connected(deadline);
}
Awaitable<void> Client::close(Deadline deadline) {
    return connection_->close(deadline);
}
Awaitable<Result<std::vector<Reply>>> Client::run(Commands commands, RunOptions options,
                                                  Deadline deadline) {
    return connection_->run(std::move(commands), options, deadline);
}

Awaitable<Result<Reply>> Client::run_one(Commands command, RunOptions options, Deadline deadline) {
    LOVAGE_ASSERT(command.size() == 1);
    auto replies = co_await connection_->run(std::move(command), options, deadline);
    if (!replies) co_return std::unexpected{std::move(replies.error())};
    co_return std::move(replies->front());
}

Awaitable<Result<void>> Client::change_subscription(std::string command,
                                                    std::vector<std::string> channels,
                                                    Deadline deadline) {
    return connection_->change_subscription(std::move(command), std::move(channels), deadline);
}

bool Client::is_connected() const noexcept {
    return connection_->is_connected();
}
std::size_t Client::calls() const noexcept {
    return connection_->queue().calls();
}
std::size_t Client::bytes() const noexcept {
    return connection_->queue().bytes();
}
const Options& Client::options() const noexcept {
    return connection_->options();
}

}  // namespace lovage::redis
