// The API with a real worker beside it, over the memory drivers; no socket is involved.
#include "api.hpp"
#include "options.hpp"
#include "tasks.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/http/test_client.hpp>
#include <lovage/worker/worker.hpp>

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/support/memory_app.hpp>

namespace project {
namespace {

using lovage::Json;
using lovage::http::TestClient;
using testing::HasSubstr;
using testing::MatchesRegex;

lovage::Settings api_test_settings() {
    auto settings = lovage::memory_settings();
    settings.task_track_sent = true;
    return settings;
}

class ProjectApiTest : public testing::Test {
protected:
    ~ProjectApiTest() override {
        if (!worker_) return;
        worker_->request_stop();
        EXPECT_TRUE(worker_ended_.get());
    }

    void start_worker() {
        register_tasks(app_);
        lovage::WorkerOptions options;
        options.queues = {kQueue};
        options.concurrency = 1;
        options.on_ready = [this] { worker_ready_.release(); };
        worker_ = std::make_unique<lovage::Worker>(app_, options);
        worker_ended_ = std::async(std::launch::async, [this] {
            return app_.core()->loop().run_blocking(worker_->run());
        });
        worker_ready_.acquire();
    }

    TestClient& client(const ApiSettings& settings = {}) {
        if (!api_) {
            api_ = std::make_unique<ProjectApi>(app_, settings);
            client_ = std::make_unique<TestClient>(api_->http());
        }
        return *client_;
    }
    /// "200 body".
    static std::string shown(const TestClient::Reply& reply) {
        return std::to_string(reply.status()) + " " + reply.body();
    }
    std::string post(const std::string& path, std::string body = {}) {
        return shown(client().post("/v1/celery-worker" + path, std::move(body)));
    }
    std::string workflow(const std::string& path, std::string body = {}) {
        return shown(client().post("/v1/celery-workflows/" + path, std::move(body)));
    }
    std::string group(const std::string& path) { return shown(client().get("/v1/groups/" + path)); }
    std::string get(const std::string& path) { return shown(client().get("/v1/tasks/" + path)); }
    static std::string id_in(const TestClient::Reply& reply) {
        return reply.json().find("taskId")->as_string();
    }

