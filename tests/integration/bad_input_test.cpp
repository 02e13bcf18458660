// Messages that no Lovage client would send, on both kinds of broker: each ends where a person
// finds it, with a reason, and the worker goes on.

#include "both_brokers.hpp"

#include <lovage/worker/quarantine.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <tests/support/running_worker.hpp>

namespace lovage::integration {
namespace {

using testing::HasSubstr;

constexpr const char* kNothingAfter =
    R"({"callbacks": null, "errbacks": null, "chain": null, "chord": null})";

/// What must become of a message.
struct Case {
    std::string name;
    std::function<void(Message&)> spoil;  ///< Applied to a good call of "add".
    std::string reason;                   ///< In quarantine for this; empty: not in quarantine.
    std::string detail = {};              ///< Part of the line for a person.
    std::string state = "FAILURE";        ///< Of its result; empty: nobody knows its id.
    std::string exc_type = {};            ///< Of a failure.
};

std::string body_of(const std::string& args, const std::string& embed = kNothingAfter) {
    return "[" + args + ", {}, " + embed + "]";
}

Message good_message(const std::string& id) {
    Message message;
    message.headers = Json::object({{"task", "add"}, {"id", id}, {"root_id", id}});
    message.properties.correlation_id = id;
    message.body = body_of("[1, 2]");
    return message;
}

/// A few kilobytes that unpack to 64 MiB.
std::string bomb() {
    const std::string zeros(std::size_t{64} << 20U, '0');
    uLongf size = compressBound(zeros.size());
    std::string packed(size, '\0');
    if (compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                 reinterpret_cast<const Bytef*>(zeros.data()), zeros.size()) != Z_OK) {
        throw std::runtime_error{"zlib"};
    }
    packed.resize(size);
    return packed;
}

std::function<void(Message&)> header(std::string name, Json value) {
    return [name = std::move(name), value = std::move(value)](Message& message) {
        message.headers.set(name, value);
    };
}
std::function<void(Message&)> body(std::string text) {
    return [text = std::move(text)](Message& message) { message.body = text; };
}

std::vector<Case> cases() {
    return {
        {"no id", [](Message& message) { message.headers.erase("id"); }, "invalid-message",
         "'id' is missing", ""},
        {"no task", [](Message& message) { message.headers.erase("task"); }, "unknown-message", "",
         ""},
        {"no triple", body("[[1, 2], {}]"), "undecodable", "a list of 2, not [args, kwargs, embed]",
         "FAILURE", "DecodeError"},
        {"no JSON", body("\x80\x05 pickled"), "undecodable", "", "FAILURE", "DecodeError"},
        {"kwargs that are no map", body("[[1, 2], [], {}]"), "invalid-message",
         "'kwargs' must be a map", "FAILURE", "InvalidTaskError"},
        {"a content type nobody accepts",
         [](Message& message) {
             message.properties.content_type = "application/x-python-serialize";
         },
         "content-disallowed", "application/x-python-serialize", "FAILURE", "ContentDisallowed"},
        {"a compressed bomb",
         [](Message& message) {
             message.headers.set("compression", "application/x-gzip");
             message.body = bomb();
         },
         "too-large", "", "FAILURE", "InvalidTaskError"},
        {"17 MiB",
         [](Message& message) {
             message.body = body_of("[1, \"" + std::string(std::size_t{17} << 20U, 'x') + "\"]");
         },
         "too-large", "", "FAILURE", "InvalidTaskError"},
        {"an unknown task", header("task", "no.such.task"), "not-registered", "no.such.task",
         "FAILURE", "NotRegistered"},
        {"wrong arguments", body(body_of(R"(["one", 2])")), "", "argument x", "FAILURE",
         "TypeError"},
        {"too many arguments", body(body_of("[1, 2, 3]")), "", "takes 2 positional arguments",
         "FAILURE", "TypeError"},
        {"a signature that is none", body(body_of("[1, 2]", R"({"callbacks": [42]})")),
         "invalid-message", "callbacks 0 is no signature", "FAILURE", "InvalidTaskError"},
        {"an ETA in the year 10000", header("eta", "10000-01-01T00:00:00+00:00"), "invalid-message",
         "'eta'", "FAILURE", "InvalidTaskError"},
        {"negative retries", header("retries", -1), "invalid-message", "'retries'", "FAILURE",
         "InvalidTaskError"},
        {"a time limit of words", header("timelimit", "soon"), "invalid-message", "'timelimit'",
         "FAILURE", "InvalidTaskError"},
        // The priority is a property and a number; a header of that name is the sender's own.
        {"priority high", header("priority", "high"), "", "", "SUCCESS"},
    };
}

Result<void> publish_any(App& app, Message message) {
    const auto send = [](std::shared_ptr<AppCore> core, Message what) -> Awaitable<Result<void>> {
        Publication publication;
        publication.routing_key = "celery";
        publication.any_size = true;  // as a producer without limits
        publication.message = std::move(what);
        co_return co_await core->broker().publish(std::move(publication), Deadline::in(kLong));
    };
    return app.core()->loop().run_blocking(send(app.core(), std::move(message)));
}

void check(App& app, const Case& wanted, const std::string& id) {
    Message message = good_message(id);
    wanted.spoil(message);
    const auto sent = publish_any(app, std::move(message));
    ASSERT_TRUE(sent) << sent.error().message();
    if (!wanted.reason.empty()) {
        const auto note = read_note(take_quarantined(app));
        ASSERT_TRUE(note);
        EXPECT_EQ(note->reason, wanted.reason) << note->detail;
        EXPECT_THAT(note->detail, HasSubstr(wanted.detail));
        EXPECT_FALSE(note->detail.empty());
    }
    if (wanted.state.empty()) return;
    const TaskMeta meta = app.async_result(id).wait(kLong);
    EXPECT_EQ(meta.status, wanted.state);
    if (wanted.exc_type.empty()) return;
    ASSERT_TRUE(meta.failure());
    EXPECT_EQ(meta.failure()->exc_type, wanted.exc_type);
    EXPECT_THAT(meta.failure()->exc_message, HasSubstr(wanted.detail));
}

/// Every case, with a good task after each.
void check_all(Settings settings) {
    App app{"bad-input", std::move(settings)};
    auto add = app.task("add", [](int x, int y) { return x + y; }, arg("x"), arg("y"));
    RunningWorker worker{app};
    int number = 0;
    for (const Case& wanted : cases()) {
        SCOPED_TRACE(wanted.name);
        check(app, wanted, "bad-" + std::to_string(++number));
        EXPECT_EQ(add.delay(1, 2).get(kLong), 3);
    }
    EXPECT_TRUE(worker.stop());
    EXPECT_EQ(status_of(app, "celery").ready, 0U);
    EXPECT_EQ(status_of(app, "celery.quarantine").ready, 0U) << "one entry a case";
}

class BadInput : public BothBrokers {};
LOVAGE_ON_BOTH_BROKERS(BadInput);

TEST_P(BadInput, EndsWithAReason) {
    check_all(settings_);
}

}  // namespace
}  // namespace lovage::integration
