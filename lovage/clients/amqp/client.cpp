#include <lovage/clients/amqp/client.hpp>

#include <lovage/net/backoff.hpp>
#include <lovage/runtime/log.hpp>

#include <fmt/format.h>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace lovage::amqp {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// A connection that is refused, or that nobody answers, costs the server nothing, so that one that
/// restarts or wakes up is found soon; whoever answers but does not let us in is left alone for
/// longer.
constexpr auto kAwayPauseMax = 2s;
/// A connection that lived that long was no accident: the next attempt begins without delay.
constexpr auto kProvedUseful = 5s;
/// For declaring again what was declared.
constexpr auto kReplayTimeout = 30s;

/// An answer that a coroutine waits for; shared, because either side may be gone first.
struct Answer {
    explicit Answer(const Executor& executor) : arrived{executor} {}
    Notifier arrived;
    std::optional<Result<Reply>> value;
};

/// Counts a caller inside connect() for as long as it is there, cancelled or not.
class Caller {
public:
    explicit Caller(std::size_t& count) : count_{count} { ++count_; }
    ~Caller() { --count_; }
    Caller(const Caller&) = delete;
    Caller& operator=(const Caller&) = delete;

private:
    std::size_t& count_;
};

Result<void> without_value(Result<Reply> reply) {
    if (!reply) return std::unexpected{std::move(reply.error())};
    return {};
}

}  // namespace

Client::Client(Executor executor, ClientOptions options)
    : options_{std::move(options)}, changed_{std::move(executor)} {
    LOVAGE_ASSERT(!options_.endpoints.empty());
}

Client::~Client() {
    tell_residents([](Resident& resident) { resident.on_client_closed(); });
}

void Client::tell_residents(const std::function<void(Resident&)>& news) {
    // What it is told may make a resident leave.
    const std::vector<Resident*> all(residents_.begin(), residents_.end());
    for (Resident* const resident : all) {
        if (residents_.contains(resident)) news(*resident);
    }
}

void Client::consumer_gone(const std::string& queue) {
    const auto consumes = [&](const Resident* resident) { return resident->consumes(queue); };
    if (std::ranges::any_of(residents_, consumes)) return;
    topology_.forget_if_auto_delete(queue);
    if (options_.on_queue_left) options_.on_queue_left(queue);
}

void Client::add(Resident& resident) {
    residents_.insert(&resident);
    // A connection that has just ended is still to be noticed: the next one tells the resident.
    if (connected_ && connection_->session().open()) resident.on_connected(connection_->session());
}

void Client::remove(Resident& resident) noexcept {
    residents_.erase(&resident);
}

std::string Client::blocked_reason() const {
    return connected_ ? connection_->blocked_reason() : std::string{};
}

Error Client::not_connected() const {
    const std::string why = !running() ? "connect() was not called, or close() was"
                            : problem_ ? problem_->detail
                                       : "still connecting";
    return {Errc::disconnected, fmt::format("no connection to {}: {}", endpoint(), why)};
}

std::string Client::endpoint() const {
    return options_.endpoints[endpoint_].display();
}

// --- the connection --------------------------------------------------------------------

Awaitable<Result<void>> Client::connect(Deadline deadline) {
    if (stopping_) co_await stop(deadline);
    if (!scope_) {
        scope_ = std::make_shared<TaskScope>(executor());
        problem_.reset();
        was_connected_ = closing_ = false;
        scope_->spawn("amqp client", supervise());
    }
    Caller caller{connecting_};
    bool in_time = true;
    const auto hopeless = [this] {
        return !running() || (problem_ && problem_->code == Errc::rejected);
    };
    while (!connected_ && in_time && !hopeless()) in_time = co_await changed_.wait(deadline);
    if (connected_) co_return Result<void>{};
    Error problem = problem_ && problem_->code == Errc::rejected ? *problem_ : not_connected();
    if (connecting_ == 1 && !was_connected_) {
        co_await stop(Deadline::in(options_.connect_timeout));
    }
    co_return std::unexpected{std::move(problem)};
}

