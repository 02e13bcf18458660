#include <lovage/brokers/sqlite/sqlite_consumer.hpp>

#include <lovage/brokers/stale_settlements.hpp>

#include <boost/asio/post.hpp>

#include <algorithm>
#include <atomic>

namespace lovage::sqlite_broker {

using sqlite::Session;

namespace {

/// One claim stays well inside the writer's 2 ms.
constexpr std::size_t kClaimMax = 128;
constexpr std::size_t kSettlesMax = 128;
constexpr std::chrono::milliseconds kRetryFirst{20};
constexpr std::chrono::milliseconds kRetryLongest{1000};

std::uint64_t new_epoch() {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
}

std::unexpected<Error> is_closed() {
    return fail(Errc::closed, "the consumer is closed");
}

/// When to look again: at the due time of a delayed message, if that is before the deadline.
Deadline wake_time(Deadline deadline, const std::optional<std::int64_t>& next_due) {
    if (!next_due) return deadline;
    const std::int64_t left = std::clamp<std::int64_t>(*next_due - Now::read().wall, 0, 86'400'000);
    return deadline.no_later_than(std::chrono::milliseconds{left});
}

}  // namespace

Subscription::Subscription(Session& session, PeerId peer, std::string name, Queues queues,
                           std::uint32_t prefetch, std::function<void()> lost)
    : session_{&session},
      peer_{peer},
      name_{std::move(name)},
      queues_{std::make_shared<const Queues>(std::move(queues))},
      prefetch_{prefetch},
      on_lost_{std::move(lost)},
      ready_{session.executor()},
      epoch_{new_epoch()},
      settled_{session.executor()},
      retry_{session.executor()} {}

// --- receiving -----------------------------------------------------------------------

Awaitable<Result<std::vector<Delivery>>> Subscription::receive(Deadline deadline) {
    const auto self = shared_from_this();
    while (true) {
        if (!buffer_.empty()) {
            auto deliveries = hand_out();
            pump();  // the next ones come while the caller works on these
            co_return deliveries;
        }
        if (cancelled_ || closed_) co_return fail(Errc::cancelled, "the consumer was cancelled");
        if (!gone_queues_.empty()) {
            const std::string gone = std::move(gone_queues_.front());
            gone_queues_.pop_front();
            co_return fail(Errc::not_found, "queue '" + gone + "' was deleted");
        }
        if (problem_) {
            Error problem = std::move(*problem_);
            problem_.reset();
            maybe_ready_ = true;
            co_return std::unexpected{std::move(problem)};
        }
        if (deadline.passed()) co_return fail(Errc::deadline_exceeded, "no message came in time");
        if (next_due_ && Now::read().wall >= *next_due_) {
            next_due_.reset();
            maybe_ready_ = true;
        }
        pump();
        (void)co_await ready_.wait(wake_time(deadline, next_due_));
    }
}

std::vector<Delivery> Subscription::hand_out() {
    std::vector<Delivery> deliveries{std::make_move_iterator(buffer_.begin()),
                                     std::make_move_iterator(buffer_.end())};
    buffer_.clear();
    for (const Delivery& delivery : deliveries) held_.at(delivery.tag.value).handed_out = true;
    return deliveries;
}

void Subscription::pump() {
    if (claiming_ || !maybe_ready_ || cancelled_ || closed_ || session_ == nullptr || peer_ == 0 ||
        queues_->empty() || held_.size() >= prefetch_) {
        return;
    }
    const std::size_t limit = std::min(prefetch_ - held_.size(), kClaimMax);
    close_chunk();  // what was given back before is to be seen by the claim
    claiming_ = true;
    maybe_ready_ = false;  // a wake-up that comes meanwhile sets it again
    session_->submit(
        [peer = peer_, queues = queues_, first = turn_++, limit](Connection& connection) {
            return claim(connection, peer, *queues, first, limit, Now::read());
        },
        Session::never(),
        [self = shared_from_this(), peer = peer_](Result<Claim> outcome) {
            self->claimed(peer, std::move(outcome));
        });
}

void Subscription::claimed(PeerId peer, Result<Claim> outcome) {
    claiming_ = false;
    if (session_ == nullptr) return;
    if (!outcome) {
        if (!problem_) problem_ = std::move(outcome.error());
        ready_.notify_all();
        return;
    }
    if (outcome->lost) {
        if (peer == peer_) on_lost_();
        return;
    }
    if (peer != peer_) return;  // lost meanwhile, and with the peer what it claimed
    std::vector<Settle> unwanted;
    for (auto& [message, delivery] : outcome->items) {
        if (closed_ || cancelled_ ||
            std::ranges::find(*queues_, delivery.queue) == queues_->end()) {
            unwanted.push_back({message, Settlement::unclaim});
            continue;
        }
        delivery.tag = {.epoch = epoch_, .value = next_tag_++};
        held_.emplace(delivery.tag.value, Held{message, false});
        buffer_.push_back(std::move(delivery));
    }
    if (!unwanted.empty()) give_back(std::move(unwanted));
    if (!outcome->gone_queues.empty()) {
        auto left = std::make_shared<Queues>(*queues_);
        for (std::string& gone : outcome->gone_queues) {
            if (std::erase(*left, gone) > 0) gone_queues_.push_back(std::move(gone));
        }
        queues_ = std::move(left);
    }
    if (outcome->more) maybe_ready_ = true;
    next_due_ = outcome->next_due;
    ready_.notify_all();
}

void Subscription::wake() {
    maybe_ready_ = true;
    pump();
}

void Subscription::set_prefetch(std::uint32_t prefetch) {
    prefetch_ = std::max<std::uint32_t>(prefetch, 1);
    wake();
}

// --- settling ------------------------------------------------------------------------

void Subscription::settle(DeliveryTag tag, Settlement how) {
    const auto held = tag.epoch == epoch_ ? held_.find(tag.value) : held_.end();
    if (held == held_.end() || !held->second.handed_out) {
        count_stale(1);
        return;
    }
    const HeldMessage message = held->second.message;
    held_.erase(held);
    add_settlement({message, how});
}

void Subscription::add_settlement(Settle settle) {
    if (session_ == nullptr) return;
    if (!open_chunk_) {
        open_chunk_ = std::make_shared<Chunk>(Chunk{.peer = peer_, .settles = {}});
        // Whatever else this turn of the loop settles travels along; then there is room for a
        // claim.
        boost::asio::post(session_->executor(), [self = shared_from_this()] {
            self->close_chunk();
            self->pump();
        });
    }
    open_chunk_->settles.push_back(settle);
    if (open_chunk_->settles.size() >= kSettlesMax) close_chunk();
}

void Subscription::close_chunk() {
    if (!open_chunk_) return;
    const std::uint64_t number = next_chunk_++;
    chunks_.emplace(number, std::move(open_chunk_));
    open_chunk_.reset();
    submit_chunk(number);
}

void Subscription::submit_chunk(std::uint64_t number) {
    if (session_ == nullptr) return;
    session_->submit(
        [chunk = chunks_.at(number)](Connection& connection) {
            return sqlite_broker::settle(connection, chunk->peer, chunk->settles);
        },
        Session::never(),
        [self = shared_from_this(), number](const Result<std::uint64_t>& stale) {
            self->chunk_done(number, stale);
        });
}

void Subscription::chunk_done(std::uint64_t number, const Result<std::uint64_t>& stale) {
    if (session_ == nullptr) return;
    if (!stale) {
        // The disk is full or the file locked: an ack is never forgotten, it is tried until it
        // succeeds.
        settle_error_ = stale.error();
        failed_chunks_.push_back(number);
        if (failed_chunks_.size() == 1) retry_later();
        settled_.notify_all();
        return;
    }
    chunks_.erase(number);
    if (failed_chunks_.empty()) {
        settle_error_.reset();
        retry_after_ = kRetryFirst;
    }
    count_stale(*stale);
    settled_.notify_all();
}

void Subscription::retry_later() {
    retry_.expires_after(retry_after_);
    retry_after_ = std::min(retry_after_ * 2, kRetryLongest);
    retry_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
        if (error) return;
        for (const std::uint64_t number : std::exchange(self->failed_chunks_, {})) {
            self->submit_chunk(number);
        }
    });
}

