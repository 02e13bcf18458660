#include <lovage/brokers/sqlite/sqlite_broker.hpp>

#include <lovage/brokers/sqlite/membership.hpp>
#include <lovage/brokers/sqlite/sqlite_consumer.hpp>
#include <lovage/brokers/sqlite/store.hpp>
#include <lovage/clients/sqlite/database.hpp>
#include <lovage/clients/sqlite/files.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/failpoint.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>

#include <boost/asio/this_coro.hpp>

#include <optional>

namespace lovage {

namespace {

using namespace sqlite_broker;
using sqlite::Session;

/// Kept back on the disk so that messages can still be delivered and settled when it is full.
constexpr std::int64_t kReserveBytes = std::int64_t{4} << 20U;

std::unexpected<Error> not_connected() {
    return fail(Errc::disconnected, "the broker is not connected: call connect() first");
}

/// What is on its way to the disk. Shared with the publishes: some may end after the broker.
struct PublishWindow {
    explicit PublishWindow(const Executor& executor) : freed{executor} {}
    std::size_t messages = 0;
    std::size_t bytes = 0;
    Notifier freed;

    /// One message's part, as long as it lives.
    class Share {
    public:
        Share(std::shared_ptr<PublishWindow> window, std::size_t bytes)
            : window_{std::move(window)}, bytes_{bytes} {
            ++window_->messages;
            window_->bytes += bytes_;
        }
        ~Share() {
            --window_->messages;
            window_->bytes -= bytes_;
            window_->freed.notify_all();
        }
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;

    private:
        std::shared_ptr<PublishWindow> window_;
        std::size_t bytes_;
    };
};

class SqliteBroker final : public Broker {
public:
    SqliteBroker(Executor executor, SqliteBrokerOptions options)
        : executor_{std::move(executor)},
          options_{std::move(options)},
          closed_{executor_},
          window_{std::make_shared<PublishWindow>(executor_)},
          scope_{executor_} {}

    Awaitable<Result<void>> connect(Deadline deadline) override;
    Awaitable<void> close(Deadline deadline) override;

    Awaitable<Result<void>> declare_queue(QueueDeclaration queue, Deadline deadline) override;
    Awaitable<Result<void>> declare_exchange(ExchangeDeclaration exchange,
                                             Deadline deadline) override;
    Awaitable<Result<void>> bind(Binding binding, Deadline deadline) override;
    Awaitable<Result<void>> delete_queue(std::string queue, Deadline deadline) override;
    Awaitable<Result<void>> publish(Publication publication, Deadline deadline) override;
    Awaitable<Result<std::unique_ptr<Consumer>>> consume(ConsumeOptions options,
                                                         Deadline deadline) override;
    Awaitable<Result<std::uint64_t>> purge(std::string queue, Deadline deadline) override;
    Awaitable<Result<QueueStatus>> queue_status(std::string queue, Deadline deadline) override;
    Awaitable<Result<std::vector<std::string>>> list_queues(Deadline deadline) override;
    Awaitable<Result<void>> ping(Deadline deadline) override;

    [[nodiscard]] std::string display_url() const override {
        return "sqlite:///" + options_.folder.string();
    }
    [[nodiscard]] bool delays_natively() const noexcept override { return true; }

private:
    /// To be asked again after every co_await: close() may have run meanwhile.
    [[nodiscard]] bool is_open() const noexcept { return session_ && !closing_; }
    Awaitable<Result<PeerId>> become_peer(Deadline deadline);
    Result<void> watch_folder();
    Awaitable<Result<void>> room_for(std::size_t bytes, Deadline deadline);
    template <class F>
    void for_each_subscription(F action) {
        std::erase_if(subscriptions_, [](const auto& weak) { return weak.expired(); });
        for (const auto& weak : std::vector{subscriptions_}) {
            if (const auto subscription = weak.lock()) action(*subscription);
        }
    }