    lovage::App app_{"project-api-test", api_test_settings()};
    std::unique_ptr<lovage::Worker> worker_;
    std::future<lovage::Result<void>> worker_ended_;
    std::binary_semaphore worker_ready_{0};
    std::unique_ptr<ProjectApi> api_;
    std::unique_ptr<TestClient> client_;
    std::vector<std::string> ids_;
};

TEST_F(ProjectApiTest, WaitsForResultsOfAnySize) {
    start_worker();
    EXPECT_EQ(post("/integer-multiplication/?integer=21"), "200 42");
    EXPECT_EQ(post("/integer-multiplication/", R"({"integer": 21})"), "200 42");
    EXPECT_EQ(post("/integer-multiplication/?integer=" + std::string(300, '9')),
              "200 1" + std::string(299, '9') + "8");
    EXPECT_EQ(post("/integers-sum/?integers=1&integers=2&integers=39"), "200 42");
    EXPECT_EQ(post("/integers-sum/", R"({"integers": [40, 2]})"), "200 42");
}

TEST_F(ProjectApiTest, SendsNowAndHandsTheResultOutOnce) {
    start_worker();
    const auto sent = client().post("/v1/celery-worker/integers-sum/async/?integers=1&integers=2");
    EXPECT_THAT(shown(sent), MatchesRegex(R"(200 \{"taskId":"[0-9a-f-]{36}"\})"));
    const auto id = id_in(sent);
    app_.async_result(id).wait(std::chrono::seconds{20});
    EXPECT_EQ(get(id), R"(200 {"taskId":")" + id + R"(","taskStatus":"SUCCESS"})");
    EXPECT_EQ(get(id + "/result/?forgetRetrievedResult=false"), "200 3");
    EXPECT_EQ(get(id + "/result/"), "200 3");
    EXPECT_EQ(get(id + "/result/"), "404 {\"detail\":\"Task '" + id + "' is unknown.\"}");
}

TEST_F(ProjectApiTest, AFailedTaskIsA500WithItsTraceback) {
    start_worker();
    const auto result =
        app_.send_task("always-fails", Json::array({"too bad"}), Json::object(), {.queue = kQueue});
    result.wait(std::chrono::seconds{20});
    EXPECT_THAT(get(result.id() + "/result/"),
                testing::AllOf(HasSubstr("500 {\"detail\":\"Celery task '" + result.id() +
                                         "' failed with the following traceback:\\n "),
                               HasSubstr("Task should be forget!")));
    EXPECT_THAT(get(result.id()), HasSubstr("404 "));
}

TEST_F(ProjectApiTest, AnUnknownTaskIsA404AndABadIdA422) {
    EXPECT_THAT(get("3fa85f64-5717-4562-b3fc-2c963f66afa6"), HasSubstr("404 "));
    EXPECT_THAT(get("3fa85f64-5717-4562-b3fc-2c963f66afa6/result/"), HasSubstr("404 "));
    EXPECT_THAT(get("nonsense"), HasSubstr("uuid_parsing"));
}

TEST_F(ProjectApiTest, WithoutAWorkerTheWaitEndsAndTheTaskIsRevoked) {
    (void)client({.task_ready_time_out = std::chrono::milliseconds{1}});
    const auto answer = post("/integer-multiplication/?integer=1");
    ASSERT_THAT(answer, testing::StartsWith("408 {\"detail\":\"Timeout (0.001s) exceed - Task '"));
    EXPECT_THAT(answer, HasSubstr("' (state: 'PENDING') is not ready. Task should be revoke!"));
    const auto id = answer.substr(answer.find('\'') + 1, 36);
    EXPECT_EQ(get(id), R"(200 {"taskId":")" + id + R"(","taskStatus":"REVOKED"})");
}

TEST_F(ProjectApiTest, WithWaitTheAnswerSaysWhereTheResultWillBeAndNothingIsRevoked) {
    const auto reply = client().post("/v1/celery-worker/integer-multiplication/?integer=1&wait=0");
    EXPECT_EQ(reply.status(), 202);
    const auto id = id_in(reply);
    EXPECT_EQ(reply.response.header("location"), "/v1/tasks/" + id);
    EXPECT_EQ(get(id), R"(200 {"taskId":")" + id + R"(","taskStatus":"PENDING"})");
    EXPECT_THAT(post("/integer-multiplication/?integer=1&wait=361"), HasSubstr("less_than_equal"));
}

TEST_F(ProjectApiTest, AResultThatIsNotThereYetIsA408) {
    (void)client({.task_result_time_out = std::chrono::milliseconds{1}});
    const auto id =
        id_in(client().post("/v1/celery-worker/integer-multiplication/async/?integer=1"));
    EXPECT_EQ(get(id + "/result/"), "408 {\"detail\":\"Timeout (0.001s) exceed - Task '" + id +
                                        "' (state: 'PENDING') is not ready or not exist.\"}");
}

// ---- Workflows

constexpr const char* kWorkflows = "/v1/celery-workflows/";

TEST_F(ProjectApiTest, AChainOfAHundredDoublingsIsRightToTheLastDigit) {
    start_worker();
    EXPECT_EQ(workflow("chain-integers-multiplication/?integer=1&nb_chains=99"),
              "200 1267650600228229401496703205376")
        << "2 to the power of 100";
    EXPECT_EQ(workflow("chain-integers-multiplication/?integer=-3&nb_chains=100"),
              "200 -7605903601369376408980219232256");
    EXPECT_EQ(workflow("chain-integers-multiplication/?integer=21&nb_chains=0"), "200 42");
    EXPECT_EQ(workflow("chain-integers-multiplication/", R"({"integer": 1, "nb_chains": 2})"),
              "200 8");
}

TEST_F(ProjectApiTest, AGroupIsAListAndAChordItsSum) {
    start_worker();
    EXPECT_EQ(workflow("group-integers-multiplication/?integer=21&nb_groups=3"), "200 [42,42,42]");
    EXPECT_EQ(workflow("group-integers-multiplication/?integer=21&nb_groups=1"), "200 [42]");
    EXPECT_EQ(workflow("group-integers-multiplication/?integer=21&nb_groups=0"), "200 []");
    EXPECT_EQ(workflow("chord-integers-multiplication/?integer=21&nb_groups=3"), "200 126");
    EXPECT_EQ(workflow("chord-integers-multiplication/?integer=21&nb_groups=1"), "200 42");
    EXPECT_EQ(workflow("chord-integers-multiplication/?integer=21&nb_groups=0"), "200 0");
    const std::string nines(30, '9');
    EXPECT_EQ(workflow("chord-integers-multiplication/?nb_groups=1000&integer=" + nines),
              "200 1" + std::string(29, '9') + "8" + "000")
        << "all there may be";
}

TEST_F(ProjectApiTest, TheAsyncVariantsAnswerWithAnIdThatIsKnownAtOnce) {
    for (const std::string name : {"chain-integers-multiplication/async/?integer=5&nb_chains=2",
                                   "chord-integers-multiplication/async/?integer=5&nb_groups=4"}) {
        const auto sent = client().post(kWorkflows + name);
        EXPECT_THAT(shown(sent), MatchesRegex(R"(200 \{"taskId":"[0-9a-f-]{36}"\})"));
        const auto id = id_in(sent);
        EXPECT_EQ(get(id), R"(200 {"taskId":")" + id + R"(","taskStatus":"PENDING"})");
        ids_.push_back(id);
    }
    start_worker();
    for (const std::string& id : ids_) {
        app_.async_result(id).wait(std::chrono::seconds{20});
        EXPECT_EQ(get(id), R"(200 {"taskId":")" + id + R"(","taskStatus":"SUCCESS"})");
        EXPECT_EQ(get(id + "/result/"), "200 40");
        EXPECT_THAT(get(id), HasSubstr("404 "));
    }
}

TEST_F(ProjectApiTest, AGroupIsFoundByTheIdOfItsAsyncVariant) {
    (void)client({.task_result_time_out = std::chrono::milliseconds{1}});
    const auto sent = client().post(std::string{kWorkflows} +
                                    "group-integers-multiplication/async/?integer=5&nb_groups=2");
    EXPECT_THAT(shown(sent), MatchesRegex(R"(200 \{"taskId":"[0-9a-f-]{36}"\})"));
    const auto id = id_in(sent);
    EXPECT_EQ(sent.response.header("location"), "/v1/groups/" + id);
    const auto counts = [&](const std::string& state, const std::string& numbers) {
        return R"(200 {"groupId":")" + id + R"(","groupStatus":")" + state + R"(","total":2,)" +
               numbers + ",";
    };
    EXPECT_THAT(group(id),
                testing::StartsWith(counts("PENDING", R"("successful":0,"failed":0,"waiting":2)")));
    EXPECT_EQ(get(id), R"(200 {"taskId":")" + id + R"(","taskStatus":"PENDING"})");
    EXPECT_EQ(get(id + "/result/"), "408 {\"detail\":\"Timeout (0.001s) exceed - Task '" + id +
                                        "' (state: 'PENDING') is not ready or not exist.\"}");
    start_worker();
    app_.group_result(id).wait(std::chrono::seconds{20});
    EXPECT_THAT(group(id),
                testing::StartsWith(counts("SUCCESS", R"("successful":2,"failed":0,"waiting":0)")));
    EXPECT_EQ(get(id), R"(200 {"taskId":")" + id + R"(","taskStatus":"SUCCESS"})");
    const auto members = client().get("/v1/groups/" + id).json().find("taskIds")->as_array();
    ASSERT_EQ(members.size(), 2U);
    EXPECT_THAT(get(members[1].as_string()), HasSubstr("SUCCESS"));

    EXPECT_EQ(group(id + "/result/"), "200 [10,10]") << "safe to repeat";
    EXPECT_EQ(group(id + "/result/"), "200 [10,10]");
    EXPECT_EQ(get(id + "/result/"), "200 [10,10]") << "as for a task: forgotten by that";
    EXPECT_EQ(group(id), "404 {\"detail\":\"Group '" + id + "' is unknown.\"}");
    EXPECT_EQ(group(id + "/result/"), "404 {\"detail\":\"Group '" + id + "' is unknown.\"}");
    EXPECT_THAT(get(id), HasSubstr("404 "));
    EXPECT_THAT(get(members[1].as_string()), HasSubstr("404 "));
}

TEST_F(ProjectApiTest, AGroupWithAFailedMemberSaysWhichAndWhy) {
    start_worker();
    const std::vector<lovage::Canvas<>> members{
        app_.signature("ping").set({.queue = kQueue}),
        app_.signature("always-fails", "too bad").set({.queue = kQueue})};
    const auto failing = lovage::group(members).delay();
    failing.save();
    (void)failing.wait(std::chrono::seconds{20});
    EXPECT_THAT(group(failing.id()),
                HasSubstr(R"("groupStatus":"FAILURE","total":2,"successful":1,"failed":1,)"));
    EXPECT_THAT(group(failing.id() + "/result/"),
                testing::AllOf(HasSubstr("500 {\"detail\":\"Celery task '" + failing.task_ids()[1] +
                                         "' failed"),
                               HasSubstr("ValueError"), HasSubstr("too bad")));
}

TEST_F(ProjectApiTest, WorkflowsAreBoundedAsFastApiSaysIt) {
    const auto refusal = [](const char* name, const char* type, const char* message,
                            const char* input, const char* context) {
        return fmt::format(
            R"(422 {{"detail":[{{"type":"{}","loc":["query","{}"],"msg":"{}","input":{}{}}}]}})",
            type, name, message, input, context);
    };
    EXPECT_EQ(workflow("chain-integers-multiplication/?integer=1&nb_chains=1001"),
              refusal("nb_chains", "less_than_equal", "Input should be less than or equal to 1000",
                      R"("1001")", R"(,"ctx":{"le":1000})"));
    EXPECT_EQ(
        workflow("group-integers-multiplication/async/?integer=1&nb_groups=-1"),
        refusal("nb_groups", "greater_than_equal", "Input should be greater than or equal to 0",
                R"("-1")", R"(,"ctx":{"ge":0})"));
    // The original answers 500 to these: their parameters have defaults that cannot be used.
    EXPECT_EQ(workflow("chord-integers-multiplication/?integer=1"),
              refusal("nb_groups", "missing", "Field required", "null", ""));
    EXPECT_EQ(workflow("chord-integers-multiplication/?nb_groups=1"),
              refusal("integer", "missing", "Field required", "null", ""));
    EXPECT_THAT(workflow("group-integers-multiplication/?integer=1&nb_groups=99999999999999999999"),
                HasSubstr("422 "));
    EXPECT_THAT(group("nonsense"), HasSubstr("uuid_parsing"));
}

TEST_F(ProjectApiTest, AWorkflowThatIsNotReadyInTimeIsRevokedAsAWhole) {
    (void)client({.task_ready_time_out = std::chrono::milliseconds{1}});
    std::vector<std::string> names{"chain-integers-multiplication/?integer=1&nb_chains=2",
                                   "chord-integers-multiplication/?integer=1&nb_groups=2",
                                   "group-integers-multiplication/?integer=1&nb_groups=2"};
    for (const std::string& name : names) {
        const auto answer = workflow(name);
        ASSERT_THAT(answer,
                    testing::StartsWith("408 {\"detail\":\"Timeout (0.001s) exceed - Task '"));
        EXPECT_THAT(answer, HasSubstr("' (state: 'PENDING') is not ready. Task should be revoke!"));
        ids_.push_back(answer.substr(answer.find('\'') + 1, 36));
    }
    std::atomic<int> runs{0};
    app_.before_task([&runs](lovage::TaskContext&) { ++runs; });
    start_worker();
    app_.send_task("ping", Json::array(), Json::object(), {.queue = kQueue})
        .wait(std::chrono::seconds{20});
    EXPECT_EQ(runs, 1) << "no step, part or member has run";
    EXPECT_THAT(get(ids_[0]), HasSubstr(R"("taskStatus":"REVOKED")"));
    EXPECT_THAT(get(ids_[1]), HasSubstr(R"("taskStatus":"FAILURE")")) << "for want of its parts";
    EXPECT_THAT(group(ids_[2]), HasSubstr(R"("successful":0,"failed":2,"waiting":0)"));
}

TEST_F(ProjectApiTest, WithWaitAWorkflowSaysWhereItsResultWillBe) {
    const auto chain = client().post(std::string{kWorkflows} +
                                     "chain-integers-multiplication/?integer=1&nb_chains=3&wait=0");
    EXPECT_EQ(chain.status(), 202);
    EXPECT_EQ(chain.response.header("location"), "/v1/tasks/" + id_in(chain));
    const auto members = client().post(
        std::string{kWorkflows} + "group-integers-multiplication/?integer=1&nb_groups=3&wait=0");
    EXPECT_EQ(members.status(), 202);
    EXPECT_EQ(members.response.header("location"), "/v1/groups/" + id_in(members));
    start_worker();
    EXPECT_EQ(app_.async_result(id_in(chain)).get(std::chrono::seconds{20}), Json{16});
    app_.group_result(id_in(members)).wait(std::chrono::seconds{20});
    EXPECT_EQ(group(id_in(members) + "/result/"), "200 [2,2,2]");
}

TEST_F(ProjectApiTest, EveryWorkflowEndpointIsDocumented) {
    const auto document = client().get("/openapi.json").json();
    const Json& paths = *document.find("paths");
    for (const std::string name : {"chain", "group", "chord"}) {
        for (const std::string variant : {"", "async/"}) {
            const std::string path = kWorkflows + name + "-integers-multiplication/" + variant;
            const Json* const found = paths.find(path);
            ASSERT_NE(found, nullptr) << path;
            EXPECT_THAT(
                lovage::to_json_text(*found),
                testing::AllOf(HasSubstr(R"("celery-workflows")"), HasSubstr(R"("maximum": 1000)")))
                << path;
        }
    }
    EXPECT_NE(paths.find("/v1/groups/{groupId}"), nullptr);
    EXPECT_NE(paths.find("/v1/groups/{groupId}/result/"), nullptr);
}

TEST(Schedule, HasASignOfLifeThatNobodyWaitsFor) {
    lovage::App app{"project-schedule-test", api_test_settings()};
    register_tasks(app);
    const auto entries = lovage::beat_schedule(app).entries();
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0].task, "ping");
    EXPECT_EQ(entries[0].options.ignore_result, true);
    EXPECT_EQ(std::get<std::chrono::milliseconds>(entries[0].options.expires), kSignOfLife);
}

