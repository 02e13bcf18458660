#include <lovage/beat/beat.hpp>

#include <lovage/app/app_core.hpp>
#include <lovage/beat/scheduler.hpp>
#include <lovage/core/task_message.hpp>
#include <lovage/core/uuid.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/notifier.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

namespace lovage {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kConnectPatience{10};
constexpr seconds kAnswerPatience{5};
constexpr seconds kPauseAfterFailure{2};
constexpr milliseconds kShortestPause{1};

/// Wire: Celery's beat hands its arguments over as a list, which `argsrepr` shows.
detail::Call call_of(const ScheduleEntry& entry) {
    return {.task = entry.task,
            .args = entry.args,
            .kwargs = entry.kwargs,
            .options = entry.options,
            .argsrepr = celery_repr(entry.args, false)};
}

/// Whether the task of a firing has left a record: then it was sent.
Awaitable<bool> is_known(std::shared_ptr<AppCore> core, std::string task_id) {
    const auto meta =
        co_await core->client().result(std::move(task_id), Deadline::in(kAnswerPatience));
    co_return meta && meta->has_value() && (*meta)->status != states::kPending;
}

Awaitable<Result<void>> send_firing(std::shared_ptr<AppCore> core, Firing firing) {
    if (firing.again && co_await is_known(core, firing.task_id)) co_return Result<void>{};
    detail::Call call = call_of(firing.entry);
    call.options.task_id = firing.task_id;
    const Sent<Json> sent = co_await detail::send_call(core, std::move(call));
    if (sent.accepted()) co_return Result<void>{};
    co_return std::unexpected{*sent.error};
}

}  // namespace

class Beat::Impl : public std::enable_shared_from_this<Beat::Impl> {
public:
    Impl(App& app, BeatOptions options)
        : app_{app},
          core_{app.core()},
          options_{std::move(options)},
          wake_{core_->loop().executor()} {
        if (options_.schedule.empty()) options_.schedule = app.name();
    }

    Awaitable<Result<void>> run();
    void stop() {
        stopping_ = true;
        wake_.notify_all();
    }
    [[nodiscard]] BeatStatus status() const {
        const bool leads = scheduler_ && scheduler_->leads();
        return {.connected = connected_,
                .leads = leads,
                .entries = leads ? scheduler_->timetable().rows().size() : 0};
    }
    [[nodiscard]] const std::shared_ptr<AppCore>& core() const { return core_; }
    [[nodiscard]] const BeatOptions& options() const { return options_; }

private:
    Awaitable<bool> connect();
    Awaitable<microseconds> tick();
    void report(const Error& error);

    App& app_;
    std::shared_ptr<AppCore> core_;
    BeatOptions options_;
    Notifier wake_;
    std::optional<Scheduler> scheduler_;
    bool connected_ = false;
    bool failing_ = false;
    bool stopping_ = false;
};

Awaitable<Result<void>> Beat::Impl::run() {
    const Settings& settings = app_.settings();
    auto entries = program_entries(app_);
    if (!entries) co_return std::unexpected{std::move(entries.error())};
    const auto zone = schedule_zone(settings);
    if (!zone) co_return std::unexpected{zone.error()};
    if (!co_await connect()) co_return Result<void>{};
    scheduler_.emplace(
        core_->state(), std::move(*entries),
        SchedulerOptions{.schedule = options_.schedule,
                         .holder = core_->origin() + ' ' + uuid4(),
                         .zone = *zone,
                         .cron_deadline = cron_deadline(settings),
                         .stopping = [this] { return stopping_; }},
        [core = core_](Firing firing) { return send_firing(core, std::move(firing)); });
    microseconds longest = std::chrono::minutes{5};
    if (settings.beat_max_loop_interval.count() > 0) longest = settings.beat_max_loop_interval;
    while (!stopping_) {
        const microseconds wait = std::min(co_await tick(), longest);
        if (!stopping_)
            co_await wake_.wait(Deadline::in(std::max<microseconds>(wait, kShortestPause)));
    }
    co_await scheduler_->resign(Deadline::in(kAnswerPatience));
    co_return Result<void>{};
}

/// False: it was stopped first.
Awaitable<bool> Beat::Impl::connect() {
    while (!stopping_) {
        const auto connected = co_await core_->connect(Deadline::in(kConnectPatience));
        if (connected) {
            connected_ = true;
            co_return true;
        }
        report(connected.error());
        co_await wake_.wait(Deadline::in(kPauseAfterFailure));
    }
    co_return false;
}

Awaitable<microseconds> Beat::Impl::tick() {
    const bool led = scheduler_->leads();
    const auto wait = co_await scheduler_->tick();
    if (scheduler_->leads() != led && options_.on_change) options_.on_change();
    if (!wait) {
        report(wait.error());
        co_return kPauseAfterFailure;
    }
    if (std::exchange(failing_, false)) log::info("beat", "broker and state store answer again");
    co_return *wait;
}

void Beat::Impl::report(const Error& error) {
    if (std::exchange(failing_, true)) return;
    log::warning("beat", "waiting for broker and state store: {}", error.message());
}

Beat::Beat(App& app, BeatOptions options)
    : impl_{std::make_shared<Impl>(app, std::move(options))} {}

Beat::~Beat() {
    // A stop may have been asked for after the end of run(). While the loop works on that it holds
    // the beat and with it the app, and the last to let go of an app waits for the end of its loop.
    Loop& loop = impl_->core()->loop();
    if (!loop.on_loop_thread()) loop.call([] {});
}

Awaitable<Result<void>> Beat::run() {
    return impl_->run();
}
void Beat::request_stop() noexcept {
    impl_->core()->loop().post([impl = std::weak_ptr{impl_}] {
        if (const auto beat = impl.lock()) beat->stop();
    });
}
BeatStatus Beat::status() const {
    return impl_->status();
}
const std::string& Beat::schedule() const noexcept {
    return impl_->options().schedule;
}

std::string run_now(App& app, const ScheduleEntry& entry) {
    return detail::send_call_blocking(app.core(), call_of(entry));
}

}  // namespace lovage
