#pragma once

#include <lovage/brokers/broker.hpp>
#include <lovage/brokers/sqlite/store.hpp>
#include <lovage/clients/sqlite/database.hpp>
#include <lovage/runtime/notifier.hpp>

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace lovage::sqlite_broker {

/// What a consumer is behind its handle. Outlives the handle while the writer still works for it.
///
/// It claims ahead of receive(), as a broker that pushes would, never more than the free prefetch.
/// Claims and settlements are operations without a deadline, so their outcome is always known;
/// receive() and flush() merely wait for them. Belongs to the loop; not thread-safe.
class Subscription : public std::enable_shared_from_this<Subscription> {
public:
    using Queues = std::vector<std::string>;

    /// `lost` is called when a claim finds that the peer was taken for dead.
    Subscription(sqlite::Session& session, PeerId peer, std::string name, Queues queues,
                 std::uint32_t prefetch, std::function<void()> lost);

    [[nodiscard]] Awaitable<Result<std::vector<Delivery>>> receive(Deadline deadline);
    void settle(DeliveryTag tag, Settlement how);
    [[nodiscard]] Awaitable<Result<void>> flush(Deadline deadline);
    void set_prefetch(std::uint32_t prefetch);
    [[nodiscard]] Awaitable<Result<void>> add_queue(std::string queue, Deadline deadline);
    [[nodiscard]] Awaitable<Result<void>> cancel_queue(std::string queue, Deadline deadline);
    [[nodiscard]] Awaitable<Result<void>> cancel(Deadline deadline);
    [[nodiscard]] Awaitable<Result<void>> close(Deadline deadline);
    /// The handle was dropped: everything goes back without anybody waiting for it.
    void abandon();

    [[nodiscard]] std::size_t unsettled() const noexcept { return held_.size(); }
    [[nodiscard]] std::uint64_t stale() const noexcept { return stale_; }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] const Queues& queues() const noexcept { return *queues_; }

    /// Something may be ready.
    void wake();
    /// The peer was taken for dead: nothing is held any more, old tags are stale. The next
    /// receive() says so (disconnected); those after it go on once a new peer has joined.
    void lost();
    /// A new peer holds for this consumer from now on.
    void rejoined(PeerId peer);
    /// The broker closes: no operation is started any more.
    void broker_closed();

private:
    struct Held {
        HeldMessage message;
        bool handed_out;
    };
    /// Settlements that travel together; kept until they are carried out.
    struct Chunk {
        PeerId peer;
        std::vector<Settle> settles;
    };

    void pump();
    void claimed(PeerId peer, Result<Claim> claim);
    void give_back(std::vector<Settle> settles);
    void add_settlement(Settle settle);
    void close_chunk();
    void submit_chunk(std::uint64_t number);
    void chunk_done(std::uint64_t number, const Result<std::uint64_t>& stale);
    void retry_later();
    void return_buffered(const std::string* only_queue);
    [[nodiscard]] std::vector<Delivery> hand_out();
    void count_stale(std::uint64_t count);

    sqlite::Session* session_;  ///< Null once the broker is closed.
    PeerId peer_;
    const std::string name_;
    std::shared_ptr<const Queues> queues_;  ///< Shared with claims under way.
    std::uint32_t prefetch_;
    std::function<void()> on_lost_;

    Notifier ready_;  ///< receive() waits on it.
    std::deque<Delivery> buffer_;
    std::unordered_map<std::uint64_t, Held> held_;  ///< By tag value; includes the buffered ones.
    std::uint64_t epoch_;
    std::uint64_t next_tag_ = 1;
    std::size_t turn_ = 0;
    bool claiming_ = false;
    bool maybe_ready_ = true;
    bool cancelled_ = false;
    bool closed_ = false;
    std::optional<std::int64_t> next_due_;  ///< Unix milliseconds.
    std::optional<Error> problem_;          ///< For the next receive().
    std::deque<std::string> gone_queues_;

    Notifier settled_;  ///< flush() waits on it.
    std::shared_ptr<Chunk> open_chunk_;
    std::uint64_t next_chunk_ = 1;
    std::map<std::uint64_t, std::shared_ptr<Chunk>> chunks_;  ///< Not carried out yet.
    std::vector<std::uint64_t> failed_chunks_;
    std::optional<Error> settle_error_;
    std::chrono::milliseconds retry_after_{20};
    boost::asio::steady_timer retry_;
    std::uint64_t stale_ = 0;
};

/// The handle. Dropping it without close() is the consumer's death.
class SqliteConsumer final : public Consumer {
public:
    explicit SqliteConsumer(std::shared_ptr<Subscription> subscription)
        : subscription_{std::move(subscription)} {}
    ~SqliteConsumer() override { subscription_->abandon(); }

    Awaitable<Result<std::vector<Delivery>>> receive(Deadline deadline) override {
        return subscription_->receive(deadline);
    }
    void ack(DeliveryTag tag) override { subscription_->settle(tag, Settlement::discard); }
    void reject(DeliveryTag tag, Requeue requeue) override {
        subscription_->settle(tag,
                              requeue == Requeue::yes ? Settlement::requeue : Settlement::discard);
    }
    Awaitable<Result<void>> flush(Deadline deadline) override {
        return subscription_->flush(deadline);
    }
    void set_prefetch(std::uint32_t prefetch) override { subscription_->set_prefetch(prefetch); }
    Awaitable<Result<void>> add_queue(std::string queue, Deadline deadline) override {
        return subscription_->add_queue(std::move(queue), deadline);
    }
    Awaitable<Result<void>> cancel_queue(std::string queue, Deadline deadline) override {
        return subscription_->cancel_queue(std::move(queue), deadline);
    }
    Awaitable<Result<void>> cancel(Deadline deadline) override {
        return subscription_->cancel(deadline);
    }
    Awaitable<Result<void>> close(Deadline deadline) override {
        return subscription_->close(deadline);
    }
    [[nodiscard]] std::size_t unsettled() const noexcept override {
        return subscription_->unsettled();
    }
    [[nodiscard]] std::uint64_t stale_settlements() const noexcept override {
        return subscription_->stale();
    }

private:
    std::shared_ptr<Subscription> subscription_;
};

}  // namespace lovage::sqlite_broker
