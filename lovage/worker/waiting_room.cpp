#include <lovage/worker/waiting_room.hpp>

#include <lovage/app/queues.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/publish_again.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string>
#include <utility>

namespace lovage {

namespace {

using namespace std::chrono_literals;

/// After a hand-over that failed, and before a delivery is given back that there is no room for.
constexpr auto kPause = 1s;
/// How long a task stays in line before it goes back to the broker for a moment: RabbitMQ takes
/// back what is held for half an hour.
constexpr auto kInLineMost = 10min;

/// Trying again does not help: this message, or any, will not be delayed by this broker.
bool will_not_delay(Errc code) {
    return code == Errc::too_large || code == Errc::invalid_argument || code == Errc::conflict ||
           code == Errc::rejected;
}

/// Adds to a number for as long as it lives.
class Counted {
public:
    Counted(std::size_t& number, std::size_t amount) : number_{number}, amount_{amount} {
        number_ += amount_;
    }
    ~Counted() { number_ -= amount_; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

private:
    std::size_t& number_;
    std::size_t amount_;
};

}  // namespace

WaitingRoom::WaitingRoom(AppCore& core, TaskMetrics& metrics, Options options, Hooks hooks)
    : core_{core},
      metrics_{metrics},
      options_{options},
      hooks_{std::move(hooks)},
      held_{options.tasks_most},
      in_turn_{options.tasks_most},
      scope_{core.loop().executor()} {}

bool WaitingRoom::room_for(const TaskRequest& request) const noexcept {
    // One message, however large, always finds an empty room.
    return held() < options_.tasks_most &&
           (bytes_ == 0 || bytes_ + request.delivery.message.body.size() <= options_.bytes_most);
}

void WaitingRoom::add(RequestPtr request, TimePoint due, TimePoint now) {
    const auto delay = options_.policy.broker_delay(due - now, room_for(*request));
    if (delay) {
        scope_.spawn("hand over", hand_over(std::move(request), due, *delay));
    } else {
        hold(std::move(request), due);
    }
    tell();
}

void WaitingRoom::hold(RequestPtr request, TimePoint due) {
    if (!room_for(*request)) {
        scope_.spawn("give back", give_back_later(std::move(request)));
        return;
    }
    bytes_ += request->delivery.message.body.size();
    (void)held_.push(std::move(request), due);  // there is room
}

bool WaitingRoom::hold_for_turn(RequestPtr& request, Clock::time_point turn) {
    if (!room_for(*request)) return false;
    bytes_ += request->delivery.message.body.size();
    (void)in_turn_.push(std::move(request), turn);
    tell();
    return true;
}

void WaitingRoom::forget_turns(const TaskDefinition& task) {
    const auto of_task = [&task](const RequestPtr& request) {
        return request->definition == &task;
    };
    const auto now = Clock::now();
    for (RequestPtr& request : in_turn_.take_if(of_task)) {
        request->turn.reset();
        (void)in_turn_.push(std::move(request), now);  // to its own room
    }
    tell();
}

WaitingRoom::InLine WaitingRoom::hold_in_line(RequestPtr& request, Clock::time_point now) {
    if (request->in_line_since == Clock::time_point{}) request->in_line_since = now;
    Clock::time_point leave_at = request->in_line_since + kInLineMost;
    if (leave_at <= now) return InLine::too_long;
    if (!room_for(*request)) return InLine::full;
    if (const auto& expires = request->message.expires) {
        // A moment later, since a task expires only after that time.
        const auto rest = std::max(*expires + 1ms - wall_clock_now(), TimePoint::duration::zero());
        leave_at = std::min<Clock::time_point>(leave_at,
                                               now + std::min<Clock::duration>(rest, kInLineMost));
    }
    bytes_ += request->delivery.message.body.size();
    const std::string key = request->place->key;
    const std::uint64_t ticket = request->ticket;
    in_line_.push(key, ticket, std::move(request), now, leave_at);
    tell();
    return InLine::held;
}

void WaitingRoom::wake_line(const std::string& key, Clock::time_point when) {
    if (!in_line_.waits(key)) return;
    in_line_.wake(key, when);
    hooks_.changed();
}

void WaitingRoom::send_away(RequestPtr request, std::chrono::milliseconds delay) {
    delay = std::clamp(delay, EtaPolicy::kShortest, options_.policy.longest_delay);
    scope_.spawn("send away", hand_over(std::move(request), wall_clock_now(), delay));
    tell();
}

WaitingRoom::Clock::duration WaitingRoom::until_next(TimePoint now,
                                                     Clock::time_point steady_now) const {
    std::chrono::microseconds until_due = 1min;  // an ETA may be centuries away
    if (const auto next = held_.next_due()) until_due = std::min(until_due, *next - now);
    Clock::duration wait = until_due;
    if (const auto next = in_turn_.next_due()) wait = std::min(wait, *next - steady_now);
    if (const auto next = in_line_.next_due()) wait = std::min(wait, *next - steady_now);
    return wait;
}

std::vector<WaitingRoom::RequestPtr> WaitingRoom::pop_due(TimePoint now,
                                                          Clock::time_point steady_now) {
    std::vector<RequestPtr> due = held_.pop_due(now);
    std::ranges::move(in_turn_.pop_due(steady_now), std::back_inserter(due));
    std::ranges::move(in_line_.pop_due(steady_now), std::back_inserter(due));
    for (const RequestPtr& request : due) bytes_ -= request->delivery.message.body.size();
    metrics_.waiting.set(static_cast<double>(held()));
    return due;
}

std::vector<WaitingRoom::RequestPtr> WaitingRoom::in_line() const {
    std::vector<RequestPtr> all = in_turn_.all();
    std::ranges::move(in_line_.all(), std::back_inserter(all));
    return all;
}

std::vector<WaitingRoom::RequestPtr> WaitingRoom::take_if(
    const std::function<bool(const RequestPtr&)>& matches) {
    std::vector<RequestPtr> taken = held_.take_if(matches);
    std::ranges::move(in_turn_.take_if(matches), std::back_inserter(taken));
    std::ranges::move(in_line_.take_if(matches), std::back_inserter(taken));
    for (const RequestPtr& request : taken) bytes_ -= request->delivery.message.body.size();
    if (!taken.empty()) tell();
    return taken;
}

std::vector<WaitingRoom::RequestPtr> WaitingRoom::withdraw() {
    ++generation_;
    bytes_ = 0;
    metrics_.waiting.set(0);
    std::vector<RequestPtr> all = held_.take_all();
    std::ranges::move(in_turn_.take_all(), std::back_inserter(all));
    std::ranges::move(in_line_.take_all(), std::back_inserter(all));
    return all;
}

std::size_t WaitingRoom::places() const noexcept {
    if (handing_over_ == 0 || handing_over_bytes_ > options_.bytes_most) return held();
    // And some more of them: where there is one, there may be a million, and each round trip to
    // the broker brings as many as are asked for. What comes instead may be tasks for the slots,
    // which others could run, so it is not much.
    const std::size_t more = std::clamp<std::size_t>(handing_over_, 8, 64);
    return held() + std::min(handing_over_ + more, kHandOversMost);
}

Awaitable<void> WaitingRoom::hand_over(RequestPtr request, TimePoint due,
                                       std::chrono::milliseconds delay) {
    const std::uint64_t generation = generation_;
    Result<void> sent;
    {
        const Counted counted{handing_over_, 1};
        const Counted bytes{handing_over_bytes_, request->delivery.message.body.size()};
        sent = co_await publish_again(core_.broker(), request->delivery, delay);
        if (sent) {
            told_of_trouble_ = false;
            metrics_.delayed.increment();
            if (Consumer* consumer = hooks_.consumer()) consumer->ack(request->delivery.tag);
        }
    }
    tell();
    if (sent || generation != generation_) co_return;
    if (!std::exchange(told_of_trouble_, true)) {
        log::warning("worker",
                     "The broker did not take task {}[{}] until its time comes: {}. Such tasks are "
                     "held by the worker meanwhile",
                     request->message.display_name(), request->message.id, sent.error().message());
    }
    if (!stopping_) co_await pause();
    if (generation != generation_) co_return;
    if (stopping_) {
        give_back(request);
    } else if (will_not_delay(sent.error().code)) {
        hold(std::move(request), due);
    } else {
        add(std::move(request), due, wall_clock_now());
    }
    tell();
}

void WaitingRoom::tell() {
    metrics_.waiting.set(static_cast<double>(held()));
    hooks_.changed();
}

void WaitingRoom::give_back(const RequestPtr& request) {
    if (Consumer* consumer = hooks_.consumer()) {
        consumer->reject(request->delivery.tag, Requeue::yes);
    }
}

Awaitable<void> WaitingRoom::give_back_later(RequestPtr request) {
    const std::uint64_t generation = generation_;
    co_await pause();
    if (generation != generation_) co_return;
    // It may come back any number of times, which a quorum queue counts; a new message it does not.
    const bool anew = request->delivery.redelivered &&
                      is_quorum_queue(core_.settings(), request->delivery.queue) &&
                      (co_await publish_again(core_.broker(), request->delivery)).has_value();
    if (!anew) {
        give_back(request);
    } else if (Consumer* consumer = hooks_.consumer()) {
        consumer->ack(request->delivery.tag);
    }
}

Awaitable<void> WaitingRoom::pause() {
    boost::asio::steady_timer timer{scope_.executor(), kPause};
    co_await timer.async_wait(boost::asio::use_awaitable);
}

}  // namespace lovage
