#include <lovage/results/redis/redis_results.hpp>
#include <lovage/results/redis/redis_state_store.hpp>

#include <lovage/clients/redis/client.hpp>
#include <lovage/clients/redis/test_server.hpp>
#include <lovage/results/conformance.hpp>
#include <tests/support/services.hpp>
#include <tests/support/soon.hpp>

#include <gmock/gmock.h>

#include <cstdio>
#include <fstream>

#include <unistd.h>

namespace lovage::conformance {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

redis::Options test_server() {
    static const std::string url = testing_support::service_url("LOVAGE_TEST_REDIS_URL");
    return value_or_throw(redis::options_from_url(value_or_throw(parse_url(url))));
}

/// Some keys of the tests' Redis, which nobody else uses, and a clock for them: Redis has its own,
/// so time that is said to have passed is taken off the keys' times to live.
class Keys {
public:
    Keys() : client_{loop_.executor(), test_server()} {
        loop_.start();
        loop_.run_blocking(start(&client_));
    }
    ~Keys() {
        const redis::Script remove{
            "for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do redis.call('DEL', key) "
            "end"};
        (void)run(remove, {prefix_});
        loop_.run_blocking(client_.close(soon()));
    }
    Keys(const Keys&) = delete;
    Keys& operator=(const Keys&) = delete;

    [[nodiscard]] const std::string& prefix() const noexcept { return prefix_; }

    /// Brings the keys up to `now`; blocks.
    void age(std::chrono::milliseconds now) {
        const auto by = now - now_.exchange(now);
        if (by <= 0ms) return;
        const redis::Script age{R"lua(
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local left = redis.call('PTTL', key) - ARGV[2]
  if left + ARGV[2] >= 0 then
    if left > 0 then redis.call('PEXPIRE', key, left) else redis.call('DEL', key) end
  end
  local kind = redis.call('TYPE', key)['ok']
  if kind == 'zset' and string.find(key, 'lovage-chords', 1, true) then
    for _, id in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      redis.call('ZINCRBY', key, -ARGV[2], id)
    end
  elseif kind == 'hash' then
    for _, field in ipairs({'since', 'kept'}) do
      if redis.call('HEXISTS', key, field) == 1 then
        redis.call('HINCRBYFLOAT', key, field, -ARGV[2])
      end
    end
  end
end)lua"};
        const auto done = run(age, {prefix_, redis::Number{by.count()}});
        ASSERT_FALSE(done.is_error()) << done.text;
    }
    void start_clock(std::chrono::milliseconds now) { now_ = now; }

private:
    static Awaitable<void> start(redis::Client* client) {
        client->start();
        value_or_throw(co_await client->connected(soon()));
    }
    redis::Reply run(const redis::Script& script,
                     std::initializer_list<std::string_view> arguments) {
        redis::Commands commands;
        commands.add_script(script, {}, arguments);
        return value_or_throw(loop_.run_blocking(client_.run_one(std::move(commands), {}, soon())));
    }
    static std::string new_prefix() {
        static std::atomic<int> count{0};
        return "test-" + std::to_string(::getpid()) + "-" + std::to_string(++count) + ":";
    }

