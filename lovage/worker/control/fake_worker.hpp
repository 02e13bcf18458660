#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <lovage/results/state_store.hpp>
#include <lovage/worker/control/controlled_worker.hpp>

#include <tests/support/silent_client.hpp>

namespace lovage::control {

/// A pool that runs what a test says it runs.
class FakePool final : public Pool {
public:
    void start(Events /*events*/) override {}
    void submit(std::vector<std::shared_ptr<TaskRequest>> /*requests*/) override {}
    std::vector<std::shared_ptr<TaskRequest>> take_unstarted() override { return {}; }
    std::size_t stop() override { return 0; }
    std::size_t slots() const noexcept override { return 2; }
    std::size_t busy() const noexcept override { return tasks.size(); }
    std::string_view name() const noexcept override { return "prefork"; }
    std::vector<RunningTask> running() const override { return tasks; }
    std::vector<PoolProcess> processes() const override { return {{101, 3}, {102, 1}}; }

    std::vector<RunningTask> tasks;
};

/// Notes what is asked for; stores nothing.
class FakeClient : public SilentClient {
public:
    Awaitable<Result<void>> revoke(std::string id, RevokeOptions how, Deadline) override {
        if (refusal) co_return std::unexpected{*refusal};
        revoked.emplace_back(std::move(id), how);
        co_return Result<void>{};
    }

    std::optional<Error> refusal;
    std::vector<std::pair<std::string, RevokeOptions>> revoked;
};

class FakeEvents final : public EventControl {
public:
    bool enable_task_events() override { return !std::exchange(enabled, true); }
    bool disable_task_events() override { return std::exchange(enabled, false); }
    void send_heartbeat() override { ++heartbeats; }
    void acknowledge_election(std::string_view /*id*/) override { ++elections; }

    bool enabled = false;
    int heartbeats = 0;
    int elections = 0;
};

/// A worker of which a test decides everything, with the captures' name.
class FakeWorker final : public ControlledWorker {
public:
    explicit FakeWorker(std::unique_ptr<StateStore> store) : store_{std::move(store)} {}

    const std::string& node() const override { return name; }
    const Settings& settings() const override { return own_settings; }
    const TaskRegistry& tasks() const override { return registry; }
    StateStore& state() override { return *store_; }
    Client& client() override { return fake_client; }
    LamportClock& clock() override { return lamport; }
    control::MemorySamples& memory_samples() override { return samples; }
    EventControl* events() override { return dispatcher ? &*dispatcher : nullptr; }
    std::vector<RunningTask> running() const override { return fake_pool.tasks; }
    std::vector<RequestPtr> reserved() const override { return reserved_tasks; }
    std::vector<RequestPtr> scheduled() const override { return scheduled_tasks; }
    std::map<std::string, std::uint64_t> totals() const override { return {{"tasks.add", 18}}; }
    Clock::time_point started() const override { return Clock::now(); }
    const Pool& pool() const override { return fake_pool; }
    std::uint32_t prefetch() const override { return 8; }
    std::optional<AutoscaleRange> autoscale() const override { return range; }
    const std::vector<QueueSource>& sources() const override { return queue_sources; }

    Result<void> grow(std::size_t slots) override { return act("grow", slots); }
    Result<void> shrink(std::size_t slots) override { return act("shrink", slots); }
    Result<AutoscaleRange> set_autoscale(AutoscaleRange bounds) override {
        range = bounds;
        return bounds;
    }
    Result<void> restart_pool() override { return act("restart", 0); }
    void request_warm_stop() override { (void)act("stop", 0); }
    std::vector<std::string> revoke_held(const std::vector<std::string>& ids,
                                         const RevokeOptions& how) override {
        std::vector<std::string> held;
        for (const RunningTask& task : fake_pool.tasks) {
            for (const std::string& id : ids) {
                if (task.request->message.id == id) held.push_back(id);
            }
        }
        signal = how.terminate ? how.signal : 0;
        return held;
    }
    RevokedStamps::Stamps revoke_stamped(const RevokedStamps::Stamps& stamps,
                                         const RevokeOptions& how) override {
        revoked_stamps = stamps;
        signal = how.terminate ? how.signal : 0;
        return held_stamps;
    }
    TaskOptions options_of(const TaskDefinition& task) const override {
        TaskOptions options = task.options;
        if (const auto rate = rates.find(task.name); rate != rates.end()) {
            options.rate_limit = rate->second;
        }
        return options;
    }
    void limit_rate(const TaskDefinition& task, RateLimit limit) override {
        rates[task.name] = limit;
    }
    void limit_time(const TaskDefinition& task, TimeLimits limits) override {
        times[task.name] = limits;
    }
    Awaitable<Result<void>> add_queue(QueueSource source, Deadline) override {
        queue_sources.push_back(std::move(source));
        co_return Result<void>{};
    }
    Awaitable<Result<void>> cancel_queue(std::string queue, Deadline) override {
        std::erase_if(queue_sources, [&](const QueueSource& s) { return s.queue == queue; });
        co_return Result<void>{};
    }

    std::string name = "worker@capture";
    Settings own_settings;
    TaskRegistry registry;
    FakePool fake_pool;
    FakeClient fake_client;
    LamportClock lamport;
    control::MemorySamples samples;
    std::optional<FakeEvents> dispatcher;
    std::vector<RequestPtr> reserved_tasks;
    std::vector<RequestPtr> scheduled_tasks;
    std::optional<AutoscaleRange> range;
    std::vector<QueueSource> queue_sources{{.queue = "celery"}};
    std::vector<std::string> acts;
    std::optional<Error> refusal;
    std::map<std::string, RateLimit> rates;
    std::map<std::string, TimeLimits> times;
    RevokedStamps::Stamps revoked_stamps;
    RevokedStamps::Stamps held_stamps;
    int signal = 0;

private:
    Result<void> act(const std::string& what, std::size_t number) {
        if (refusal) return std::unexpected{*refusal};
        acts.push_back(what + " " + std::to_string(number));
        return {};
    }

    std::unique_ptr<StateStore> store_;
};

}  // namespace lovage::control
