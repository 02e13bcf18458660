#include <lovage/worker/revoked_stamps.hpp>

#include <string>

#include <gtest/gtest.h>

namespace lovage {
namespace {

TaskMessage stamped(Json stamps) {
    TaskMessage message;
    message.stamps = std::move(stamps);
    return message;
}

TEST(RevokedStamps, MatchByHeaderAndValue) {
    RevokedStamps revoked;
    EXPECT_FALSE(revoked.revokes(stamped(Json::object({{"batch", "7"}}))));
    revoked.add({{"batch", {R"("7")", R"("8")", "11"}}});
    EXPECT_TRUE(revoked.revokes(stamped(Json::object({{"batch", "7"}}))));
    EXPECT_TRUE(revoked.revokes(stamped(Json::raw(R"({"batch": ["1", "8"]})"))));
    EXPECT_FALSE(revoked.revokes(stamped(Json::object({{"batch", "9"}}))));
    EXPECT_FALSE(revoked.revokes(stamped(Json::object({{"other", "7"}}))));
    EXPECT_TRUE(revoked.revokes(stamped(Json::raw(R"({"batch": 11})"))));
    EXPECT_TRUE(revoked.revokes(stamped(Json::raw(R"({"batch": ["x", 11]})"))));
    EXPECT_FALSE(revoked.revokes(stamped(Json::object({{"batch", "11"}}))));
    EXPECT_FALSE(revoked.revokes(stamped(Json::raw(R"({"batch": 7})"))));
    EXPECT_FALSE(revoked.revokes(stamped(Json{})));
}

TEST(RevokedStamps, TellWhichOnesAMessageCarries) {
    const TaskMessage message = stamped(Json::object({{"a", Json::array({"1", "2"})}, {"b", "3"}}));
    EXPECT_EQ(RevokedStamps::common(message, {{"a", {R"("2")", R"("9")"}}, {"c", {R"("3")"}}}),
              (RevokedStamps::Stamps{{"a", {R"("2")"}}}));
}

TEST(RevokedStamps, ForgetTheOldest) {
    RevokedStamps revoked;
    RevokedStamps::Stamps many;
    for (std::size_t i = 0; i < RevokedStamps::kValuesMost; ++i) {
        many["header " + std::to_string(i)].insert(R"("x")");
    }
    revoked.add({{"batch", {R"("first")"}}});
    EXPECT_TRUE(revoked.revokes(stamped(Json::object({{"batch", "first"}}))));
    revoked.add({{"nothing", {}}});
    EXPECT_TRUE(revoked.revokes(stamped(Json::object({{"batch", "first"}}))));
    revoked.add(many);
    EXPECT_FALSE(revoked.revokes(stamped(Json::object({{"batch", "first"}}))));
    EXPECT_TRUE(revoked.revokes(stamped(Json::object({{"header 0", "x"}}))));
    revoked.add({{"batch", {R"("first")", R"("second")"}}});
    EXPECT_TRUE(revoked.revokes(stamped(Json::object({{"batch", "second"}}))));
    EXPECT_FALSE(revoked.revokes(stamped(Json::object({{"header 0", "x"}}))));
}

}  // namespace
}  // namespace lovage