    std::string prefix_ = new_prefix();
    std::atomic<std::chrono::milliseconds> now_{};
    Loop loop_{"redis-keys"};
    redis::Client client_;
};

/// A backend before whose every call the keys get as old as the clock says.
class AgingResults final : public ResultBackend {
public:
    AgingResults(std::unique_ptr<ResultBackend> inner, Keys& keys, std::function<TimePoint()> now)
        : inner_{std::move(inner)}, keys_{keys}, now_{std::move(now)} {
        keys_.start_clock(now_ms());
    }
    Awaitable<Result<void>> connect(Deadline deadline) override {
        return inner_->connect(deadline);
    }
    Awaitable<void> close(Deadline deadline) override { return inner_->close(deadline); }
    Awaitable<Result<StoreOutcome>> store(TaskMeta meta, Deadline deadline) override {
        return aged().store(std::move(meta), deadline);
    }
    Awaitable<Result<std::optional<TaskMeta>>> get(std::string task_id,
                                                   Deadline deadline) override {
        return aged().get(std::move(task_id), deadline);
    }
    Awaitable<Result<TaskMeta>> wait(std::string task_id, Deadline deadline) override {
        return aged().wait(std::move(task_id), deadline);
    }
    Awaitable<Result<void>> forget(std::string task_id, Deadline deadline) override {
        return aged().forget(std::move(task_id), deadline);
    }
    Awaitable<Result<void>> mark_sent(std::string task_id, Deadline deadline) override {
        return aged().mark_sent(std::move(task_id), deadline);
    }
    Awaitable<Result<bool>> is_known(std::string task_id, Deadline deadline) override {
        return aged().is_known(std::move(task_id), deadline);
    }
    Awaitable<Result<void>> start_chord(ChordStart chord, Deadline deadline) override {
        return aged().start_chord(std::move(chord), deadline);
    }
    Awaitable<Result<void>> grow_chord(std::string group_id, std::string part_id,
                                       Deadline deadline) override {
        return aged().grow_chord(std::move(group_id), std::move(part_id), deadline);
    }
    Awaitable<Result<ChordReturns>> add_chord_part(ChordPart part, Deadline deadline) override {
        return aged().add_chord_part(std::move(part), deadline);
    }
    Awaitable<Result<void>> end_chord(std::string group_id, Deadline deadline) override {
        return aged().end_chord(std::move(group_id), deadline);
    }
    Awaitable<Result<std::optional<Json>>> chord_watch(std::string group_id,
                                                       Deadline deadline) override {
        return aged().chord_watch(std::move(group_id), deadline);
    }
    Awaitable<Result<std::vector<UnfinishedChord>>> look_at_chords(ChordLook look,
                                                                   Deadline deadline) override {
        return aged().look_at_chords(look, deadline);
    }
    Awaitable<Result<ChordReturns>> take_chord(std::string group_id, std::string taker,
                                               std::optional<std::int64_t> returned,
                                               Deadline deadline) override {
        return aged().take_chord(std::move(group_id), std::move(taker), returned, deadline);
    }
    Awaitable<Result<void>> keep(std::vector<std::string> task_ids, Deadline deadline) override {
        return aged().keep(std::move(task_ids), deadline);
    }
    Awaitable<Result<std::vector<std::optional<TaskMeta>>>> get_many(
        std::vector<std::string> task_ids, Deadline deadline) override {
        return aged().get_many(std::move(task_ids), deadline);
    }
    Awaitable<Result<void>> save_group(std::string group_id, Json result,
                                       Deadline deadline) override {
        return aged().save_group(std::move(group_id), std::move(result), deadline);
    }
    Awaitable<Result<std::optional<Json>>> saved_group(std::string group_id,
                                                       Deadline deadline) override {
        return aged().saved_group(std::move(group_id), deadline);
    }
    Awaitable<Result<void>> forget_group(std::string group_id, Deadline deadline) override {
        return aged().forget_group(std::move(group_id), deadline);
    }
    Awaitable<Result<void>> ping(Deadline deadline) override { return inner_->ping(deadline); }
    [[nodiscard]] std::string display_url() const override { return inner_->display_url(); }

private:
    [[nodiscard]] std::chrono::milliseconds now_ms() const {
        return std::chrono::duration_cast<std::chrono::milliseconds>(now_().time_since_epoch());
    }
    ResultBackend& aged() {
        keys_.age(now_ms());
        return *inner_;
    }
    std::unique_ptr<ResultBackend> inner_;
    Keys& keys_;
    std::function<TimePoint()> now_;
};

class RedisResultStore final : public ResultStoreUnderTest {
public:
    std::unique_ptr<ResultBackend> open(Executor executor, ResultSettings settings) override {
        auto backend = make_redis_results(std::move(executor),
                                          {.server = test_server(),
                                           .key_prefix = keys_.prefix(),
                                           .result_expires = settings.result_expires,
                                           .result_bytes_max = settings.result_bytes_max});
        return std::make_unique<AgingResults>(std::move(backend), keys_, std::move(settings.now));
    }
    /// As Python's Celery does it, through redis-cli.
    bool store_from_another_process(const std::string& task_id,
                                    const std::string& result_json) override {
        const auto server = test_server();
        const std::string key = keys_.prefix() + "celery-task-meta-" + task_id;
        const std::string file = testing::TempDir() + "lovage_record_" + std::to_string(::getpid());
        std::ofstream{file} << R"({"status": "SUCCESS", "result": )" << result_json
                            << R"(, "traceback": null, "children": [], "date_done": null, )"
                            << R"("task_id": ")" << task_id << R"("})";
        const std::string cli =
            "redis-cli -h " + server.host + " -p " + std::to_string(server.port) + " -x ";
        for (const std::string& command : {"SETEX " + key + " 3600", "PUBLISH " + key}) {
            const std::string line = cli + command + " < " + file + " > /dev/null";
            EXPECT_EQ(std::system(line.c_str()), 0) << line;
        }
        std::remove(file.c_str());
        return true;
    }

private:
    Keys keys_;
};

class AgingStates final : public StateStore {
public:
    AgingStates(std::unique_ptr<StateStore> inner, Keys& keys, const ManualClock& clock)
        : inner_{std::move(inner)}, keys_{keys}, clock_{clock} {
        keys_.start_clock(clock_.since_boot());
    }
    Awaitable<Result<std::optional<StateEntry>>> get(std::string key, Deadline deadline) override {
        return aged().get(std::move(key), deadline);
    }
    Awaitable<Result<std::uint64_t>> compare_and_set(std::string key, std::uint64_t expected,
                                                     std::string value,
                                                     std::optional<std::chrono::milliseconds> ttl,
                                                     Deadline deadline) override {
        return aged().compare_and_set(std::move(key), expected, std::move(value), ttl, deadline);
    }
    Awaitable<Result<void>> compare_and_erase(std::string key, std::uint64_t expected,
                                              Deadline deadline) override {
        return aged().compare_and_erase(std::move(key), expected, deadline);
    }
    Awaitable<Result<std::vector<std::pair<std::string, StateEntry>>>> list(
        std::string prefix, std::size_t limit, Deadline deadline) override {
        return aged().list(std::move(prefix), limit, deadline);
    }
    Awaitable<void> close(Deadline deadline) override { return inner_->close(deadline); }

private:
    StateStore& aged() {
        keys_.age(clock_.since_boot());
        return *inner_;
    }
    std::unique_ptr<StateStore> inner_;
    Keys& keys_;
    const ManualClock& clock_;
};

class RedisStates final : public StateStoreUnderTest {
public:
    std::unique_ptr<StateStore> open(Executor executor, const ManualClock& clock) override {
        auto store =
            make_redis_state_store(std::move(executor), {.server = test_server(),
                                                         .key_prefix = keys_.prefix(),
                                                         .value_bytes_max = kValueBytesMax});
        return std::make_unique<AgingStates>(std::move(store), keys_, clock);
    }

private:
    Keys keys_;
};

INSTANTIATE_TEST_SUITE_P(Redis, ResultConformance,
                         testing::Values(ResultDriver{
                             "redis", [] { return std::make_unique<RedisResultStore>(); }}),
                         [](const auto& driver) { return driver.param.name; });

INSTANTIATE_TEST_SUITE_P(Redis, StateConformance,
                         testing::Values(StateDriver{
                             "redis", [] { return std::make_unique<RedisStates>(); }}),
                         [](const auto& driver) { return driver.param.name; });

}  // namespace
}  // namespace lovage::conformance