Awaitable<void> Client::stop(Deadline deadline) {
    if (!scope_) co_return;
    const auto scope = scope_;
    stopping_ = true;
    connected_ = false;
    changed_.notify_all();
    scope->request_stop();
    if (!co_await scope->join(deadline)) {
        log::warning("amqp", "the connection took too long to end; waiting on");
        (void)co_await scope->join(Deadline::in(24h));
    }
    if (scope_ != scope) co_return;  // another caller has seen its end
    if (connection_) connection_->session().fail({Errc::closed, "the connection was closed"});
    connection_.reset();
    scope_.reset();
    stopping_ = false;
    changed_.notify_all();
}

Awaitable<void> Client::close(Deadline deadline) {
    closing_ = true;
    if (connection_) {
        const auto connection = connection_;
        connection->session().close();
        while (!connection->ended()) {
            if (!co_await connection->changed().wait(deadline)) break;
        }
        connection->session().fail({Errc::closed, "the connection was closed"});
    }
    co_await stop(deadline);
    tell_residents([](Resident& resident) { resident.on_state_changed(); });
}

Awaitable<void> Client::supervise() {
    net::Backoff backoff;
    for (std::size_t failures = 0;;) {
        const auto begun = std::chrono::steady_clock::now();
        if (co_await connect_once()) {
            co_await stay();
            if (closing_) co_return;
            failures = 0;
            if (std::chrono::steady_clock::now() - begun > kProvedUseful) backoff.reset();
        } else if (++failures % options_.endpoints.size() != 0) {
            // Another host may answer at once; only a full round of failures is worth waiting
            // after.
            try_next_host();
            continue;
        }
        auto pause = backoff.next();
        if (problem_->code == Errc::disconnected || problem_->code == Errc::deadline_exceeded) {
            pause = std::min<net::Backoff::Duration>(pause, kAwayPauseMax);
        }
        log::warning("amqp", "no connection to {}: {}; trying again in {:.1f} s",
                     options_.endpoints[endpoint_].display(), problem_->detail,
                     std::chrono::duration<double>(pause).count());
        asio::steady_timer timer{executor(), pause};
        co_await timer.async_wait(asio::use_awaitable);
        // Also after a connection that had lived: a host that fell silent may take new ones and
        // go on saying nothing.
        try_next_host();
    }
}

void Client::try_next_host() noexcept {
    endpoint_ = (endpoint_ + 1) % options_.endpoints.size();
}

Awaitable<Result<std::shared_ptr<Connection>>> Client::connect_to(Endpoint endpoint) {
    const Deadline deadline = Deadline::in(options_.connect_timeout);
    auto stream = endpoint.tls ? co_await net::connect_tls(endpoint.host, endpoint.port,
                                                           *endpoint.tls, deadline)
                               : co_await net::connect_tcp(endpoint.host, endpoint.port, deadline);
    if (!stream) co_return std::unexpected{std::move(stream.error())};
    auto connection =
        std::make_shared<Connection>(executor(), endpoint.session, std::move(*stream));
    auto opened = co_await connection->open(scope_.get(), deadline);
    if (opened) co_return connection;
    if (opened.error().code == Errc::rejected) {
        opened.error().detail =
            fmt::format("{} refuses the login: {} (check user, password and virtual host)",
                        endpoint.display(), opened.error().detail);
    }
    co_return std::unexpected{std::move(opened.error())};
}

Awaitable<bool> Client::connect_once() {
    auto opened = co_await connect_to(options_.endpoints[endpoint_]);
    if (!opened) {
        problem_ = std::move(opened.error());
        changed_.notify_all();
        co_return false;
    }
    connection_ = std::move(*opened);
    server_ = connection_->session().peer_product();
    ++incarnation_;
    co_await replay();
    if (connection_->ended()) {
        problem_ = *connection_->ended();
        co_return false;
    }
    log::info("amqp", "connected to {} ({})", options_.endpoints[endpoint_].display(), server_);
    problem_.reset();
    connected_ = was_connected_ = true;
    tell_residents([this](Resident& resident) {
        if (connected_ && connection_->session().open()) {
            resident.on_connected(connection_->session());
        }
    });
    changed_.notify_all();
    co_return true;
}

