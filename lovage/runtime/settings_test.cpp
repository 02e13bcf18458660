#include <lovage/runtime/settings.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>

namespace lovage {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

SettingsSources from_file(std::string text) {
    SettingsSources sources;
    sources.file = SettingsFile{"lovage.toml", std::move(text)};
    return sources;
}

SettingsSources from_environment(std::map<std::string, std::string> environment) {
    SettingsSources sources;
    sources.environment = std::move(environment);
    return sources;
}

Settings settings_of(const SettingsSources& sources) {
    auto loaded = resolve_settings(sources);
    EXPECT_TRUE(loaded) << loaded.error().message();
    return loaded ? loaded->settings : Settings{};
}

std::string problem_of(const SettingsSources& sources) {
    const auto loaded = resolve_settings(sources);
    EXPECT_FALSE(loaded);
    return loaded ? "" : loaded.error().detail;
}

std::string origin_of(const Settings& settings, std::string_view name) {
    const auto lines = describe(settings);
    const auto line = std::ranges::find(lines, name, &SettingLine::name);
    return line == lines.end() ? "no such setting" : line->origin;
}

std::string shown(const Settings& settings, std::string_view name) {
    const auto lines = describe(settings);
    const auto line = std::ranges::find(lines, name, &SettingLine::name);
    return line == lines.end() ? "no such setting" : line->value;
}

TEST(Settings, DefaultsNeedNothing) {
    const Settings settings = settings_of({});
    EXPECT_EQ(settings.broker_url, "sqlite:///.lovage");
    EXPECT_EQ(settings.task_default_queue, "celery");
    EXPECT_EQ(settings.task_default_priority, std::nullopt);
    EXPECT_EQ(settings.task_publish_timeout, 10s);
    EXPECT_EQ(settings.result_expires, 24h);
    EXPECT_EQ(settings.worker_shutdown_timeout, 25s);
    EXPECT_GE(settings.worker_concurrency, 1U);
    EXPECT_EQ(origin_of(settings, "broker_url"), "default");
}

TEST(Settings, FlagsBeatEnvironmentBeatsFileBeatsDefaults) {
    SettingsSources sources = from_file(R"(
broker_url = "memory://file"
result_backend = "memory://file"
task_default_queue = "file"
)");
    sources.environment = {{"LOVAGE_BROKER_URL", "memory://environment"},
                           {"CELERY_RESULT_BACKEND", "memory://environment"}};
    sources.flags = {{"broker_url", "memory://flag", "--broker"}};
    const Settings settings = settings_of(sources);

    EXPECT_EQ(settings.broker_url, "memory://flag");
    EXPECT_EQ(settings.result_backend, "memory://environment");
    EXPECT_EQ(settings.task_default_queue, "file");
    EXPECT_EQ(origin_of(settings, "broker_url"), "--broker");
    EXPECT_EQ(origin_of(settings, "result_backend"), "CELERY_RESULT_BACKEND");
    EXPECT_EQ(origin_of(settings, "task_default_queue"), "lovage.toml:4");
}

TEST(Settings, WhatTheProgramSetIsOnlyStrongerThanTheDefaults) {
    SettingsSources sources = from_file("task_default_queue = 'file'");
    sources.base.task_default_queue = "program";
    sources.base.task_ignore_result = true;
    const Settings settings = settings_of(sources);
    EXPECT_EQ(settings.task_default_queue, "file");
    EXPECT_TRUE(settings.task_ignore_result);
    EXPECT_EQ(origin_of(settings, "task_ignore_result"), "program");
}

TEST(Settings, AScheduleIsReadFromTheEnvironmentAsJson) {
    SettingsSources sources;
    sources.environment = {{"CELERY_BEAT_SCHEDULE", R"({"a": {"task": "t", "schedule": 30.0}})"}};
    EXPECT_EQ(to_json_text(settings_of(sources).beat_schedule),
              R"({"a": {"task": "t", "schedule": 30.0}})");
    sources.environment = {{"CELERY_BEAT_SCHEDULE", "[]"}};
    EXPECT_FALSE(resolve_settings(sources));
}

TEST(Settings, ResultOptionsAreAPrefixAndNothingElse) {
    Settings settings =
        settings_of(from_file("result_backend_transport_options = {global_keyprefix = 'shop'}"));
    EXPECT_EQ(settings.result_backend_transport_options.global_keyprefix, "shop");
    EXPECT_EQ(shown(settings, "result_backend_transport_options"),
              R"({"global_keyprefix": "shop"})");
    settings = settings_of(from_environment(
        {{"CELERY_RESULT_BACKEND_TRANSPORT_OPTIONS", R"({"global_keyprefix": "shop:"})"}}));
    EXPECT_EQ(settings.result_backend_transport_options.global_keyprefix, "shop:");
    for (const char* bad :
         {"{retry_policy = {}}", "{global_keyprefix = 1}", "5", "{global_keyprefix = \"a\\nb\"}"}) {
        EXPECT_THAT(problem_of(from_file(std::string{"result_backend_transport_options = "} + bad)),
                    HasSubstr("a map with nothing but a global_keyprefix"))
            << bad;
    }
}

TEST(Settings, EverySettingIsReadFromTheFile) {
    const Settings settings = settings_of(from_file(R"(
broker_url = "amqp://u:secret@one//;amqp://two//"
result_backend = "memory://"
result_backend_transport_options = {global_keyprefix = "p"}
task_default_queue = "q"
task_default_priority = 3
task_queue_max_priority = 10
task_default_queue_type = "quorum"
task_create_missing_queue_type = "classic"
delivery = "quorum"
task_acks_late = true
task_acks_on_failure_or_timeout = false
task_reject_on_worker_lost = false
task_publish_mandatory = false
task_time_limit = 300
task_soft_time_limit = 2.5
task_default_rate_limit = "30/m"
task_ignore_result = true
task_store_errors_even_if_ignored = true
task_track_started = true
task_track_sent = true
task_publish_timeout = 2.5
result_expires = 0
result_extended = true
worker_concurrency = 7
worker_autoscale = "10,3"
worker_autoscale_keepalive = 2.5
worker_inflight_folder = "/srv/inflight"
worker_pool = "threads"
worker_max_tasks_per_child = 100
worker_max_memory_per_child = 262144
worker_disable_rate_limits = true
worker_eta_task_limit = 500
worker_eta_horizon = 12.5
worker_lease = 20
worker_enable_remote_control = false
control_exchange = "staging"
control_queue_ttl = 60
control_queue_expires = 20
control_queue_exclusive = true
control_queue_durable = true
worker_shutdown_timeout = 60
worker_soft_shutdown_timeout = 5
worker_progress_timeout = 120
worker_chord_sweep_interval = 5
worker_deduplicate_successful_tasks = true
worker_send_task_events = true
task_send_sent_event = true
event_exchange = "ev"
event_queue_prefix = "monitor"
event_queue_expires = 90
event_queue_ttl = 2.5
log_level = "DEBUG"
log_format = "json"
timezone = "Europe/Berlin"
beat_max_loop_interval = 30
beat_cron_starting_deadline = 90
[task_routes]
"*" = "rest"
[beat_schedule.nightly]
task = "report"
schedule = "0 4 * * *"
)"));
    EXPECT_EQ(settings.timezone, "Europe/Berlin");
    EXPECT_EQ(settings.beat_max_loop_interval, 30s);
    EXPECT_EQ(settings.beat_cron_starting_deadline, 90s);
    EXPECT_EQ(to_json_text(settings.beat_schedule),
              R"({"nightly": {"task": "report", "schedule": "0 4 * * *"}})");
    EXPECT_EQ(settings.task_default_priority, 3);
    EXPECT_EQ(settings.task_queue_max_priority, 10);
    EXPECT_EQ(settings.task_default_queue_type, "quorum");
    EXPECT_EQ(settings.task_create_missing_queue_type, "classic");
    EXPECT_EQ(shown(settings, "broker_url"), "amqp://u:********@one//;amqp://two//");
    EXPECT_EQ(settings.delivery, DeliveryProfile::quorum);
    EXPECT_EQ(settings.task_acks_late, true);
    EXPECT_EQ(settings.task_acks_on_failure_or_timeout, false);
    EXPECT_EQ(settings.task_reject_on_worker_lost, false);
    EXPECT_EQ(settings.task_publish_mandatory, false);
    EXPECT_EQ(settings.task_time_limit, 300s);
    EXPECT_EQ(settings.task_soft_time_limit, 2500ms);
    EXPECT_TRUE(settings.task_ignore_result);
    EXPECT_TRUE(settings.task_store_errors_even_if_ignored);
    EXPECT_TRUE(settings.task_track_started);
    EXPECT_TRUE(settings.task_track_sent);
    EXPECT_EQ(settings.task_publish_timeout, 2500ms);
    EXPECT_EQ(settings.result_expires, std::nullopt);
    EXPECT_TRUE(settings.result_extended);
    EXPECT_EQ(settings.worker_concurrency, 7U);
    EXPECT_EQ(settings.worker_autoscale, (AutoscaleRange{.max = 10, .min = 3}));
    EXPECT_EQ(settings.worker_autoscale_keepalive, 2500ms);
    EXPECT_EQ(settings.worker_inflight_folder, "/srv/inflight");
    EXPECT_EQ(settings.worker_pool, "threads");
    EXPECT_EQ(settings.worker_max_tasks_per_child, 100U);
    EXPECT_EQ(settings.worker_max_memory_per_child, 262144U);
    EXPECT_TRUE(settings.worker_disable_rate_limits);
    EXPECT_EQ(settings.task_default_rate_limit, RateLimit{0.5});
    EXPECT_EQ(settings.worker_eta_task_limit, 500U);
    EXPECT_EQ(settings.worker_eta_horizon, 12500ms);
    EXPECT_EQ(settings.worker_lease, 20s);
    EXPECT_EQ(settings.worker_shutdown_timeout, 60s);
    EXPECT_EQ(settings.worker_soft_shutdown_timeout, 5s);
    EXPECT_EQ(settings.worker_progress_timeout, 120s);
    EXPECT_EQ(settings.worker_chord_sweep_interval, 5s);
    EXPECT_TRUE(settings.worker_deduplicate_successful_tasks);
    EXPECT_TRUE(settings.worker_send_task_events);
    EXPECT_TRUE(settings.task_send_sent_event);
    EXPECT_EQ(settings.event_exchange, "ev");
    EXPECT_EQ(settings.event_queue_prefix, "monitor");
    EXPECT_EQ(settings.event_queue_expires, 90s);
    EXPECT_EQ(settings.event_queue_ttl, 2500ms);
    EXPECT_EQ(settings.log_level, log::Level::debug);
    EXPECT_EQ(settings.log_format, log::Format::json);
    for (const SettingLine& line : describe(settings)) {
        EXPECT_NE(line.origin, "default") << line.name << " is missing in this test's file";
    }
}

TEST(Settings, EnvironmentTakesTextForms) {
    const Settings settings = settings_of(from_environment({{"LOVAGE_TASK_IGNORE_RESULT", "Yes"},
                                                            {"CELERY_TASK_TRACK_STARTED", "0"},
                                                            {"LOVAGE_TASK_PUBLISH_TIMEOUT", "0.25"},
                                                            {"CELERY_RESULT_EXPIRES", "60"},
                                                            {"CELERY_WORKER_CONCURRENCY", "3"},
                                                            {"LOVAGE_LOG_LEVEL", "Warn"}}));
    EXPECT_TRUE(settings.task_ignore_result);
    EXPECT_FALSE(settings.task_track_started);
    EXPECT_EQ(settings.task_publish_timeout, 250ms);
    EXPECT_EQ(settings.result_expires, 60s);
    EXPECT_EQ(settings.worker_concurrency, 3U);
    EXPECT_EQ(settings.log_level, log::Level::warning);
}

TEST(Settings, RoutesKeepTheOrderTheyAreWrittenIn) {
    const Settings settings = settings_of(from_file(R"(
[task_routes]
"mail.*" = "mail"
"*.slow" = { queue = "slow", priority = 2 }
add = { priority = 9 }
)"));
    ASSERT_EQ(settings.task_routes.size(), 3U);
    EXPECT_EQ(settings.task_routes[0].first, "mail.*");
    EXPECT_EQ(settings.task_routes[0].second.queue, "mail");
    EXPECT_EQ(settings.task_routes[1].first, "*.slow");
    EXPECT_EQ(settings.task_routes[1].second.priority, 2);
    EXPECT_EQ(settings.task_routes[2].second.queue, "");
    EXPECT_EQ(shown(settings, "task_routes"),
              R"({"mail.*": {"queue": "mail"}, "*.slow": {"queue": "slow", "priority": 2}, )"
              R"("add": {"priority": 9}})");
}

TEST(Settings, RoutesInTheEnvironmentAreJson) {
    const Settings settings = settings_of(
        from_environment({{"LOVAGE_TASK_ROUTES", R"({"a": "q", "b": {"queue": "r"}})"}}));
    ASSERT_EQ(settings.task_routes.size(), 2U);
    EXPECT_EQ(settings.task_routes[1].second.queue, "r");
    EXPECT_THAT(problem_of(from_environment({{"LOVAGE_TASK_ROUTES", "a=q"}})),
                HasSubstr("LOVAGE_TASK_ROUTES: task_routes = 'a=q' does not work"));
    EXPECT_THAT(problem_of(from_file("task_routes = { a = { queues = 'q' } }")),
                HasSubstr("{queue, priority}"));
}

TEST(Settings, UnknownKeysOfTheFileStopTheStart) {
    EXPECT_EQ(problem_of(from_file("# comment\nbroker_ulr = 'memory://'\n")),
              "lovage.toml:2: unknown setting 'broker_ulr'; did you mean 'broker_url'?");
    EXPECT_THAT(problem_of(from_file("CELERY_BROKER_URL = 'memory://'")),
                HasSubstr("did you mean 'broker_url'?"));
    EXPECT_EQ(problem_of(from_file("[celery]\nbroker_url = 'memory://'")),
              "lovage.toml:1: unknown setting 'celery'; names are flat, without tables: write "
              "broker_url = … at the top of the file");
    EXPECT_THAT(problem_of(from_file("[worker]\nconcurrency = 2")),
                HasSubstr("write worker_concurrency = … at the top"));
}

TEST(Settings, BrokenTomlNamesItsLine) {
    EXPECT_THAT(problem_of(from_file("task_default_queue = \"q\"\nworker_concurrency =\n")),
                AllOf(HasSubstr("lovage.toml:2: ")));
    EXPECT_THAT(problem_of(from_file("log_level = 1979-05-27")),
                HasSubstr("lovage.toml:1: no setting takes a date"));
}

TEST(Settings, BadValuesNameSettingSourceAndForm) {
    EXPECT_EQ(
        problem_of(from_file("\nworker_concurrency = \"many\"")),
        "lovage.toml:2: worker_concurrency = 'many' does not work; the accepted form is a whole "
        "number from 1 to 10000");
    EXPECT_EQ(
        problem_of(from_environment({{"CELERY_TASK_IGNORE_RESULT", "maybe"}})),
        "CELERY_TASK_IGNORE_RESULT: task_ignore_result = 'maybe' does not work; the accepted form "
        "is true or false");
    SettingsSources flags;
    flags.flags = {{"worker_concurrency", "0", "-c/--concurrency"}};
    EXPECT_THAT(problem_of(flags), HasSubstr("-c/--concurrency: worker_concurrency = '0'"));
}

TEST(Settings, EachFormHasItsLimits) {
    for (const char* bad : {"worker_concurrency = 0",
                            "worker_concurrency = 10001",
                            "worker_concurrency = 2.5",
                            "worker_concurrency = true",
                            "task_default_priority = 256",
                            "task_default_priority = -1",
                            "task_queue_max_priority = 0",
                            "task_publish_timeout = -1",
                            "task_publish_timeout = nan",
                            "task_publish_timeout = inf",
                            "task_publish_timeout = '10s'",
                            "result_expires = 1e300",
                            "task_default_queue = ''",
                            "task_default_queue = 5",
                            "task_default_queue = \"a\\nb\"",
                            "broker_url = 'localhost'",
                            "broker_url = ['memory://']",
                            "log_level = 'loud'",
                            "log_format = 'xml'",
                            "task_ignore_result = 1",
                            "task_routes = 'q'",
                            "task_routes = { '' = 'q' }",
                            "task_routes = { a = { priority = 300 } }"}) {
        EXPECT_FALSE(resolve_settings(from_file(bad))) << bad;
    }
    EXPECT_EQ(settings_of(from_file("result_expires = 0.2")).result_expires, 1s);
}

TEST(Settings, SecretsAreInNoMessage) {
    const auto bad = from_environment({{"CELERY_BROKER_URL", "amqp://guest:s3cret/x@host"}});
    EXPECT_THAT(problem_of(bad),
                AllOf(HasSubstr("amqp://guest:********@host"), Not(HasSubstr("s3cret"))));

    SettingsSources good;
    good.flags = {{"broker_url", "amqp://guest:s3cret@host", "--broker"}};
    EXPECT_EQ(shown(settings_of(good), "broker_url"), "amqp://guest:********@host");
}

TEST(Settings, VariablesThatDisagreeStopTheStart) {
    EXPECT_EQ(
        problem_of(from_environment(
            {{"LOVAGE_BROKER_URL", "memory://a"}, {"CELERY_BROKER_URL", "memory://b"}})),
        "environment variables LOVAGE_BROKER_URL and CELERY_BROKER_URL set broker_url to different "
        "values; remove one of them");
    EXPECT_THAT(
        problem_of(from_environment({{"CELERY_RESULT_BACKEND", "memory://a"},
                                     {"CELERY_RESULT_BACKEND_URL", "memory://b"}})),
        AllOf(HasSubstr("CELERY_RESULT_BACKEND "), HasSubstr("CELERY_RESULT_BACKEND_URL ")));
}

TEST(Settings, VariablesThatAgreeAreFineAndEmptyOnesCountAsUnset) {
    const Settings settings = settings_of(from_environment({{"LOVAGE_BROKER_URL", "memory://"},
                                                            {"CELERY_BROKER_URL", "memory://"},
                                                            {"CELERY_RESULT_BACKEND", ""}}));
    EXPECT_EQ(settings.broker_url, "memory://");
    EXPECT_EQ(settings.result_backend, Settings{}.result_backend);
}

TEST(Settings, UnknownLovageVariablesAreWarnings) {
    const auto loaded = resolve_settings(from_environment({{"LOVAGE_BROKER", "x"},
                                                           {"LOVAGE_ZZZ", "x"},
                                                           {"LOVAGE_CONFIG", "x"},
                                                           {"LOVAGE_DEV_STARTED", "1"},
                                                           {"LOVAGE_JOBS", "2"},
                                                           {"CELERY_MAX_RETRIES", "5"},
                                                           {"PATH", "/bin"}}));
    ASSERT_TRUE(loaded);
    EXPECT_THAT(
        loaded->warnings,
        ElementsAre("environment variable LOVAGE_BROKER is no setting and is ignored; did you "
                    "mean 'LOVAGE_BROKER_URL'?",
                    "environment variable LOVAGE_ZZZ is no setting and is ignored"));
    EXPECT_THAT(resolve_settings({})->warnings, IsEmpty());
}

TEST(Settings, OwnSettingsHaveNoCeleryVariable) {
    EXPECT_EQ(settings_of(from_environment({{"CELERY_LOG_LEVEL", "20"}})).log_level,
              log::Level::info);
}

TEST(Settings, AFileThatWasAskedForMustExist) {
    const auto file = read_settings_file("/nonexistent/lovage.toml", {});
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().code, Errc::not_found);
    EXPECT_EQ(file.error().detail,
              "the settings file /nonexistent/lovage.toml (--config) cannot be read: No such file "
              "or directory");
    const auto named = read_settings_file(std::nullopt, {{"LOVAGE_CONFIG", "/"}});
    ASSERT_FALSE(named);
    EXPECT_EQ(named.error().detail,
              "the settings file / (LOVAGE_CONFIG) cannot be read: Is a directory");
}

TEST(ExportSettings, AreReadBackAsTheyWere) {
    SettingsSources sources;
    sources.environment = {{"LOVAGE_BROKER_URL", "amqp://user:s3cret@host//"},
                           {"LOVAGE_RESULT_EXPIRES", "0"},
                           {"LOVAGE_TASK_DEFAULT_PRIORITY", "7"},
                           {"LOVAGE_TASK_PUBLISH_TIMEOUT", "2.5"},
                           {"LOVAGE_TASK_TRACK_STARTED", "true"},
                           {"LOVAGE_LOG_LEVEL", "error"},
                           {"LOVAGE_TASK_ROUTES", R"({"mail.*": {"queue": "m", "priority": 3}})"}};
    const Settings settings = settings_of(sources);

    SettingsSources exported;
    for (const auto& [name, value] : export_settings(settings)) {
        exported.flags.push_back({name, value, "test"});
    }
    EXPECT_EQ(exported.flags.size(), 7U) << "only what is not at its default is told";
    const Settings again = settings_of(exported);
    EXPECT_EQ(export_settings(again), export_settings(settings));
    EXPECT_EQ(again.broker_url, settings.broker_url);
    EXPECT_EQ(again.result_expires, std::nullopt);
}

TEST(Settings, AreJsonForWhoeverAsksAWorker) {
    Settings settings;
    settings.broker_url = "amqp://user:secret@host:5672/vhost";
    settings.task_time_limit = 2500ms;
    settings.task_track_started = true;
    settings.worker_concurrency = 3;
    settings.task_routes = {{"mail.*", {.queue = "mail"}}};
    const Json changed = settings_as_json(settings, false);
    EXPECT_EQ(*changed.find("broker_url"), Json{"amqp://user:********@host:5672/vhost"});
    EXPECT_EQ(*changed.find("task_time_limit"), Json{2.5});
    EXPECT_EQ(*changed.find("task_track_started"), Json{true});
    EXPECT_EQ(*changed.find("worker_concurrency"), Json{3});
    EXPECT_EQ(*changed.find("task_routes"),
              Json::object({{"mail.*", Json::object({{"queue", "mail"}})}}));
    EXPECT_EQ(changed.find("control_exchange"), nullptr);

    const Json all = settings_as_json(settings, true);
    EXPECT_EQ(*all.find("control_exchange"), Json{"celery"});
    EXPECT_EQ(*all.find("control_queue_ttl"), Json{300});
    EXPECT_EQ(*all.find("task_acks_late"), Json{});
    EXPECT_EQ(*all.find("task_soft_time_limit"), Json{});
    EXPECT_EQ(all.as_object().size(), describe(settings).size());
}

TEST(Settings, ShowNoSecretsOfScheduledTasks) {
    Settings settings;
    settings.beat_schedule = parse_json(R"({"sync": {"task": "sync", "schedule": 60, "kwargs":
        {"user": "ann", "Password": "p1", "db_token": "p2", "url": "redis://:p3@host/1",
         "more": [{"api_key": {"deep": "p4"}}], "secrets_of": "life"}}})")
                                 .value();
    const Json shown = settings_as_json(settings, false);
    EXPECT_EQ(to_json_text(*shown.find("beat_schedule")->find("sync")->find("kwargs")),
              R"({"user": "ann", "Password": "********", "db_token": "********", )"
              R"("url": "redis://:********@host/1", "more": [{"api_key": "********"}], )"
              R"("secrets_of": "life"})");
    for (const SettingLine& line : describe(settings)) {
        EXPECT_THAT(line.value, Not(HasSubstr("p1"))) << line.name;
    }
    EXPECT_THAT(export_settings(settings).at("beat_schedule"), HasSubstr("p4"));
}

TEST(Settings, RefuseQueuesOfRemoteControlThatLastNoTime) {
    for (const char* name : {"CELERY_CONTROL_QUEUE_TTL", "CELERY_CONTROL_QUEUE_EXPIRES"}) {
        EXPECT_THAT(problem_of(from_environment({{name, "0"}})), HasSubstr("greater than 0"));
    }
}

TEST(Settings, TakeAnotherNameForRemoteControl) {
    EXPECT_EQ(
        settings_of(from_environment({{"CELERY_CONTROL_EXCHANGE", "staging"}})).control_exchange,
        "staging");
    EXPECT_THAT(problem_of(from_environment({{"CELERY_CONTROL_EXCHANGE", std::string(201, 'x')}})),
                HasSubstr("1 to 200 bytes"));
}

}  // namespace
}  // namespace lovage