Awaitable<Result<void>> Subscription::flush(Deadline deadline) {
    const auto self = shared_from_this();
    close_chunk();
    const std::uint64_t target = next_chunk_;
    while (!chunks_.empty() && chunks_.begin()->first < target) {
        if (session_ == nullptr) co_return is_closed();
        if (deadline.passed()) {
            if (settle_error_) co_return std::unexpected{*settle_error_};
            co_return fail(Errc::deadline_exceeded,
                           "the disk did not confirm the acknowledgements in time");
        }
        (void)co_await settled_.wait(deadline);
    }
    co_return Result<void>{};
}

void Subscription::give_back(std::vector<Settle> settles) {
    for (const Settle& settle : settles) add_settlement(settle);
}

void Subscription::count_stale(std::uint64_t count) {
    if (count == 0) return;
    count_stale_settlements("sqlite", count);
    stale_ += count;
}

// --- queues and the end --------------------------------------------------------------

Awaitable<Result<void>> Subscription::add_queue(std::string queue, Deadline deadline) {
    const auto self = shared_from_this();
    if (session_ == nullptr || closed_ || cancelled_) co_return is_closed();
    if (peer_ == 0)
        co_return fail(Errc::disconnected, "the lease was lost and is being taken again");
    if (std::ranges::find(*queues_, queue) != queues_->end()) co_return Result<void>{};
    auto added = co_await session_->run(
        [peer = peer_, name = name_, queue](Connection& connection) {
            return add_consumer(connection, peer, name, {&queue, 1}, Now::read());
        },
        deadline);
    if (!added) co_return added;
    auto queues = std::make_shared<Queues>(*queues_);
    queues->push_back(std::move(queue));
    queues_ = std::move(queues);
    wake();
    co_return Result<void>{};
}

