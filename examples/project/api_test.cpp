// The API with a real worker beside it, over the memory drivers; no socket is involved.
#include "api.hpp"
#include "options.hpp"
#include "tasks.hpp"

#include <lovage/app/app_core.hpp>
#include <lovage/http/test_client.hpp>
#include <lovage/worker/worker.hpp>

#include <future>
#include <map>
#include <memory>
#include <semaphore>
#include <stdexcept>
#include <string>

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
