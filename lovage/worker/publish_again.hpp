#pragma once

#include <chrono>

#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/core/error.hpp>

namespace lovage {

/// Puts a delivered message at the end of its queue once more, byte for byte, whatever its size;
/// with a `delay`, consumers do not see it before (Publication::delay). Within 30 s. `broker` must
/// outlive the call. Errors: those of Broker::publish.
[[nodiscard]] Awaitable<Result<void>> publish_again(Broker& broker, const Delivery& delivery,
                                                    std::chrono::milliseconds delay = {});

}  // namespace lovage