/// Watches over a living connection until it is over.
Awaitable<void> Client::stay() {
    const auto connection = connection_;
    while (!connection->ended()) {
        co_await connection->changed().wait();
        tell_residents([](Resident& resident) { resident.on_state_changed(); });
        changed_.notify_all();
    }
    problem_ = *connection->ended();
    connected_ = false;
    tell_residents([](Resident& resident) { resident.on_state_changed(); });
    changed_.notify_all();
}

Awaitable<void> Client::replay() {
    const Deadline deadline = Deadline::in(kReplayTimeout);
    for (auto& [what, request] : topology_.replay()) {
        auto reply = co_await call_once(std::move(request), deadline);
        if (!reply && !connection_->ended()) {
            log::error("amqp", "{} could not be declared again: {}", what, reply.error().message());
        }
    }
}

// --- operations ------------------------------------------------------------------------

Awaitable<Result<Reply>> Client::call_once(Request request, Deadline deadline) {
    // The connection may have ended since the caller looked, while declarations are replayed, say.
    if (!connection_->session().open()) {
        co_return fail(Errc::cancelled, fmt::format("the connection to {} is down", endpoint()));
    }
    const std::string operation = method_name(request.id);
    auto answer = std::make_shared<Answer>(executor());
    if (control_.channel == nullptr) {
        control_.channel = connection_->session().open_channel(control_);
        if (control_.channel == nullptr) {
            co_return fail(Errc::unavailable, "the connection has no channel left");
        }
    }
    control_.channel->call(std::move(request), [answer](Result<Reply> reply) {
        answer->value = std::move(reply);
        answer->arrived.notify_all();
    });
    while (!answer->value) {
        if (!co_await answer->arrived.wait(deadline) && !answer->value) {
            co_return fail(Errc::unknown_outcome,
                           fmt::format("{} did not answer {} in time", endpoint(), operation));
        }
    }
    co_return std::move(*answer->value);
}

Awaitable<Result<Reply>> Client::call(Request request, Deadline deadline) {
    while (true) {
        while (!connected_ || !connection_->session().open()) {
            if (!running()) co_return std::unexpected{not_connected()};
            if (!co_await changed_.wait(deadline)) co_return std::unexpected{not_connected()};
        }
        auto reply = co_await call_once(request, deadline);
        if (reply) co_return reply;
        // Not looked at, or interrupted: all these operations may be repeated.
        const bool again =
            reply.error().code == Errc::cancelled || reply.error().code == Errc::unknown_outcome;
        if (!again || deadline.passed()) co_return reply;
    }
}

Awaitable<Result<void>> Client::declare(ExchangeSpec exchange, Deadline deadline) {
    Request request = declare_request(exchange);
    auto reply = co_await call(request, deadline);
    if (reply) topology_.remember(exchange, std::move(request));
    co_return without_value(std::move(reply));
}

Awaitable<Result<Reply>> Client::declare(QueueSpec queue, Deadline deadline) {
    Request request = declare_request(queue);
    auto reply = co_await call(request, deadline);
    if (reply) topology_.remember(queue, std::move(request));
    co_return reply;
}

Awaitable<Result<void>> Client::bind(BindingSpec binding, Deadline deadline) {
    Request request = bind_request(binding);
    auto reply = co_await call(request, deadline);
    if (reply) topology_.remember(binding, std::move(request));
    co_return without_value(std::move(reply));
}

Awaitable<Result<Reply>> Client::look_up(std::string queue, Deadline deadline) {
    co_return co_await call(look_up_request(queue), deadline);
}

Awaitable<Result<Reply>> Client::purge(std::string queue, Deadline deadline) {
    co_return co_await call(purge_request(queue), deadline);
}

Awaitable<Result<Reply>> Client::delete_queue(std::string queue, Deadline deadline) {
    topology_.forget_queue(queue);
    co_return co_await call(delete_request(queue), deadline);
}

}  // namespace lovage::amqp
