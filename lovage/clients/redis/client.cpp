#include <lovage/clients/redis/client.hpp>

#include <lovage/clients/redis/handshake.hpp>
#include <lovage/net/backoff.hpp>
#include <lovage/net/stream.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <variant>

#include <fmt/core.h>

namespace lovage::redis {

namespace asio = boost::asio;

namespace {

using Clock = std::chrono::steady_clock;
using StreamPtr = std::unique_ptr<net::Stream>;

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t kReadChunk = std::size_t{64} << 10U;
/// One write to the socket; a longer one would hide from Liveness that it makes progress.
constexpr std::size_t kWriteChunk = std::size_t{256} << 10U;
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

/// RESP2 has no push type: on a connection with subscriptions, messages are arrays.
bool is_resp2_push(const Reply& reply) {
    if (reply.kind != Reply::Kind::array || reply.items.size() < 3) return false;
    const std::string& word = reply.items.front().text;
    return word == "message" || word == "pmessage" || is_subscription_word(reply);
}

Awaitable<Result<StreamPtr>> dial(Options options, Deadline deadline) {
    if (!options.socket_path.empty()) {
        co_return co_await net::connect_unix(options.socket_path);
    }
    if (options.tls) {
        co_return co_await net::connect_tls(options.host, options.port, *options.tls, deadline);
    }
    co_return co_await net::connect_tcp(options.host, options.port, deadline);
}

Awaitable<Result<void>> write_all(net::Stream* stream, std::string_view text) {
    const std::array<std::string_view, 1> buffers{text};
    co_return co_await stream->write(buffers);
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
    Awaitable<Result<std::vector<Reply>>> finish(std::shared_ptr<Call> call, Deadline deadline);

    [[nodiscard]] bool is_connected() const noexcept { return connected_; }
    [[nodiscard]] const CallQueue& queue() const noexcept { return queue_; }
    [[nodiscard]] const Options& options() const noexcept { return options_; }

private:
    struct Session {
        Session(StreamPtr connected, const Options& options)
            : stream{std::move(connected)},
              parser{options.replies},
              liveness{options.liveness, Clock::now()} {}
        StreamPtr stream;
        ReplyParser parser;
        Liveness liveness;
        int protocol = 2;
        std::string server_version;
    };
    using SessionPtr = std::unique_ptr<Session>;

    Awaitable<void> stay_connected();
    Awaitable<Result<SessionPtr>> open();
    Awaitable<Result<SessionPtr>> open_without_limit(Deadline deadline);
    Awaitable<Result<void>> greet(Session* session);
    Awaitable<Result<Reply>> read_reply(Session* session);
    Awaitable<Error> serve(Session* session);
    Awaitable<Error> read_replies(Session* session);
    Awaitable<Error> write_calls(Session* session);
    Awaitable<Error> watch(Session* session);
    Awaitable<Result<void>> write_slices(Session* session, std::string_view text);
    [[nodiscard]] Result<void> dispatch(const Session& session, Reply reply);
    void attempt_failed(const Error& error);
    void session_began(const Session& session);
    void session_ended(const Error& error);
    [[nodiscard]] Error missed(const Call& call) const;
    Awaitable<Result<std::vector<Reply>>> load_and_repeat(std::shared_ptr<Call> call,
                                                          RunOptions options, Deadline deadline);

    Executor executor_;
    Options options_;
    Hooks hooks_;
    std::string url_;
    CallQueue queue_;
    net::Backoff backoff_;
    Notifier unsent_;   ///< Something is to be sent.
    Notifier changed_;  ///< connected_, last_problem_ or the queue's emptiness.
    bool started_ = false;
    bool connected_ = false;
    bool closed_ = false;
    int failures_ = 0;
    Error last_problem_{Errc::disconnected, "not connected yet"};
    TaskScope scope_;
};

// ---- Connecting

Awaitable<void> Client::Connection::stay_connected() {
    asio::steady_timer pause{executor_};
    while (true) {
        auto session = co_await open();
        if (session) {
            session_began(**session);
            const Error error = co_await serve(session->get());
            (*session)->stream->close();
            session_ended(error);
        } else {
            attempt_failed(session.error());
        }
        pause.expires_after(backoff_.next());
        co_await pause.async_wait(asio::use_awaitable);
    }
}

Awaitable<Result<Client::Connection::SessionPtr>> Client::Connection::open() {
    using namespace asio::experimental::awaitable_operators;
    const Deadline deadline = Deadline::in(options_.connect_timeout);
    asio::steady_timer limit{executor_, deadline.time()};
    auto outcome = co_await (open_without_limit(deadline) || limit.async_wait(kAwait));
    if (outcome.index() == 1) {
        co_return fail(Errc::disconnected,
                       fmt::format("no answer within {} ms", options_.connect_timeout.count()));
    }
    co_return std::get<0>(std::move(outcome));
}

Awaitable<Result<Client::Connection::SessionPtr>> Client::Connection::open_without_limit(
    Deadline deadline) {
    auto stream = co_await dial(options_, deadline);
    if (!stream) co_return std::unexpected{std::move(stream.error())};
    auto session = std::make_unique<Session>(std::move(*stream), options_);
    if (auto greeted = co_await greet(session.get()); !greeted) {
        co_return std::unexpected{std::move(greeted.error())};
    }
    co_return session;
}

Awaitable<Result<void>> Client::Connection::greet(Session* session) {
    Handshake handshake{options_};
    while (!handshake.done()) {
        const std::string wire = handshake.commands().wire();
        if (auto sent = co_await write_all(session->stream.get(), wire); !sent) co_return sent;
        std::vector<Reply> replies;
        while (replies.size() < handshake.commands().size()) {
            auto reply = co_await read_reply(session);
            if (!reply) co_return std::unexpected{std::move(reply.error())};
            replies.push_back(std::move(*reply));
        }
        if (auto taken = handshake.on_replies(replies); !taken) co_return taken;
    }
    session->protocol = handshake.protocol();
    session->server_version = handshake.server_version();
    co_return Result<void>{};
}

Awaitable<Result<Reply>> Client::Connection::read_reply(Session* session) {
    while (true) {
        auto reply = session->parser.next();
        if (!reply) co_return std::unexpected{std::move(reply.error())};
        if (*reply) co_return std::move(**reply);
        const auto bytes = co_await session->stream->read_some(session->parser.prepare(kReadChunk));
        if (!bytes) co_return std::unexpected{bytes.error()};
        if (*bytes == 0) co_return fail(Errc::disconnected, "the server hung up");
        session->parser.commit(*bytes);
    }
}

void Client::Connection::attempt_failed(const Error& error) {
    last_problem_ = error;
    if (closed_) return;
    if (failures_++ % kLogEvery == 0) {
        log::warning("redis", "{} is not reachable: {}; trying again", url_, error.message());
    }
    changed_.notify_all();
}

void Client::Connection::session_began(const Session& session) {
    failures_ = 0;
    connected_ = true;
    log::info("redis", "connected to {} (Redis {}, RESP{})", url_,
              session.server_version.empty() ? "of unknown version" : session.server_version,
              session.protocol);
    changed_.notify_all();
    if (hooks_.connected) hooks_.connected();
}

void Client::Connection::session_ended(const Error& error) {
    last_problem_ = error;
    connected_ = false;
    if (closed_) return;
    log::warning("redis", "the connection to {} is lost: {}; {} calls wait", url_, error.message(),
                 queue_.calls());
    queue_.connection_lost("the connection to " + url_ + " was lost: " + error.detail);
    changed_.notify_all();
    if (hooks_.lost) hooks_.lost();
}

// ---- A connection at work

Awaitable<Error> Client::Connection::serve(Session* session) {
    using namespace asio::experimental::awaitable_operators;
    auto ended = co_await (read_replies(session) || write_calls(session) || watch(session));
    co_return std::visit([](auto& error) { return std::move(error); }, ended);
}

Awaitable<Error> Client::Connection::read_replies(Session* session) {
    while (true) {
        // Before the first read, too: more than the greeting's last reply may have come with it.
        while (true) {
            auto reply = session->parser.next();
            if (!reply) co_return std::move(reply.error());
            if (!*reply) break;
            // The server answers: the next attempt to connect may come soon.
            backoff_.reset();
            if (auto done = dispatch(*session, std::move(**reply)); !done) co_return done.error();
        }
        if (queue_.empty()) changed_.notify_all();
        const auto bytes = co_await session->stream->read_some(session->parser.prepare(kReadChunk));
        if (!bytes) co_return bytes.error();
        if (*bytes == 0) co_return Error{Errc::disconnected, "the server hung up"};
        session->parser.commit(*bytes);
        session->liveness.received(Clock::now());
    }
}

Result<void> Client::Connection::dispatch(const Session& session, Reply reply) {
    const bool push =
        reply.kind == Reply::Kind::push || (session.protocol == 2 && is_resp2_push(reply));
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
        while (queue_.has_unsent() && !large && together.size() < kWriteChunk) {
            auto call = queue_.take_unsent();
            if (call->commands.wire().size() < kLargeCall) {
                together += call->commands.wire();
            } else {
                large = std::move(call);
            }
        }
        auto sent = co_await write_slices(session, together);
        if (sent && large) sent = co_await write_slices(session, large->commands.wire());
        if (!sent) co_return std::move(sent.error());
    }
}

Awaitable<Result<void>> Client::Connection::write_slices(Session* session, std::string_view text) {
    Result<void> sent;
    while (sent && !text.empty()) {
        const std::string_view slice = text.substr(0, kWriteChunk);
        session->liveness.write_began(Clock::now());
        sent = co_await write_all(session->stream.get(), slice);
        session->liveness.write_ended();
        text.remove_prefix(slice.size());
    }
    co_return sent;
}

Awaitable<Error> Client::Connection::watch(Session* session) {
    asio::steady_timer timer{executor_};
    while (true) {
        const auto finding = session->liveness.look(Clock::now(), queue_.allowed_silence());
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
    LOVAGE_ASSERT(!channels.empty());
    std::vector<std::string_view> words{command};
    words.insert(words.end(), channels.begin(), channels.end());
    auto call = std::make_shared<Call>();
    call->commands.add(words);
    call->confirmations = channels.size();
    auto done = co_await connection_->finish(std::move(call), deadline);
    if (!done) co_return std::unexpected{std::move(done.error())};
    co_return Result<void>{};
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
