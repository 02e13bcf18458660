#include <lovage/worker/acknowledgement.hpp>

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace lovage {
namespace {

TaskOutcome ended(Ending ending, std::string reason = "") {
    TaskOutcome outcome;
    outcome.ending = ending;
    outcome.reason = std::move(reason);
    return outcome;
}

constexpr AckRules kDurable{};
/// Celery's rules for a task with acks_late.
constexpr AckRules kCeleryLate{.reject_on_worker_lost = false, .keep_rejected = false};

/// One row of the table in section 10.2 of the celery-wire reference.
struct Row {
    Ending ending;
    Settlement durable;
    Settlement celery_late;
};

TEST(Acknowledgement, FollowsTheTable) {
    const std::vector<Row> table{
        {Ending::succeeded, Settlement::ack, Settlement::ack},
        {Ending::failed, Settlement::ack, Settlement::ack},
        {Ending::retry, Settlement::ack, Settlement::ack},
        {Ending::ignored, Settlement::ack, Settlement::ack},
        {Ending::rejected, Settlement::quarantine, Settlement::discard},
        {Ending::requeued, Settlement::requeue, Settlement::requeue},
        {Ending::revoked, Settlement::ack, Settlement::ack},
        {Ending::timed_out, Settlement::ack, Settlement::ack},
        {Ending::slot_lost, Settlement::requeue, Settlement::ack},
    };
    for (const Row& row : table) {
        const TaskOutcome outcome = ended(row.ending, "terminated");
        EXPECT_EQ(settlement_of(outcome, kDurable), row.durable) << to_string(row.ending);
        EXPECT_EQ(settlement_of(outcome, kCeleryLate), row.celery_late) << to_string(row.ending);
    }
}

TEST(Acknowledgement, WhatIsAcknowledgedEarlyIsDone) {
    const AckRules early{.acks_late = false};
    for (const Ending ending :
         {Ending::succeeded, Ending::failed, Ending::retry, Ending::ignored, Ending::rejected,
          Ending::requeued, Ending::timed_out, Ending::slot_lost}) {
        EXPECT_EQ(settlement_of(ended(ending), early), Settlement::nothing) << to_string(ending);
    }
    EXPECT_EQ(settlement_of(ended(Ending::revoked, "terminated"), early), Settlement::nothing);
}

TEST(Acknowledgement, WhatDidNotStartIsAcknowledgedInAnyCase) {
    const AckRules early{.acks_late = false};
    for (const char* reason : {"revoked", "expired"}) {
        EXPECT_EQ(settlement_of(ended(Ending::revoked, reason), early), Settlement::ack);
        EXPECT_EQ(settlement_of(ended(Ending::revoked, reason), kDurable), Settlement::ack);
    }
}

TEST(Acknowledgement, FailuresThatAreNotAcknowledgedAreKeptOrRejected) {
    AckRules rules = kDurable;
    rules.acks_on_failure_or_timeout = false;
    EXPECT_EQ(settlement_of(ended(Ending::failed), rules), Settlement::quarantine);
    EXPECT_EQ(settlement_of(ended(Ending::timed_out), rules), Settlement::quarantine);
    EXPECT_EQ(settlement_of(ended(Ending::succeeded), rules), Settlement::ack);

    rules.keep_rejected = false;
    EXPECT_EQ(settlement_of(ended(Ending::failed), rules), Settlement::discard);
    EXPECT_EQ(settlement_of(ended(Ending::timed_out), rules), Settlement::requeue)
        << "as Celery since 5.5";
}

TEST(Acknowledgement, ALostSlotFollowsTheFailureRowWhenItIsNotToBeRunAgain) {
    AckRules rules = kDurable;
    rules.reject_on_worker_lost = false;
    EXPECT_EQ(settlement_of(ended(Ending::slot_lost), rules), Settlement::ack);
    rules.acks_on_failure_or_timeout = false;
    EXPECT_EQ(settlement_of(ended(Ending::slot_lost), rules), Settlement::quarantine);
}

TEST(Acknowledgement, ATasksOwnOptionsGoBeforeTheSettings) {
    DeliveryRules delivery;
    delivery.keep_rejected = false;
    TaskOptions options;
    EXPECT_TRUE(ack_rules(delivery, options).acks_late);
    options.acks_late = false;
    options.acks_on_failure_or_timeout = false;
    options.reject_on_worker_lost = false;
    const AckRules rules = ack_rules(delivery, options);
    EXPECT_FALSE(rules.acks_late);
    EXPECT_FALSE(rules.acks_on_failure_or_timeout);
    EXPECT_FALSE(rules.reject_on_worker_lost);
    EXPECT_FALSE(rules.keep_rejected);
}

}  // namespace
}  // namespace lovage
