#include <lovage/worker/quarantine.hpp>

#include <lovage/app/queues.hpp>

#include <memory>

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

TEST(Quarantine, NamesThatWouldBeTooLongAreCutAndStayDifferent) {
    const std::string fits(244, 'q');
    EXPECT_EQ(quarantine_queue(fits), fits + ".quarantine");
    const std::string one = quarantine_queue(std::string(254, 'q') + "1");
    const std::string other = quarantine_queue(std::string(254, 'q') + "2");
    EXPECT_EQ(one.size(), 255U);
    EXPECT_TRUE(one.ends_with(".quarantine"));
    EXPECT_NE(one, other);
}

TEST(Quarantine, IsAsSafeAsItsTaskQueue) {
    Settings settings;
    EXPECT_EQ(quarantine_declaration(settings, "q").arguments, Json::object());
    settings.delivery = DeliveryProfile::quorum;
    EXPECT_EQ(quarantine_declaration(settings, "q").arguments,
              Json::object({{"x-queue-type", "quorum"}}));
}

TEST(Quarantine, ANoteIsShortenedFromWhatIsWorthLeast) {
    QuarantineNote note;
    note.reason = "crashed";
    note.queue = "shop";
    note.detail = std::string(200, 'd');
    note.crash = std::make_shared<const CrashReport>(
        CrashReport{"SIGSEGV", "0x0", std::string(12'000, 'b'), std::string(4'000, 'e')});
    EXPECT_TRUE(shorten(note));
    EXPECT_EQ(note.crash->backtrace.size() + note.crash->last_words.size(), 2'048U);
    EXPECT_TRUE(shorten(note));
    EXPECT_EQ(note.crash->backtrace.size() + note.crash->last_words.size(), 0U);
    EXPECT_EQ(note.crash->cause, "SIGSEGV");
    EXPECT_EQ(note.detail.size(), 200U);
    EXPECT_TRUE(shorten(note));
    EXPECT_EQ(note.detail.size(), 64U);
    EXPECT_TRUE(shorten(note));
    EXPECT_FALSE(shorten(note));
    EXPECT_EQ(note.queue, "shop");
}

}  // namespace
}  // namespace lovage
