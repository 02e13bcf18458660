// Requests that slots are given beyond the one they run, and taken back when they cannot begin
// soon.
#include <lovage/worker/prefork/pool_slot.hpp>
#include <lovage/worker/prefork/prefork_pool.hpp>

#include <algorithm>
#include <iterator>

namespace lovage {

namespace {
using AheadClock = std::chrono::steady_clock;
}

bool PreforkPool::takes_more(const Slot& slot) const {
    return slot.state.queue_max() > slot.state.queued() && !slot.removed &&
           AheadClock::now() - slot.state.began() < slot::RunAhead::kPatience;
}

void PreforkPool::give_ahead() {
    const std::size_t depth = run_ahead_.depth();
    // Where slots are replaced for their memory, none must begin another task before it was looked
    // at.
    if (depth == 0 || retiring_ || stopping_ || options_.memory_max != 0) return;
    // Slots that have little to do; filled up at once, for the sake of fewer writes.
    std::vector<Slot*> slots;
    for (const auto& slot : slots_) {
        if (slot->state.queued() <= depth / 2 && takes_more(*slot)) slots.push_back(slot.get());
    }
    for (std::size_t left = slots.size(); left > 0 && !waiting_.empty(); --left) {
        const std::size_t share = (waiting_.size() + left - 1) / left;
        Slot& slot = *slots[left - 1];
        give_ahead(slot, std::min({depth, slot.state.queue_max(), slot.state.queued() + share}));
    }
}

void PreforkPool::give_ahead(Slot& slot, std::size_t most) {
    // What is acknowledged at its start must not start unheard.
    while (!waiting_.empty() && slot.state.queued() < most &&
           waiting_.front()->acknowledge.acks_late) {
        std::shared_ptr<TaskRequest> request = std::move(waiting_.front());
        waiting_.pop_front();
        if (write(slot, request)) (void)slot.state.queue(std::move(request));
    }
    slot.process->flush();
    if (!gave_ahead_) ahead_given_.notify_all();
    gave_ahead_ = true;
}

void PreforkPool::take_back(Slot& slot) {
    if (slot.state.queued() == 0) return;
    auto back = slot.state.take_back(slot.process->claims());
    waiting_.insert(waiting_.begin(), std::make_move_iterator(back.begin()),
                    std::make_move_iterator(back.end()));
}

void PreforkPool::catch_up(Slot& slot) {
    take_back(slot);
    slot.process->catch_up();
}

PreforkPool::Slot* PreforkPool::find_runner(const std::shared_ptr<TaskRequest>& request) {
    const auto found = std::ranges::find_if(slots_, [&](const auto& slot) {
        return slot->state.running() == request || slot->state.has_queued(request);
    });
    if (found == slots_.end()) return nullptr;
    Slot* const slot = found->get();
    catch_up(*slot);
    return slot->state.running() == request ? slot : nullptr;
}

Awaitable<void> PreforkPool::watch_ahead() {
    while (!stopping_) {
        if (gave_ahead_) {
            gave_ahead_ = false;
            co_await ahead_given_.wait(Deadline::in(slot::RunAhead::kPatience));
        } else {
            co_await ahead_given_.wait();
        }
        const auto before = AheadClock::now() - slot::RunAhead::kPatience;
        bool late = false;
        for (const auto& slot : slots_) {
            if (slot->state.queued() == 0) continue;
            gave_ahead_ = true;
            if (slot->state.began() > before) continue;
            take_back(*slot);
            late = true;
        }
        if (!late) continue;
        run_ahead_.on_late();
        dispatch();
    }
}

}  // namespace lovage
