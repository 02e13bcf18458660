#include <lovage/clients/redis/call_queue.hpp>

#include <algorithm>
#include <utility>

#include <fmt/core.h>

namespace lovage::redis {

Result<void> CallQueue::push(std::shared_ptr<Call> call) {
    const std::size_t bytes = call->commands.wire().size();
    // A single call of any size is taken when nothing else waits.
    const bool room = calls() < limits_.calls && (bytes_ == 0 || bytes_ + bytes <= limits_.bytes);
    if (!room) {
        return fail(Errc::unavailable,
                    fmt::format("{} calls with {} bytes wait for Redis already", calls(), bytes_));
    }
    push_unlimited(std::move(call));
    return {};
}

void CallQueue::push_unlimited(std::shared_ptr<Call> call) {
    LOVAGE_ASSERT(!call->commands.empty());
    bytes_ += call->commands.wire().size();
    unsent_.push_back(std::move(call));
}

std::shared_ptr<Call> CallQueue::take_unsent() {
    LOVAGE_ASSERT(!unsent_.empty());
    std::shared_ptr<Call> call = std::move(unsent_.front());
    unsent_.pop_front();
    call->was_sent = call->in_flight = true;
    const std::size_t missing =
        call->confirmations > 0 ? call->confirmations : call->commands.size();
    call->replies.clear();
    call->replies.reserve(call->confirmations > 0 ? 0 : missing);
    sent_.push_back({call, missing});
    return call;
}

bool CallQueue::on_reply(Reply reply) {
    if (sent_.empty()) return false;
    Sent& front = sent_.front();
    if (front.call->confirmations > 0) {
        // Refused as a whole: an error is the only answer in line that SUBSCRIBE can get.
        if (!reply.is_error()) return false;
        front.call->error = to_error(reply);
        front.missing = 1;
    } else if (!front.call->abandoned) {
        front.call->replies.push_back(std::move(reply));
    }
    return one_less();
}

bool CallQueue::on_confirmation() {
    if (sent_.empty() || sent_.front().call->confirmations == 0) return false;
    return one_less();
}

bool CallQueue::one_less() {
    if (--sent_.front().missing > 0) return true;
    const std::shared_ptr<Call> call = std::move(sent_.front().call);
    sent_.pop_front();
    finish(call);
    return true;
}

void CallQueue::finish(const std::shared_ptr<Call>& call) {
    bytes_ -= call->commands.wire().size();
    call->done = true;
    call->in_flight = false;
    if (!call->abandoned && call->ended) call->ended();
}

void CallQueue::finish_with(const std::shared_ptr<Call>& call, Error error) {
    call->error = std::move(error);
    call->replies.clear();
    finish(call);
}

void CallQueue::connection_lost(const std::string& why) {
    const std::deque<Sent> lost = std::exchange(sent_, {});
    const auto goes_again = [](const Call& call) {
        return call.resend == Resend::when_unsure && !call.abandoned;
    };
    // From the back, so that what goes to the front keeps its order.
    for (auto place = lost.rbegin(); place != lost.rend(); ++place) {
        if (!goes_again(*place->call)) continue;
        place->call->replies.clear();
        place->call->in_flight = false;
        unsent_.push_front(place->call);
    }
    for (const Sent& sent : lost) {
        if (!goes_again(*sent.call)) finish_with(sent.call, {Errc::unknown_outcome, why});
    }
}

void CallQueue::abandon(const std::shared_ptr<Call>& call) {
    if (call->done) return;
    call->abandoned = true;
    if (call->in_flight) return;
    // Calls are given up about in the order they came, so that the search is short.
    const auto waiting = std::ranges::find(unsent_, call);
    if (waiting == unsent_.end()) return;
    bytes_ -= call->commands.wire().size();
    unsent_.erase(waiting);
}

void CallQueue::end_all(const Error& error) {
    for (const Sent& sent : std::exchange(sent_, {})) {
        finish_with(sent.call, {Errc::unknown_outcome, error.detail});
    }
    for (const auto& call : std::exchange(unsent_, {})) {
        finish_with(call, {call->was_sent ? Errc::unknown_outcome : error.code, error.detail});
    }
}

std::chrono::milliseconds CallQueue::allowed_silence() const {
    return sent_.empty() ? std::chrono::milliseconds{0} : sent_.front().call->blocks_for;
}

}  // namespace lovage::redis
