#include <lovage/worker/held_key.hpp>

#include <algorithm>
#include <utility>

namespace lovage {

namespace {

using namespace std::chrono_literals;

/// How long an entry without a lease is tried to be given back.
constexpr std::chrono::milliseconds kPatience = 30s;
constexpr auto kFirstPause = 50ms;
constexpr auto kLongestPause = 1s;

}  // namespace

HeldKey::Step HeldKey::next(Time now) const noexcept {
    if (over_ || (ending_ && (lost_ || now >= give_up_at_))) return Step::done;
    if (lost_) return Step::wait;
    if (now < retry_at_) return Step::wait;
    if (doubt_) return Step::look;
    if (!ending_) return lease_ && matters(now) && now >= renewal() ? Step::renew : Step::wait;
    if (last_) return Step::write_last;
    return version_ != 0 ? Step::erase : Step::done;
}

std::optional<HeldKey::Time> HeldKey::wake_at() const noexcept {
    if (lost_) return std::nullopt;
    if (ending_ || doubt_) return retry_at_;
    if (!lease_) return std::nullopt;
    const Time wake = std::max(renewal(), retry_at_);
    return wake < lease_->until ? std::optional{wake} : std::nullopt;
}

void HeldKey::give_back(std::optional<Last> last, Time now) {
    last_ = std::move(last);
    ending_ = true;
    retry_at_ = now;
    failures_ = 0;
    give_up_at_ = now + (lease_ ? lease_->length : kPatience);
}

void HeldKey::renewed(std::uint64_t version, Time asked) noexcept {
    version_ = version;
    failures_ = 0;
    lease_->asked = asked;
}

void HeldKey::found(const std::optional<StateEntry>& entry) {
    doubt_ = false;
    if (!entry) {
        version_ = 0;
    } else if (entry->value == value_) {
        version_ = entry->version;
    } else if (last_ && entry->value == last_->value) {
        over_ = true;
    } else {
        lost_ = true;
    }
}

void HeldKey::failed(Time now) noexcept {
    const Clock::duration pause = kFirstPause * (1 << std::min(failures_++, 5));
    retry_at_ = now + std::min<Clock::duration>(pause, kLongestPause);
}

}  // namespace lovage
