#include <lovage/worker/prefork/slot_state.hpp>

#include <lovage/runtime/failpoint.hpp>

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
    running_ = std::move(request);
    began_ = now;
    kill_at_.reset();
    const bool limited = running_->time_limit && !failpoint::left_out(failpoint::Line::hard_limit);
    if (limited) kill_at_ = now + *running_->time_limit;
    return ++sequence_;
}

SlotState::RequestPtr SlotState::end(std::uint64_t sequence) noexcept {
    if (!running_ || sequence != sequence_) return nullptr;
    ++tasks_run_;
    if (kill_reason_ == KillReason::none) kill_at_.reset();
    return std::exchange(running_, nullptr);
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

SlotState::RequestPtr SlotState::ended() noexcept {
    phase_ = Phase::ended;
    kill_at_.reset();
    return std::exchange(running_, nullptr);
}

}  // namespace lovage::slot
