#include <lovage/net/backoff.hpp>

#include <lovage/core/error.hpp>

#include <algorithm>
#include <random>

namespace lovage::net {

double random_unit() {
    thread_local std::minstd_rand generator{std::random_device{}()};
    return std::uniform_real_distribution{0.0, 1.0}(generator);
}

Backoff::Backoff(std::function<double()> random, Duration first, Duration longest)
    : random_{std::move(random)}, first_{first}, longest_{longest}, limit_{first} {
    LOVAGE_ASSERT(Duration::zero() < first && first <= longest);
}

Backoff::Duration Backoff::next() {
    const double wait = random_() * static_cast<double>(limit_.count());
    limit_ = limit_ > longest_ / 2 ? longest_ : limit_ * 2;
    return Duration{static_cast<Duration::rep>(wait)};
}

}  // namespace lovage::net
