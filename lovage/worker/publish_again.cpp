#include <lovage/worker/publish_again.hpp>

#include <lovage/runtime/deadline.hpp>

#include <utility>

namespace lovage {

Awaitable<Result<void>> publish_again(Broker& broker, const Delivery& delivery,
                                      std::chrono::milliseconds delay) {
    constexpr std::chrono::seconds kAttempt{30};  // reliability contract, clause 8
    Publication again;
    again.routing_key = delivery.queue;
    again.message = delivery.message;
    again.any_size = true;  // it has come that way
    again.delay = delay;
    return broker.publish(std::move(again), Deadline::in(kAttempt));
}

}  // namespace lovage