TEST_F(ProjectApiTest, IsReadyWhenBrokerAndResultsAre) {
    EXPECT_EQ(shown(client().get("/health/ready")),
              R"(200 {"status":"ok","checks":{"broker":"ok","results":"ok"}})");
}

TEST(ApiSettings, AreReadFromTheOriginalsVariables) {
    const auto settings =
        load_api_settings({{"API_V1_PATH", "/v2"},
                           {"CORS_ALLOW_ORIGINS", R"(["http://localhost:3000/", "http://b"])"},
                           {"CELERY_TASK_READY_TIME_OUT", "1.5"},
                           {"PROJECT_WORKER_QUEUE", ""}});
    ASSERT_TRUE(settings);
    EXPECT_EQ(settings->v1_path, "/v2");
    EXPECT_THAT(settings->cors_allow_origins,
                testing::ElementsAre("http://localhost:3000", "http://b"));
    EXPECT_EQ(settings->task_ready_time_out, std::chrono::milliseconds{1500});
    EXPECT_EQ(settings->worker_queue, "project-worker") << "empty counts as not set";
    EXPECT_THAT(
        load_api_settings({{"CORS_ALLOW_ORIGINS", "http://a, http://b"}})->cors_allow_origins,
        testing::ElementsAre("http://a", "http://b"));
}

TEST(Options, AnEmptyAddressIsRefused) {
    std::string program = "project-api";
    std::string host = "--host=";
    char* words[] = {program.data(), host.data()};
    EXPECT_THROW((void)parse_options(2, words), std::invalid_argument);
}

TEST(ApiSettings, NameWhatIsWrong) {
    for (const auto& [name, value] :
         std::map<std::string, std::string>{{"CELERY_TASK_READY_TIME_OUT", "soon"},
                                            {"CELERY_TASK_RESULT_TIME_OUT", "-1"},
                                            {"API_V1_PATH", "v1/"},
                                            {"CORS_ALLOW_ORIGINS", "[1]"}}) {
        const auto settings = load_api_settings({{name, value}});
        ASSERT_FALSE(settings) << name;
        EXPECT_THAT(settings.error().detail, HasSubstr(name + "=" + value));
    }
}

TEST_F(ProjectApiTest, ATaskBelongsToTheTraceOfItsRequest) {
    std::promise<lovage::TraceContext> seen;
    app_.before_task([&seen](lovage::TaskContext& context) { seen.set_value(context.trace()); });
    start_worker();
    const auto reply = client().request(
        "POST", "/v1/celery-worker/integer-multiplication/async/?integer=21",
        {.headers = {{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
                     {"tracestate", "a=b"},
                     {"TraceState", "c=d"}}});
    EXPECT_EQ(reply.status(), 200);
    EXPECT_EQ(seen.get_future().get(),
              (lovage::TraceContext{"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                                    "a=b,c=d"}));
}

}  // namespace
}  // namespace project
