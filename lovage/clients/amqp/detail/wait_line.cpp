#include <lovage/clients/amqp/detail/wait_line.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace lovage::amqp::detail {

namespace asio = boost::asio;

/// Lives in the waiting coroutine's frame and leaves the line however that ends.
class WaitLine::Waiter {
public:
    Waiter(WaitLine& line, Deadline deadline)
        : line_{&line}, timer_{line.executor_, deadline.time()} {
        place_ = line.waiting_.insert(line.waiting_.end(), this);
    }
    ~Waiter() {
        if (line_ != nullptr) line_->waiting_.erase(place_);
    }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    void admit() {
        std::exchange(line_, nullptr)->waiting_.erase(place_);
        timer_.cancel();
    }
    Awaitable<bool> wait() {
        (void)co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
        co_return line_ == nullptr;
    }

private:
    WaitLine* line_;  // null once admitted
    asio::steady_timer timer_;
    std::list<Waiter*>::iterator place_;
};

WaitLine::~WaitLine() {
    admit_all();
}

Awaitable<bool> WaitLine::wait(Deadline deadline) {
    Waiter waiter{*this, deadline};
    co_return co_await waiter.wait();
}

void WaitLine::admit(std::size_t count) {
    for (; count > 0 && !waiting_.empty(); --count) waiting_.front()->admit();
}

}  // namespace lovage::amqp::detail