Awaitable<Result<void>> Subscription::cancel_queue(std::string queue, Deadline deadline) {
    const auto self = shared_from_this();
    if (session_ == nullptr || closed_) co_return is_closed();
    auto queues = std::make_shared<Queues>(*queues_);
    if (std::erase(*queues, queue) == 0) {
        co_return fail(Errc::not_found, "queue '" + queue + "' is not consumed here");
    }
    queues_ = std::move(queues);
    return_buffered(&queue);
    auto flushed = co_await flush(deadline);
    if (!flushed) co_return flushed;
    if (session_ == nullptr) co_return is_closed();
    co_return co_await session_->run(
        [peer = peer_, name = name_, queue](Connection& connection) {
            return remove_consumer(connection, peer, name, {&queue, 1}, Now::read());
        },
        deadline);
}

Awaitable<Result<void>> Subscription::cancel(Deadline deadline) {
    const auto self = shared_from_this();
    if (session_ == nullptr || closed_ || cancelled_) co_return Result<void>{};
    cancelled_ = true;
    ready_.notify_all();
    return_buffered(nullptr);
    auto flushed = co_await flush(deadline);
    if (!flushed) co_return flushed;
    if (session_ == nullptr) co_return is_closed();
    co_return co_await session_->run(
        [peer = peer_, name = name_, queues = queues_](Connection& connection) {
            return remove_consumer(connection, peer, name, *queues, Now::read());
        },
        deadline);
}

Awaitable<Result<void>> Subscription::close(Deadline deadline) {
    const auto self = shared_from_this();
    if (session_ == nullptr || closed_) co_return Result<void>{};
    closed_ = true;
    ready_.notify_all();
    return_buffered(nullptr);
    for (const auto& [value, held] : std::exchange(held_, {})) {
        add_settlement({held.message, Settlement::requeue});
    }
    auto flushed = co_await flush(deadline);
    if (!flushed || session_ == nullptr) co_return flushed;
    co_return co_await session_->run(
        [peer = peer_, name = name_, queues = queues_](Connection& connection) {
            return remove_consumer(connection, peer, name, *queues, Now::read());
        },
        deadline);
}

/// Deliveries nobody has seen go back as if they had never been claimed.
void Subscription::return_buffered(const std::string* only_queue) {
    std::erase_if(buffer_, [&](const Delivery& delivery) {
        if (only_queue != nullptr && delivery.queue != *only_queue) return false;
        const auto held = held_.find(delivery.tag.value);
        add_settlement({held->second.message, Settlement::unclaim});
        held_.erase(held);
        return true;
    });
}

void Subscription::abandon() {
    if (session_ == nullptr || closed_) return;
    closed_ = true;
    ready_.notify_all();
    return_buffered(nullptr);
    for (const auto& [value, held] : std::exchange(held_, {})) {
        add_settlement({held.message, Settlement::requeue});
    }
    close_chunk();
    session_->post([peer = peer_, name = name_, queues = queues_](Connection& connection) {
        return remove_consumer(connection, peer, name, *queues, Now::read());
    });
}

void Subscription::lost() {
    close_chunk();  // whatever it holds will be found stale
    peer_ = 0;
    epoch_ = new_epoch();
    held_.clear();
    buffer_.clear();
    problem_ =
        Error{Errc::disconnected, "the lease was lost: what was held is redelivered", std::nullopt};
    ready_.notify_all();
}

void Subscription::rejoined(PeerId peer) {
    peer_ = peer;
    if (session_ == nullptr || closed_ || cancelled_) return;
    for (const std::string& queue : *queues_) {
        session_->post([peer, name = name_, queue](Connection& connection) -> Result<void> {
            auto added = add_consumer(connection, peer, name, {&queue, 1}, Now::read());
            // The queue may be gone by now; the next claim tells.
            if (!added && added.error().code == Errc::not_found) return {};
            return added;
        });
    }
    wake();
}

void Subscription::broker_closed() {
    session_ = nullptr;
    closed_ = true;
    retry_.cancel();
    chunks_.clear();
    open_chunk_.reset();
    held_.clear();
    buffer_.clear();
    ready_.notify_all();
    settled_.notify_all();
}

}  // namespace lovage::sqlite_broker
