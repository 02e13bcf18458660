// The bookkeeping of publishes and deliveries.

#include <lovage/clients/amqp/confirm_ledger.hpp>
#include <lovage/clients/amqp/properties.hpp>
#include <lovage/clients/amqp/settlement_ledger.hpp>

#include <gmock/gmock.h>

#include <optional>
#include <string>
#include <vector>

namespace lovage::amqp {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Publish final : ConfirmListener {
    void on_settled(PublishOutcome result, const std::string& why) override {
        ++calls;
        outcome = result;
        reason = why;
    }
    int calls = 0;
    std::optional<PublishOutcome> outcome;
    std::string reason;
};

TEST(ConfirmLedger, MatchesByTag) {
    ConfirmLedger ledger;
    Publish a;
    Publish b;
    EXPECT_EQ(ledger.add(&a, 1, 10), 1U);
    EXPECT_EQ(ledger.add(&b, 2, 20), 2U);
    ledger.confirm(2, false, true);
    EXPECT_EQ(b.outcome, PublishOutcome::stored);
    EXPECT_FALSE(a.outcome);
    EXPECT_EQ(ledger.in_flight(), 1U);
    EXPECT_EQ(ledger.bytes_in_flight(), 10U);
    ledger.confirm(1, false, false);
    EXPECT_EQ(a.outcome, PublishOutcome::refused);
    EXPECT_EQ(ledger.in_flight(), 0U);
    Publish c;
    EXPECT_EQ(ledger.add(&c, 3, 0), 3U);
}

TEST(ConfirmLedger, OneConfirmMaySettleSeveral) {
    ConfirmLedger ledger;
    std::vector<Publish> publishes(4);
    for (Publish& publish : publishes) (void)ledger.add(&publish, 0, 1);
    ledger.confirm(2, false, false);
    ledger.confirm(3, true, true);
    EXPECT_EQ(publishes[0].outcome, PublishOutcome::stored);
    EXPECT_EQ(publishes[1].outcome, PublishOutcome::refused);
    EXPECT_EQ(publishes[2].outcome, PublishOutcome::stored);
    EXPECT_FALSE(publishes[3].outcome);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(publishes[i].calls, 1);
}

TEST(ConfirmLedger, UnknownAndRepeatedTagsChangeNothing) {
    ConfirmLedger ledger;
    Publish a;
    (void)ledger.add(&a, 0, 1);
    for (const std::uint64_t tag : {0ULL, 2ULL, ~0ULL}) ledger.confirm(tag, true, true);
    EXPECT_EQ(a.calls, 0);
    ledger.confirm(1, true, true);
    ledger.confirm(1, true, true);
    EXPECT_EQ(a.calls, 1);
}

TEST(ConfirmLedger, AReturnBelongsToTheMessageItLooksLike) {
    ConfirmLedger ledger;
    std::vector<Publish> publishes(3);
    for (std::uint64_t i = 0; i < 3; ++i) (void)ledger.add(&publishes[i], i, 1);
    ledger.returned(1, "NO_ROUTE");
    ledger.returned(99, "of nobody");
    ledger.confirm(3, true, true);
    EXPECT_EQ(publishes[0].outcome, PublishOutcome::stored);
    EXPECT_EQ(publishes[1].outcome, PublishOutcome::returned);
    EXPECT_EQ(publishes[1].reason, "NO_ROUTE");
    EXPECT_EQ(publishes[2].outcome, PublishOutcome::stored);
}

TEST(ConfirmLedger, MessagesThatLookAlikeAreReturnedInTheirOrder) {
    ConfirmLedger ledger;
    std::vector<Publish> publishes(2);
    for (Publish& publish : publishes) (void)ledger.add(&publish, 5, 1);
    ledger.returned(5, "NO_ROUTE");
    ledger.returned(5, "NO_ROUTE");
    ledger.confirm(2, true, true);
    for (const Publish& publish : publishes) EXPECT_EQ(publish.outcome, PublishOutcome::returned);
}

TEST(ConfirmLedger, ALostChannelLeavesTheOutcomeOpen) {
    ConfirmLedger ledger;
    Publish a;
    Publish forgotten;
    (void)ledger.add(&a, 0, 1);
    ledger.forget(ledger.add(&forgotten, 0, 1));
    ledger.lose_all("reset");
    EXPECT_EQ(a.outcome, PublishOutcome::lost);
    EXPECT_EQ(a.reason, "reset");
    EXPECT_EQ(forgotten.calls, 0);
    EXPECT_EQ(ledger.in_flight(), 0U);
    Publish next;
    EXPECT_EQ(ledger.add(&next, 0, 1), 1U) << "a new channel counts from 1";
}

TEST(ConfirmLedger, FingerprintsTellMessagesApart) {
    Properties one;
    one.correlation_id = "1";
    Properties two;
    two.correlation_id = "2";
    EXPECT_EQ(fingerprint("e", "k", one, "body"), fingerprint("e", "k", one, "body"));
    EXPECT_NE(fingerprint("e", "k", one, "body"), fingerprint("e", "k", two, "body"));
    EXPECT_NE(fingerprint("e", "k", one, "body"), fingerprint("e", "k", one, "other"));
    EXPECT_NE(fingerprint("e", "k", {}, ""), fingerprint("k", "e", {}, ""));
}

using Kind = SettlementLedger::Settlement::Kind;
using Settlement = SettlementLedger::Settlement;

SettlementLedger delivered(std::uint64_t count) {
    SettlementLedger ledger;
    for (std::uint64_t tag = 1; tag <= count; ++tag) EXPECT_TRUE(ledger.delivered(tag, 1));
    return ledger;
}

TEST(SettlementLedger, AFinishedPrefixIsOneAck) {
    auto ledger = delivered(4);
    for (const std::uint64_t tag : {3U, 1U, 2U}) EXPECT_TRUE(ledger.ack(tag));
    EXPECT_THAT(ledger.take(), ElementsAre(Settlement{Kind::ack_multiple, 3}));
    EXPECT_THAT(ledger.take(), IsEmpty());
    EXPECT_TRUE(ledger.ack(4));
    EXPECT_THAT(ledger.take(), ElementsAre(Settlement{Kind::ack, 4}));
    EXPECT_EQ(ledger.size(), 0U);
}

TEST(SettlementLedger, AnUnfinishedDeliveryIsNeverCovered) {
    auto ledger = delivered(6);
    for (const std::uint64_t tag : {1U, 2U, 4U, 6U}) EXPECT_TRUE(ledger.ack(tag));
    EXPECT_THAT(ledger.take(), ElementsAre(Settlement{Kind::ack_multiple, 2},
                                           Settlement{Kind::ack, 4}, Settlement{Kind::ack, 6}));
    for (const std::uint64_t tag : {3U, 5U}) EXPECT_TRUE(ledger.ack(tag));
    EXPECT_THAT(ledger.take(), ElementsAre(Settlement{Kind::ack_multiple, 5}));
}

TEST(SettlementLedger, RejectsGoBeforeTheAckThatWouldCoverThem) {
    auto ledger = delivered(4);
    EXPECT_TRUE(ledger.ack(1));
    EXPECT_TRUE(ledger.reject(2, true));
    EXPECT_TRUE(ledger.reject(3, false));
    EXPECT_TRUE(ledger.ack(4));
    EXPECT_THAT(ledger.take(),
                ElementsAre(Settlement{Kind::requeue, 2}, Settlement{Kind::discard, 3},
                            Settlement{Kind::ack_multiple, 4}));
}

TEST(SettlementLedger, SettlesOnce) {
    auto ledger = delivered(2);
    EXPECT_TRUE(ledger.ack(2));
    EXPECT_FALSE(ledger.ack(2));
    EXPECT_FALSE(ledger.reject(2, true));
    (void)ledger.take();
    EXPECT_FALSE(ledger.ack(2));
    EXPECT_FALSE(ledger.ack(0));
    EXPECT_FALSE(ledger.ack(3));
    EXPECT_EQ(ledger.size(), 1U);
}

TEST(SettlementLedger, TagsComeWithoutGaps) {
    auto ledger = delivered(1);
    EXPECT_FALSE(ledger.delivered(1, 1));
    EXPECT_FALSE(ledger.delivered(3, 1));
    EXPECT_FALSE(ledger.delivered(~0ULL, 1));
    EXPECT_TRUE(ledger.delivered(2, 1));
    ledger.clear();
    EXPECT_TRUE(ledger.delivered(1, 1));
}

TEST(SettlementLedger, WhatOneSourceBroughtCanBeGivenBack) {
    SettlementLedger ledger;
    for (std::uint64_t tag = 1; tag <= 4; ++tag) {
        EXPECT_TRUE(ledger.delivered(tag, static_cast<SettlementLedger::Source>(tag % 2)));
    }
    EXPECT_TRUE(ledger.ack(1));
    EXPECT_EQ(ledger.size(1), 1U);
    EXPECT_EQ(ledger.size(7), 0U);
    EXPECT_EQ(ledger.requeue_all(1), 1U);
    EXPECT_THAT(ledger.take(), ElementsAre(Settlement{Kind::requeue, 3}, Settlement{Kind::ack, 1}));
    EXPECT_EQ(ledger.size(), 2U);
}

}  // namespace
}  // namespace lovage::amqp
