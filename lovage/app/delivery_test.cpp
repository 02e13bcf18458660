#include <lovage/app/delivery.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lovage {
namespace {

using testing::HasSubstr;

TEST(Delivery, DurableIsTheDefaultAndKeepsEverything) {
    const DeliveryRules rules = delivery_rules({});
    EXPECT_TRUE(rules.acks_late);
    EXPECT_TRUE(rules.acks_on_failure_or_timeout);
    EXPECT_TRUE(rules.reject_on_worker_lost);
    EXPECT_TRUE(rules.mandatory);
    EXPECT_TRUE(rules.keep_rejected);
    EXPECT_EQ(rules.queue_type, "");
}

TEST(Delivery, CeleryMeansWhatCeleryDoes) {
    const DeliveryRules rules = delivery_rules({.delivery = DeliveryProfile::celery});
    EXPECT_FALSE(rules.acks_late);
    EXPECT_TRUE(rules.acks_on_failure_or_timeout);
    EXPECT_FALSE(rules.reject_on_worker_lost);
    EXPECT_FALSE(rules.mandatory);
    EXPECT_FALSE(rules.keep_rejected);
}

TEST(Delivery, QuorumIsDurableOnQuorumQueues) {
    const DeliveryRules rules = delivery_rules({.delivery = DeliveryProfile::quorum});
    EXPECT_TRUE(rules.acks_late);
    EXPECT_TRUE(rules.keep_rejected);
    EXPECT_EQ(rules.queue_type, "quorum");
}

TEST(Delivery, EachPartCanBeOverridden) {
    Settings settings;
    settings.delivery = DeliveryProfile::celery;
    settings.task_acks_late = true;
    settings.task_reject_on_worker_lost = true;
    settings.task_publish_mandatory = true;
    settings.task_acks_on_failure_or_timeout = false;
    const DeliveryRules rules = delivery_rules(settings);
    EXPECT_TRUE(rules.acks_late);
    EXPECT_TRUE(rules.reject_on_worker_lost);
    EXPECT_TRUE(rules.mandatory);
    EXPECT_FALSE(rules.acks_on_failure_or_timeout);
}

TEST(Delivery, EarlyAcknowledgingNeedsCelerysProfile) {
    Settings settings;
    settings.task_acks_late = false;
    settings.origins["task_acks_late"] = "CELERY_TASK_ACKS_LATE";
    const auto refused = check_delivery(settings);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail, HasSubstr("task_acks_late=false (CELERY_TASK_ACKS_LATE)"));
    EXPECT_THAT(refused.error().detail, HasSubstr("delivery=celery"));

    settings.delivery = DeliveryProfile::celery;
    EXPECT_TRUE(check_delivery(settings));
}

TEST(Delivery, ATaskOfItsOwnNeedsItToo) {
    TaskDefinition task;
    task.name = "mail";
    task.options.acks_late = false;
    const auto refused = check_delivery({}, task);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().detail, HasSubstr("task 'mail'"));
    EXPECT_TRUE(check_delivery({.delivery = DeliveryProfile::celery}, task));
}

}  // namespace
}  // namespace lovage
