#include <lovage/clients/amqp/detail/wait_line.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace lovage::amqp::detail {

namespace asio = boost::asio;

WaitLine::~WaitLine() {
    for (Ticket* const ticket : waiting_) {
        ticket->line_ = nullptr;
        ticket->timer_.cancel();
    }
    for (Ticket* const ticket : admitted_) ticket->line_ = nullptr;
}

void WaitLine::admit_first() {
    if (!waiting_.empty()) waiting_.front()->admit();
}

void WaitLine::admit_all() {
    while (!waiting_.empty()) waiting_.front()->admit();
}

Awaitable<bool> WaitLine::Ticket::wait(Deadline deadline) {
    if (line_ == nullptr) co_return true;
    leave();
    position_ = line_->waiting_.insert(line_->waiting_.end(), this);
    place_ = Place::waiting;
    timer_.expires_at(deadline.time());
    (void)co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    if (line_ == nullptr || place_ == Place::admitted) co_return true;
    leave();
    co_return false;
}

void WaitLine::Ticket::admit() {
    line_->admitted_.splice(line_->admitted_.end(), line_->waiting_, position_);
    place_ = Place::admitted;
    ++line_->held_.count;
    line_->held_.bytes += bytes_;
    timer_.cancel();
}

void WaitLine::Ticket::leave() {
    const Place place = std::exchange(place_, Place::outside);
    if (line_ == nullptr || place == Place::outside) return;
    if (place == Place::waiting) {
        line_->waiting_.erase(position_);
        return;
    }
    line_->admitted_.erase(position_);
    --line_->held_.count;
    line_->held_.bytes -= bytes_;
    line_->returned_();
}

}  // namespace lovage::amqp::detail
