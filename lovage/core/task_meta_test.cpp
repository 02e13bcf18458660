#include <lovage/core/task_meta.hpp>

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <tests/support/fixture.hpp>

namespace lovage {
namespace {

using testing::HasSubstr;
using testing_support::load_fixture;

TaskMeta meta(std::string_view text) {
    return value_or_throw(TaskMeta::from_json(text));
}

TEST(States, ReadyAreTheThreeThatNothingFollows) {
    for (const auto state : {states::kSuccess, states::kFailure, states::kRevoked}) {
        EXPECT_TRUE(states::is_ready(state)) << state;
    }
    for (const std::string_view state : {"PENDING", "STARTED", "RETRY", "PROGRESS", ""}) {
        EXPECT_FALSE(states::is_ready(state)) << state;
    }
}

TEST(States, ASuccessIsNeverReplacedAndAReadyStateOnlyByAReadyOne) {
    EXPECT_TRUE(states::may_replace("PENDING", "STARTED"));
    EXPECT_TRUE(states::may_replace("STARTED", "PROGRESS"));
    EXPECT_TRUE(states::may_replace("RETRY", "STARTED"));
    EXPECT_TRUE(states::may_replace("STARTED", "FAILURE"));
    EXPECT_TRUE(states::may_replace("FAILURE", "SUCCESS"));
    EXPECT_TRUE(states::may_replace("REVOKED", "FAILURE"));
    for (const auto next : {"PENDING", "STARTED", "RETRY", "FAILURE", "SUCCESS", "REVOKED"}) {
        EXPECT_FALSE(states::may_replace("SUCCESS", next)) << next;
    }
    EXPECT_FALSE(states::may_replace("FAILURE", "RETRY"));
    EXPECT_FALSE(states::may_replace("REVOKED", "STARTED"));
}

TEST(TaskMeta, WritesEveryRecordedResultBackByteForByte) {
    const Json fixture = load_fixture("celery_results.json");
    const Json::Array& records = fixture.find("records")->as_array();
    EXPECT_EQ(records.size(), 74U);
    for (const Json& record : records) {
        const std::string& raw = record.find("raw")->as_string();
        const auto read = TaskMeta::from_json(raw);
        ASSERT_TRUE(read) << record.find("name")->as_string() << read.error().message();
        EXPECT_EQ(read->to_json(), raw) << record.find("name")->as_string();
        EXPECT_EQ(read->failure().has_value(), read->status == "FAILURE" ||
                                                   read->status == "REVOKED" ||
                                                   read->status == "RETRY");
    }
}

TEST(TaskMeta, WritesCelerysKeysInCelerysOrder) {
    TaskMeta record;
    record.task_id = "id";
    record.status = states::kSuccess;
    record.result = Json::raw("[1,  2]");
    record.date_done = "2026-11-21T16:39:11.531697+00:00";
    EXPECT_EQ(record.to_json(),
              R"({"status": "SUCCESS", "result": [1,  2], "traceback": null, "children": [], )"
              R"("date_done": "2026-11-21T16:39:11.531697+00:00", "task_id": "id"})");
    record.group_id = "g";
    record.parent_id = "p";
    record.extra.set("name", "tasks.add");
    record.extra.set("retries", 0);
    EXPECT_THAT(record.to_json(), HasSubstr(R"("group_id": "g", "parent_id": "p", "name": )"
                                            R"("tasks.add", "retries": 0, "task_id": "id"})"));
}

TEST(TaskMeta, ReadsTheFiveFieldsOfAnRpcReply) {
    const TaskMeta record = meta(
        R"({"task_id": "id", "status": "SUCCESS", "result": 5, "traceback": null, "children": []})");
    EXPECT_EQ(record.task_id, "id");
    EXPECT_EQ(record.result, Json{5});
    EXPECT_TRUE(record.ready());
    EXPECT_FALSE(record.date_done);
}

TEST(TaskMeta, RefusesWhatIsNoRecord) {
    for (const auto* text :
         {"", "5", "[]", "{}", R"({"status": null})", R"({"status": ""})", R"({"status": 5})",
          R"({"status": "SUCCESS", "task_id": 5})", R"({"status": "SUCCESS", "traceback": []})",
          R"({"status": "SUCCESS", "children": {}})", R"({"status": "SUCCESS")"}) {
        const auto read = TaskMeta::from_json(text);
        ASSERT_FALSE(read) << text;
        EXPECT_EQ(read.error().code, Errc::malformed) << text;
    }
    EXPECT_THAT(TaskMeta::from_json(R"({"status": "S", "group_id": [1]})").error().detail,
                HasSubstr("'group_id' has the wrong type: [1]"));
}

TEST(TaskMeta, FailureReadsCelerysExceptionMap) {
    const TaskMeta record = meta(
        R"({"status": "FAILURE", "result": {"exc_type": "ValueError", "exc_message": ["boom"], )"
        R"("exc_module": "builtins"}, "traceback": "Traceback…"})");
    const auto failure = record.failure();
    ASSERT_TRUE(failure);
    EXPECT_EQ(failure->exc_type, "ValueError");
    EXPECT_EQ(failure->exc_message, "boom");
    EXPECT_EQ(failure->exc_module, "builtins");
    EXPECT_EQ(failure->traceback, "Traceback…");
}

std::string message_of(std::string_view result) {
    const auto failure =
        meta(R"({"status": "RETRY", "result": )" + std::string{result} + "}").failure();
    return failure->exc_type + "|" + failure->exc_message + "|" + failure->exc_module;
}

TEST(TaskMeta, FailureToleratesWhateverElseIsThere) {
    EXPECT_EQ(message_of(R"({"exc_type": "E", "exc_message": [1, {"k": "v"}], "exc_module": "m"})"),
              "E|(1, {'k': 'v'})|m");
    EXPECT_EQ(message_of(R"({"exc_type": "E", "exc_message": "text", "exc_module": "m"})"),
              "E|text|m");
    EXPECT_EQ(message_of(R"({"exc_type": "E", "exc_message": [2], "exc_module": null})"),
              "E|2|builtins");
    EXPECT_EQ(message_of(R"({"exc_type": "E", "exc_message": []})"), "E||builtins");
    EXPECT_EQ(message_of(R"({"exc_type": 5, "exc_message": {"a": 1}})"),
              "Exception|{'a': 1}|builtins");
    EXPECT_EQ(message_of(R"("went wrong")"), "Exception|went wrong|builtins");
    EXPECT_EQ(message_of("null"), "Exception||builtins");
    EXPECT_EQ(message_of("[]"), "Exception||builtins");
    EXPECT_FALSE(meta(R"({"status": "SUCCESS", "result": {"exc_type": "E"}})").failure());
}

TEST(TaskMeta, ExceptionMapsAreWrittenInCelerysOrder) {
    EXPECT_EQ(to_json_text(exception_json({"ValueError", "boom", "builtins", ""})),
              R"({"exc_type": "ValueError", "exc_message": ["boom"], "exc_module": "builtins"})");
    EXPECT_EQ(
        to_json_text(exception_json({"SoftTimeLimitExceeded", "", "billiard.exceptions", ""})),
        R"({"exc_type": "SoftTimeLimitExceeded", "exc_message": [], )"
        R"("exc_module": "billiard.exceptions"})");
}

}  // namespace
}  // namespace lovage
