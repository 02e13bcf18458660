#include <lovage/worker/prefork/slot_state.hpp>

#include <lovage/runtime/failpoint.hpp>

#include <algorithm>

namespace lovage::slot {

bool SlotState::ready() noexcept {
    if (phase_ != Phase::starting) return false;
    phase_ = Phase::serving;
    kill_at_.reset();
    return true;
}

void SlotState::leave(Clock::time_point gone_by) noexcept {
    phase_ = Phase::leaving;
    kill_at_ = gone_by;
}

std::uint64_t SlotState::begin(RequestPtr request, Clock::time_point now) {
    LOVAGE_ASSERT(idle());
    run({++given_, std::move(request)}, now);
    return given_;
}

void SlotState::run(Given given, Clock::time_point now) noexcept {
    running_ = std::move(given.request);
    sequence_ = given.sequence;
    began_ = now;
    if (kill_reason_ != KillReason::none) return;
    kill_at_.reset();
    const bool limited = running_->time_limit && !failpoint::left_out(failpoint::Line::hard_limit);
    if (limited) kill_at_ = now + *running_->time_limit;
}

std::uint64_t SlotState::queue(RequestPtr request) {
    LOVAGE_ASSERT(queue_.size() < queue_max());
    queue_.push_back({++given_, std::move(request)});
    return given_;
}

std::size_t SlotState::queue_max() const noexcept {
    const bool more = busy() && phase_ == Phase::serving && kill_reason_ == KillReason::none;
    if (!more || used_up()) return 0;
    // Numbers of what was taken back are gone until its task ends.
    const std::size_t numbers = given_ - sequence_ - queue_.size();
    return std::min(tasks_max_ - tasks_run_ - 1, Claims::kOpen - 1 - numbers);
}

std::vector<SlotState::RequestPtr> SlotState::take_back(Claims& claims) {
    // From the end: meanwhile the slot goes on beginning them from the front.
    std::vector<RequestPtr> back;
    while (!queue_.empty() && claims.take_back(queue_.back().sequence)) {
        back.push_back(std::move(queue_.back().request));
        queue_.pop_back();
    }
    std::ranges::reverse(back);
    return back;
}

bool SlotState::has_queued(const RequestPtr& request) const noexcept {
    return std::ranges::any_of(queue_,
                               [&](const Given& given) { return given.request == request; });
}

SlotState::RequestPtr SlotState::end(std::uint64_t sequence, Clock::time_point now) noexcept {
    if (!running_ || sequence != sequence_) return nullptr;
    ++tasks_run_;
    if (kill_reason_ == KillReason::none) kill_at_.reset();
    RequestPtr ended = std::exchange(running_, nullptr);
    if (!queue_.empty()) {
        run(std::move(queue_.front()), now);
        queue_.pop_front();
    }
    return ended;
}

void SlotState::killed(KillReason reason) noexcept {
    if (kill_reason_ == KillReason::none) kill_reason_ = reason;
    kill_at_.reset();
}

void SlotState::asked(KillReason reason, Clock::time_point gone_by) noexcept {
    if (kill_reason_ != KillReason::none) return;
    kill_reason_ = reason;
    kill_at_ = gone_by;
}

std::vector<SlotState::RequestPtr> SlotState::lost() {
    std::vector<RequestPtr> lost;
    for (Given& given : queue_) lost.push_back(std::move(given.request));
    queue_.clear();
    return lost;
}

SlotState::RequestPtr SlotState::ended() noexcept {
    phase_ = Phase::ended;
    kill_at_.reset();
    return std::exchange(running_, nullptr);
}

}  // namespace lovage::slot