    const Executor executor_;
    const SqliteBrokerOptions options_;
    std::unique_ptr<Session> session_;
    std::shared_ptr<Membership> membership_;
    std::unique_ptr<sqlite::FolderWatch> watch_;
    std::vector<std::weak_ptr<Subscription>> subscriptions_;
    bool renewing_ = false;
    bool closing_ = false;
    Notifier closed_;  ///< A second close() waits on it for the first.
    std::shared_ptr<PublishWindow> window_;
    TaskScope scope_;
};

Awaitable<Result<void>> SqliteBroker::connect(Deadline deadline) {
    if (session_) co_return Result<void>{};
    auto session = std::make_unique<Session>(
        sqlite::Database::open({.file = options_.folder / "broker.sqlite3",
                                .schema = schema(),
                                .wake_file = options_.folder / "broker.wake",
                                .reserve_bytes = kReserveBytes}),
        executor_);
    auto entered = co_await session->run(
        [](Connection& connection) { return enter(connection, boot_id(), Now::read()); }, deadline);
    if (!entered) co_return entered;
    if (session_) co_return Result<void>{};  // another connect() was quicker
    session_ = std::move(session);
    membership_ = std::make_shared<Membership>(
        *session_,
        Membership::Options{.peers = options_.folder / "peers",
                            .lease = options_.lease,
                            .renew_every = options_.renew_every},
        Membership::Handlers{
            .lost = [this] { for_each_subscription([](Subscription& each) { each.lost(); }); },
            .joined =
                [this](PeerId peer) {
                    for_each_subscription([peer](Subscription& each) { each.rejoined(peer); });
                },
            .tick = [this] { for_each_subscription([](Subscription& each) { each.wake(); }); }});
    co_return Result<void>{};
}

Awaitable<void> SqliteBroker::close(Deadline deadline) {
    struct Closing {
        SqliteBroker& self;
        explicit Closing(SqliteBroker& broker) : self{broker} { self.closing_ = true; }
        ~Closing() {
            self.closing_ = false;
            self.closed_.notify_all();
        }
    };
    while (closing_ && !deadline.passed()) (void)co_await closed_.wait(deadline);
    if (!is_open()) co_return;
    const Closing closing{*this};
    for (const auto& weak : std::vector{subscriptions_}) {
        if (const auto subscription = weak.lock()) (void)co_await subscription->close(deadline);
    }
    for_each_subscription([](Subscription& each) { each.broker_closed(); });
    subscriptions_.clear();
    scope_.request_stop();
    LOVAGE_ASSERT(co_await scope_.join(Deadline::in(std::chrono::seconds{60})));
    if (auto left = co_await membership_->leave(deadline); !left) {
        log::warning("broker", "could not leave in time, other consumers will notice: {}",
                     left.error().message());
    }
    watch_.reset();
    membership_.reset();
    session_.reset();
}

Awaitable<Result<PeerId>> SqliteBroker::become_peer(Deadline deadline) {
    // Watching before joining: what happens from now on is either seen by the watch or found in the
    // file.
    if (!watch_) {
        auto prepared =
            co_await session_->run([peers = options_.folder / "peers"](
                                       Connection&) { return sqlite::make_private_folder(peers); },
                                   deadline);
        if (!prepared) co_return std::unexpected{std::move(prepared.error())};
        if (!is_open()) co_return not_connected();
        if (auto watching = watch_folder(); !watching) {
            co_return std::unexpected{std::move(watching.error())};
        }
    }
    auto joined = co_await membership_->join(deadline);
    if (!is_open()) co_return not_connected();
    if (joined && !std::exchange(renewing_, true)) {
        scope_.spawn("renew the broker lease", membership_->run());
    }
    co_return joined;
}

Result<void> SqliteBroker::watch_folder() {
    if (watch_) return {};
    auto watch = sqlite::FolderWatch::open(
        executor_, session_->database().wake_file(), options_.folder / "peers",
        {.woken = [this] { for_each_subscription([](Subscription& each) { each.wake(); }); },
         .peer_closed = [this](const std::string& peer) { membership_->peer_closed(peer); },
         .overflowed = [this] { membership_->check_all_peers(); }});
    if (!watch) return std::unexpected{std::move(watch.error())};
    watch_ = std::move(*watch);
    scope_.spawn("watch the broker folder", watch_->run());
    return {};
}

Awaitable<Result<void>> SqliteBroker::declare_queue(QueueDeclaration queue, Deadline deadline) {
    if (!is_open()) co_return not_connected();
    if (auto valid = check_declaration(queue); !valid) co_return valid;
    PeerId peer = membership_->id();
    if (queue.exclusive) {
        auto joined = co_await become_peer(deadline);
        if (!joined) co_return std::unexpected{std::move(joined.error())};
        if (!is_open()) co_return not_connected();
        peer = *joined;
    }
    co_return co_await session_->run(
        [queue = std::move(queue), peer](Connection& connection) {
            return sqlite_broker::declare_queue(connection, queue, peer, Now::read());
        },
        deadline);
}

Awaitable<Result<void>> SqliteBroker::declare_exchange(ExchangeDeclaration exchange,
                                                       Deadline deadline) {
    if (!is_open()) co_return not_connected();
    co_return co_await session_->run(
        [exchange = std::move(exchange)](Connection& connection) {
            return sqlite_broker::declare_exchange(connection, exchange, Now::read());
        },
        deadline);
}

Awaitable<Result<void>> SqliteBroker::bind(Binding binding, Deadline deadline) {
    if (!is_open()) co_return not_connected();
    co_return co_await session_->run(
        [binding = std::move(binding)](Connection& connection) {
            return sqlite_broker::bind(connection, binding, Now::read());
        },
        deadline);
}

Awaitable<Result<void>> SqliteBroker::delete_queue(std::string queue, Deadline deadline) {
    if (!is_open()) co_return not_connected();
    co_return co_await session_->run(
        [queue = std::move(queue)](Connection& connection) {
            return sqlite_broker::delete_queue(connection, queue, Now::read());
        },
        deadline);
}

Awaitable<Result<void>> SqliteBroker::room_for(std::size_t bytes, Deadline deadline) {
    const auto full = [&] {
        return window_->messages >= options_.publish_window_messages ||
               (window_->messages > 0 && window_->bytes + bytes > options_.publish_window_bytes);
    };
    while (full()) {
        if (deadline.passed()) {
            co_return fail(Errc::deadline_exceeded,
                           "too many messages are on their way to the disk: send more slowly");
        }
        (void)co_await window_->freed.wait(deadline);
    }
    co_return Result<void>{};
}

Awaitable<Result<void>> SqliteBroker::publish(Publication publication, Deadline deadline) {
    if (!is_open()) co_return not_connected();
    const Json& table = publication.message.headers;
    std::string headers =
        table.is_raw() ? table.raw_text() : to_json_text(table, JsonStyle::compact);
    if (auto fits = check_publication(publication, headers.size(), options_.limits); !fits)
        co_return fits;
    const std::size_t bytes = publication.message.body.size() + headers.size();
    if (auto room = co_await room_for(bytes, deadline); !room) co_return room;
    if (!is_open()) co_return not_connected();
    if (failpoint::left_out(failpoint::Line::confirm)) {
        session_->post([publication, headers](Connection& connection) {
            return sqlite_broker::publish(connection, publication, headers, Now::read());
        });
        co_return Result<void>{};
    }
    const PublishWindow::Share share{window_, bytes};
    co_return co_await session_->run(
        [publication = std::move(publication),
         headers = std::move(headers)](Connection& connection) {
            return sqlite_broker::publish(connection, publication, headers, Now::read());
        },
        deadline);
}

Awaitable<Result<std::unique_ptr<Consumer>>> SqliteBroker::consume(ConsumeOptions options,
                                                                   Deadline deadline) {
    if (!is_open()) co_return not_connected();
    if (auto valid = check_consume(options); !valid) co_return std::unexpected{valid.error()};
    auto peer = co_await become_peer(deadline);
    if (!peer) co_return std::unexpected{std::move(peer.error())};
    if (!is_open()) co_return not_connected();
    auto name = uuid4();
    auto added = co_await session_->run(
        [peer = *peer, name, queues = options.queues](Connection& connection) {
            return add_consumer(connection, peer, name, queues, Now::read());
        },
        deadline);
    if (!added) co_return std::unexpected{std::move(added.error())};
    if (!is_open()) co_return not_connected();  // with the peer goes what was added
    auto subscription =
        std::make_shared<Subscription>(*session_, *peer, std::move(name), std::move(options.queues),
                                       options.prefetch, [this] { membership_->note_lost(); });
    subscriptions_.push_back(subscription);
    if (membership_->id() != *peer) {  // lost while it was being added
        subscription->lost();
        if (membership_->id() != 0) subscription->rejoined(membership_->id());
    }
    co_return std::make_unique<SqliteConsumer>(std::move(subscription));
}

Awaitable<Result<std::uint64_t>> SqliteBroker::purge(std::string queue, Deadline deadline) {
    if (!is_open()) co_return not_connected();
    co_return co_await session_->run(
        [queue = std::move(queue)](Connection& connection) {
            return sqlite_broker::purge(connection, queue, Now::read());
        },
        deadline);
}

Awaitable<Result<QueueStatus>> SqliteBroker::queue_status(std::string queue, Deadline deadline) {
    if (!is_open()) co_return not_connected();
    co_return co_await session_->run(
        [queue = std::move(queue)](Connection& connection) {
            return status(connection, queue, Now::read());
        },
        deadline);
}

Awaitable<Result<void>> SqliteBroker::ping(Deadline deadline) {
    if (!is_open()) co_return not_connected();
    // An empty transaction: the file is there, and nobody holds its lock for long.
    co_return co_await session_->run(
        [](Connection& connection) -> Result<void> {
            if (!connection.low_on_space()) return {};
            return fail(Errc::unavailable, "the disk is full: no message is taken");
        },
        deadline);
}

Awaitable<Result<std::vector<std::string>>> SqliteBroker::list_queues(Deadline deadline) {
    if (!is_open()) co_return not_connected();
    co_return co_await session_->run(
        [](Connection& connection) { return sqlite_broker::list_queues(connection, Now::read()); },
        deadline);
}

}  // namespace

std::unique_ptr<Broker> make_sqlite_broker(Executor executor, SqliteBrokerOptions options) {
    return std::make_unique<SqliteBroker>(std::move(executor), std::move(options));
}

}  // namespace lovage
