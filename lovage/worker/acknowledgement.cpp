#include <lovage/worker/acknowledgement.hpp>

#include <lovage/runtime/failpoint.hpp>

namespace lovage {

namespace {

/// A task that did not start was not acknowledged at its start either.
bool did_not_start(const TaskOutcome& outcome) {
    return outcome.ending == Ending::revoked && outcome.reason != "terminated";
}

}  // namespace

AckRules ack_rules(const DeliveryRules& delivery, const TaskOptions& options) noexcept {
    return {.acks_late = options.acks_late.value_or(delivery.acks_late) &&
                         !failpoint::left_out(failpoint::Line::late_ack),
            .acks_on_failure_or_timeout =
                options.acks_on_failure_or_timeout.value_or(delivery.acks_on_failure_or_timeout),
            .reject_on_worker_lost =
                options.reject_on_worker_lost.value_or(delivery.reject_on_worker_lost),
            .keep_rejected = delivery.keep_rejected};
}

Settlement settlement_of(const TaskOutcome& outcome, const AckRules& rules) noexcept {
    if (did_not_start(outcome)) return Settlement::ack;
    if (!rules.acks_late) return Settlement::nothing;
    const Settlement refused = rules.keep_rejected ? Settlement::quarantine : Settlement::discard;
    switch (outcome.ending) {
        case Ending::succeeded:
        case Ending::retry:
        case Ending::replaced:
        case Ending::ignored:
        case Ending::revoked:
            return Settlement::ack;
        case Ending::rejected:
            return refused;
        case Ending::requeued:
            return Settlement::requeue;
        case Ending::failed:
            return rules.acks_on_failure_or_timeout ? Settlement::ack : refused;
        case Ending::timed_out:
            // Celery 5.5 and later put it back, for ever if it always takes too long.
            if (rules.acks_on_failure_or_timeout) return Settlement::ack;
            return rules.keep_rejected ? Settlement::quarantine : Settlement::requeue;
        case Ending::slot_lost:
            if (rules.reject_on_worker_lost) return Settlement::requeue;
            return rules.acks_on_failure_or_timeout ? Settlement::ack : refused;
    }
    return Settlement::requeue;
}

}  // namespace lovage
