#include <lovage/core/retry_policy.hpp>

#include <algorithm>

namespace lovage {

bool RetryPolicy::used_up(std::int64_t retries, std::optional<std::int64_t> max) const noexcept {
    if (!max) max = max_retries;
    return max && retries >= *max;
}

bool RetryPolicy::retries_for(const std::exception_ptr& error, const TaskFailure& failure) const {
    return std::ranges::any_of(autoretry_for_types,
                               [&](const auto& matches) { return matches(error); }) ||
           std::ranges::find(autoretry_for_names, failure.exc_type) != autoretry_for_names.end();
}

RetryPolicy::Milliseconds RetryPolicy::automatic_delay(std::int64_t retries,
                                                       const Random& random) const {
    if (!retry_backoff) return default_retry_delay;
    const std::int64_t most = std::max<std::int64_t>(0, retry_backoff_max.count());
    std::int64_t delay = std::clamp<std::int64_t>(retry_backoff->count(), 0, most);
    // Doubled as long as it matters, so that no number of retries overflows.
    for (std::int64_t i = 0; i < retries && delay != 0 && delay < most; ++i) {
        delay = delay > most / 2 ? most : delay * 2;
    }
    return Milliseconds{retry_jitter ? random(delay) : delay};
}

}  // namespace lovage
