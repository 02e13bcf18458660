#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <lovage/awaitable.hpp>
#include <lovage/brokers/broker.hpp>
#include <lovage/control/control_message.hpp>
#include <lovage/runtime/notifier.hpp>
#include <lovage/runtime/task_scope.hpp>
#include <lovage/worker/control/controlled_worker.hpp>
#include <lovage/worker/control/elections.hpp>

namespace lovage::control {

/// Where a worker hears of remote control: its queue on the exchange of requests, with a consumer
/// of its own, so that commands never wait behind tasks. Carries commands out beside each other and
/// replies.
///
/// A request is acknowledged before it is carried out: one that was cut off by the end of the
/// worker is not repeated. Replies go to the exchange of replies only, and are not waited for by
/// anybody here: who asked may be gone.
///
/// The same queue hears of elections, from the exchange of events: Celery's workers that gossip
/// wait for everybody's acknowledgement.
///
/// Belongs to the worker's loop; not thread-safe.
class Mailbox {
public:
    /// Lifetime: `worker` and `broker` must outlive the mailbox.
    Mailbox(Executor executor, ControlledWorker& worker, Broker& broker);

    /// Makes the queue, so that whoever hears that the worker is ready reaches it. Errors: the
    /// broker's; serve() will try again.
    [[nodiscard]] Awaitable<Result<void>> open(Deadline deadline);
    /// Serves until it is cancelled; whatever happens to the broker, it tries again.
    [[nodiscard]] Awaitable<void> serve();
    /// After serve() has ended: lets replies on their way leave, and gives the queue up.
    [[nodiscard]] Awaitable<void> close(Deadline deadline);

private:
    class InHand;
    /// Once: afterwards the other consumer may be this worker's own, whose connection was lost.
    Awaitable<void> look_for_twin(Deadline deadline);
    Awaitable<Result<void>> make_consumer(Deadline deadline);
    /// Without it there is remote control all the same.
    Awaitable<void> listen_to_elections(Deadline deadline);
    /// Returns when nothing more can come.
    Awaitable<Error> receive();
    Awaitable<void> take(Delivery delivery);
    void hear_of_candidates(const Message& message);
    Awaitable<void> answer(ControlRequest request);
    Awaitable<void> reply(ReplyAddress to, ControlReply what);

    Executor executor_;
    ControlledWorker& worker_;
    Broker& broker_;
    const ControlNames names_;
    std::unique_ptr<Consumer> consumer_;
    bool looked_for_twin_ = false;
    Elections elections_;
    std::size_t in_hand_ = 0;  // commands that are being carried out
    Notifier ended_;           // one fewer
    TaskScope scope_;
};

}  // namespace lovage::control
