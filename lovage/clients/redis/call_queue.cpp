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
    call->was_sent = true;
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
        Sent refused = std::move(front);
        sent_.pop_front();
        refused.call->error = to_error(reply);
        finish(std::move(refused));
        return true;
    }
    if (front.wanted) front.call->replies.push_back(std::move(reply));
    if (--front.missing > 0) return true;
    Sent answered = std::move(front);
    sent_.pop_front();
    finish(std::move(answered));
    return true;
}

bool CallQueue::on_confirmation() {
    if (sent_.empty() || sent_.front().call->confirmations == 0) return false;
    if (--sent_.front().missing > 0) return true;
    Sent confirmed = std::move(sent_.front());
    sent_.pop_front();
    finish(std::move(confirmed));
    return true;
}

void CallQueue::finish(Sent sent) {
    bytes_ -= sent.call->commands.wire().size();
    sent.call->done = true;
    if (sent.wanted && sent.call->ended) sent.call->ended();
}

void CallQueue::finish_with(const std::shared_ptr<Call>& call, Error error) {
    call->error = std::move(error);
    call->replies.clear();
    finish({call, 0});
}

void CallQueue::connection_lost(const std::string& why) {
    std::deque<Sent> lost = std::exchange(sent_, {});
    // From the back, so that what goes to the front keeps its order.
    for (auto place = lost.rbegin(); place != lost.rend(); ++place) {
        if (!place->wanted) {
            bytes_ -= place->call->commands.wire().size();
        } else if (place->call->resend == Resend::when_unsure) {
            place->call->replies.clear();
            unsent_.push_front(place->call);
        }
    }
    for (const Sent& sent : lost) {
        if (!sent.wanted || sent.call->resend == Resend::when_unsure) continue;
        finish_with(sent.call, {Errc::unknown_outcome, why});
    }
}

void CallQueue::abandon(const std::shared_ptr<Call>& call) {
    if (call->done) return;
    const auto waiting = std::ranges::find(unsent_, call);
    if (waiting != unsent_.end()) {
        bytes_ -= call->commands.wire().size();
        unsent_.erase(waiting);
        return;
    }
    const auto sent = std::ranges::find(sent_, call, &Sent::call);
    if (sent != sent_.end()) sent->wanted = false;
}

void CallQueue::end_all(const Error& error) {
    for (const Sent& sent : std::exchange(sent_, {})) {
        if (sent.wanted) {
            finish_with(sent.call, {Errc::unknown_outcome, error.detail});
        } else {
            bytes_ -= sent.call->commands.wire().size();
        }
    }
    for (const auto& call : std::exchange(unsent_, {})) {
        finish_with(call, {call->was_sent ? Errc::unknown_outcome : error.code, error.detail});
    }
}

std::chrono::milliseconds CallQueue::allowed_silence() const {
    return sent_.empty() ? std::chrono::milliseconds{0} : sent_.front().call->blocks_for;
}

}  // namespace lovage::redis
