#include <lovage/results/detail/waiters.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace lovage::detail {

namespace asio = boost::asio;

Waiters::Ticket::Ticket(std::shared_ptr<Waiters> waiters, std::string task_id)
    : waiters_{std::move(waiters)},
      place_{waiters_->tickets_.emplace(std::move(task_id), this)},
      wake_{waiters_->executor_} {
    ++waiters_->waiting_;
}

Waiters::Ticket::~Ticket() {
    waiters_->tickets_.erase(place_);
    --waiters_->waiting_;
}

Awaitable<Result<RecordText>> Waiters::Ticket::arrived(Deadline deadline) {
    // The timer is both the deadline and, cancelled, the wake-up.
    if (!record_ && !closed_) {
        wake_.expires_at(deadline.time());
        co_await wake_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    if (record_) co_return record_;
    if (closed_) {
        co_return fail(Errc::closed, "the result backend was closed while task '" + place_->first +
                                         "' was waited for");
    }
    if (deadline.passed()) {
        co_return fail(Errc::deadline_exceeded,
                       "task '" + place_->first + "' had no final result within the time given");
    }
    co_return fail(Errc::cancelled, "the wait for task '" + place_->first + "' was cancelled");
}

void Waiters::deliver(std::string_view task_id, const RecordText& record) {
    const auto [first, last] = tickets_.equal_range(task_id);
    for (auto place = first; place != last; ++place) {
        place->second->record_ = record;
        place->second->wake_.cancel();
    }
}

void Waiters::close_all() {
    for (const auto& [task_id, ticket] : tickets_) {
        ticket->closed_ = true;
        ticket->wake_.cancel();
    }
}

std::vector<std::string> Waiters::task_ids() const {
    std::vector<std::string> ids;
    for (auto place = tickets_.begin(); place != tickets_.end();
         place = tickets_.upper_bound(place->first)) {
        ids.push_back(place->first);
    }
    return ids;
}

void Announcer::add(Executor executor, std::shared_ptr<Waiters> waiters) {
    const std::lock_guard lock{mutex_};
    listeners_.emplace_back(std::move(executor), std::move(waiters));
}

void Announcer::remove(const Waiters* waiters) {
    const std::lock_guard lock{mutex_};
    std::erase_if(listeners_,
                  [&](const Listener& listener) { return listener.waiters.get() == waiters; });
}

void Announcer::announce(std::string_view task_id, const RecordText& record) {
    // Posting under the lock keeps remove() honest: once it returns, nothing more is posted.
    const std::lock_guard lock{mutex_};
    for (const Listener& listener : listeners_) {
        if (listener.waiters->idle()) continue;
        asio::post(listener.executor, [waiters = listener.waiters, id = std::string{task_id},
                                       record] { waiters->deliver(id, record); });
    }
}

}  // namespace lovage::detail
