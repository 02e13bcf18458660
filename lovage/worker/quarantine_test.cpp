#include <lovage/worker/quarantine.hpp>

#include <gtest/gtest.h>

namespace lovage {
namespace {

using namespace std::chrono_literals;

Message original() {
    Message message;
    message.properties.correlation_id = "42";
    message.properties.priority = 7;
    message.properties.expiration = 5000ms;
    message.headers =
        Json::object({{"task", "shop.pay"}, {"x-own", Json::integer("10000000000000000000000")}});
    message.body = "\x01 not JSON \xff";
    return message;
}

const QuarantineNote kNote{"undecodable", "the body is no JSON", "shop", "w1@host",
                           TimePoint{1'700'000'000s}};

TEST(Quarantine, KeepsBodyPropertiesAndHeadersAndAddsTheNote) {
    const Publication kept = to_quarantine(original(), kNote);

    EXPECT_EQ(kept.routing_key, "shop.quarantine");
    EXPECT_EQ(kept.message.body, original().body);
    EXPECT_EQ(kept.message.properties.priority, 7);
    EXPECT_EQ(kept.message.headers.find("task")->as_string(), "shop.pay");
    EXPECT_EQ(kept.message.headers.find("x-lovage-reason")->as_string(), "undecodable");
    const auto note = read_note(kept.message);
    ASSERT_TRUE(note);
    EXPECT_EQ(note->detail, kNote.detail);
    EXPECT_EQ(note->queue, "shop");
    EXPECT_EQ(note->worker, "w1@host");
    EXPECT_EQ(note->time, kNote.time);
}

TEST(Quarantine, AKeptMessageNeverExpires) {
    EXPECT_FALSE(to_quarantine(original(), kNote).message.properties.expiration);
}

TEST(Quarantine, AReplayIsTheOriginalAgain) {
    const Publication kept = to_quarantine(original(), kNote);
    const Publication replayed = from_quarantine(kept.message, *read_note(kept.message));

    EXPECT_EQ(replayed.routing_key, "shop");
    EXPECT_EQ(replayed.message.body, original().body);
    EXPECT_EQ(replayed.message.headers, original().headers);
    EXPECT_EQ(replayed.message.properties.expiration, 5000ms);
    EXPECT_EQ(to_json_text(replayed.message.headers), to_json_text(original().headers));
}

TEST(Quarantine, KeepsAMessageWhoseHeadersAreNoMap) {
    Message broken;
    broken.headers = Json::array();
    const Publication kept = to_quarantine(broken, kNote);
    ASSERT_TRUE(read_note(kept.message));
    EXPECT_EQ(to_json_text(from_quarantine(kept.message, kNote).message.headers), "[]");
}

TEST(Quarantine, AForeignHeaderOfOurNameIsOnlyAHeader) {
    for (const char* text : {"", "no JSON", "{}", R"({"task": "other"})", "[", "1 2"}) {
        Message foreign = original();
        foreign.headers.set("x-lovage-headers", text);
        const Publication kept = to_quarantine(foreign, kNote);
        EXPECT_EQ(from_quarantine(kept.message, kNote).message.headers, foreign.headers) << text;
    }
}

TEST(Quarantine, AnOrdinaryMessageCarriesNoNote) {
    EXPECT_FALSE(read_note(original()));
}

}  // namespace
}  // namespace lovage
