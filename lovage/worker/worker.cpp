#include <lovage/worker/worker.hpp>

#include <lovage/app/queues.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/url.hpp>
#include <lovage/worker/coroutine_pool.hpp>
#include <lovage/worker/detail/worker_impl.hpp>
#include <lovage/worker/make_pool.hpp>
#include <lovage/worker/start_check.hpp>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <thread>

namespace lovage {

namespace asio = boost::asio;

namespace {

using namespace std::chrono_literals;

constexpr auto kConnectAttempt = 10s;
constexpr auto kCloseDeadline = 10s;
/// How long a worker that could work waits for its mailbox.
constexpr auto kMailbox = 2s;
/// How long giving keys back may take; the others lapse.
constexpr auto kKeysDeadline = 2s;
/// How long the last events may take to leave.
constexpr auto kEventsDeadline = 2s;
/// How long idle slots may take for their finalisers.
constexpr auto kRetireDeadline = 5s;

/// The longest pause before another attempt to reach servers that are not there: an attempt itself
/// waits for them, and work goes on within five seconds of their return. Servers that answer but
/// refuse are left alone for longer.
constexpr auto kAwayPause = 2s;
constexpr auto kRefusedPause = 30s;

/// No amount of waiting cures these.
bool hopeless(Errc code) {
    return code == Errc::invalid_argument || code == Errc::conflict || code == Errc::malformed ||
           code == Errc::closed;
}

/// Nobody answers, or only to say that the server is busy with itself.
bool away(Errc code) {
    return code == Errc::disconnected || code == Errc::deadline_exceeded ||
           code == Errc::unknown_outcome || code == Errc::unavailable;
}

std::vector<QueueSource> sources_of(const WorkerOptions& options, const Settings& settings) {
    if (options.queues.empty()) return {{.queue = settings.task_default_queue}};
    std::vector<QueueSource> sources;
    for (const std::string& queue : options.queues) sources.push_back({.queue = queue});
    return sources;
}

std::size_t slots_of(const WorkerOptions& options, const Settings& settings) {
    if (chosen_pool(options.pool, settings) == "solo") return 1;
    if (settings.worker_autoscale) return settings.worker_autoscale->min;
    if (options.concurrency != 0) return options.concurrency;
    // Coroutines need no processor each.
    const bool unset = settings.worker_concurrency == Settings{}.worker_concurrency &&
                       !settings.origins.contains("worker_concurrency");
    if (unset && chosen_pool(options.pool, settings) == "coroutine") {
        return CoroutinePool::kDefaultSlots;
    }
    return settings.worker_concurrency;
}

WaitingRoom::Options waiting_options(const Settings& settings) {
    WaitingRoom::Options options;
    options.policy.horizon = settings.worker_eta_horizon;
    options.policy.longest_delay = longest_delay(settings);
    options.tasks_most = settings.worker_eta_task_limit;
    return options;
}

/// How long the broker lets a message go unacknowledged: RabbitMQ's consumer_timeout by default.
std::optional<std::chrono::minutes> held_most(const Settings& settings) {
    const std::string_view url = settings.broker_url;
    if (url.starts_with("amqp") || url.starts_with("pyamqp")) return 30min;
    return std::nullopt;
}

}  // namespace

Worker::Impl::Impl(App& of, WorkerOptions wanted)
    : app{of},
      core{of.core()},
      options{std::move(wanted)},
      hostname{node_name(options.hostname)},
      slots{slots_of(options, of.settings())},
      delivery_{delivery_rules(of.settings())},
      pool_{make_pool(*core, {.name = options.pool, .slots = slots, .hostname = hostname})},
      metrics_{metrics::default_registry()},
      events_{core->loop().executor(), core->clock(), event_options(),
              [this] { return core->connected() ? &core->broker() : nullptr; },
              [this] { return load(); }},
      changed_{core->loop().executor()},
      look_ahead_{static_cast<std::uint32_t>(slots)},
      revocations_{*core},
      watch_{core->loop().executor(), *pool_, revocations_, held_most(of.settings())},
      sources_{sources_of(options, of.settings())},
      settler_{*core,
               metrics_,
               hostname,
               {[this] { return consumer_.get(); },
                [this](DeliveryTag tag) { return tag.epoch == epoch_; },
                [this](const RequestPtr& request, const TaskOutcome* outcome, auto settle_time) {
                    on_settled(request, outcome, settle_time);
                },
                [this](const TaskRequest& request, const TaskOutcome& outcome) {
                    events_.ended(request, outcome);
                }}},
      sweeper_{*core, settler_.workflow(), metrics_, hostname},
      waiting_{*core,
               metrics_,
               waiting_options(of.settings()),
               {[this] { return consumer_.get(); },
                [this] {
                    update_prefetch();
                    changed_.notify_all();
                }}},
      admission_{of.settings(), waiting_},
      gate_{*core, waiting_, hostname, gate_hooks()},
      scope_{core->loop().executor()} {
    metrics_.slots.set(static_cast<double>(slots));
    if (const auto& range = of.settings().worker_autoscale) {
        autoscale_.emplace(*range, of.settings().worker_autoscale_keepalive);
        look_ahead_.set_slots(range->max);
    }
}

Awaitable<void> Worker::Impl::pause(std::chrono::milliseconds length) {
    // Wakes early when a stop is requested.
    co_await changed_.wait(Deadline::in(length));
}

Awaitable<void> Worker::Impl::stop_wanted() {
    while (stops_ == 0) co_await changed_.wait();
}

Awaitable<Result<void>> Worker::Impl::connect_and_consume() {
    if (auto connected = co_await core->connect(Deadline::in(kConnectAttempt)); !connected) {
        co_return connected;
    }
    co_return co_await open_consumer();
}

Awaitable<Result<void>> Worker::Impl::wait_for_servers() {
    using namespace asio::experimental::awaitable_operators;
    for (std::chrono::milliseconds wait = 1s; stops_ == 0; wait *= 2) {
        auto attempt = co_await (connect_and_consume() || stop_wanted());
        if (attempt.index() == 1 || stops_ != 0) break;
        auto& connected = std::get<0>(attempt);
        if (connected || hopeless(connected.error().code)) co_return std::move(connected);
        wait = std::min<std::chrono::milliseconds>(
            wait, away(connected.error().code) ? kAwayPause : kRefusedPause);
        log::error("worker", "consumer: cannot start on {}: {}. Trying again in {:.0f} s …",
                   display_urls(app.settings().broker_url), connected.error().message(),
                   std::chrono::duration<double>(wait).count());
        co_await pause(wait);
    }
    co_return Result<void>{};
}

Awaitable<Result<void>> Worker::Impl::open_consumer() {
    const Deadline deadline = Deadline::in(kConnectAttempt);
    for (const QueueSource& source : std::vector{sources_}) {
        if (stops_ != 0) co_return fail(Errc::cancelled, "the worker stops");
        auto declared = co_await declare(source, deadline);
        if (!declared) co_return declared;
    }
    if (sources_.empty()) co_return Result<void>{};
    ahead_ = look_ahead_.prefetch();
    prefetch_ = wanted_prefetch();
    std::vector<std::string> consumed = queue_names();
    ConsumeOptions consume{consumed, prefetch_, hostname};
    auto opened = co_await core->broker().consume(std::move(consume), deadline);
    if (!opened) co_return std::unexpected{std::move(opened.error())};
    // Nobody would run what it takes; dropped, it gives that back.
    if (stops_ != 0) co_return fail(Errc::cancelled, "the worker stops");
    consumer_ = std::move(*opened);
    co_return co_await catch_up(std::move(consumed), deadline);
}

Awaitable<Result<void>> Worker::Impl::run() {
    if (auto fine = check_start(app.settings(), app.tasks(), *pool_); !fine) co_return fine;
    auto started = co_await wait_for_servers();
    if (!started) co_return started;
    std::optional<WorkerHookCalls> ready_hooks;
    if (consumer_) {
        co_await open_journal();
        Pool::Events events;
        events.started = [this](const RequestPtr& request) {
            watch_.started(request);
            settler_.task_started(request);
            events_.started(*request);
        };
        events.finished = [this](std::vector<FinishedTask> ended) {
            on_finished(std::move(ended));
        };
        events.broken = [this](Error problem) {
            problem_ = std::move(problem);
            stop_requested();
        };
        pool_->start(std::move(events));
        scope_.spawn("consume", consume());
        scope_.spawn("eta", release_due());
        scope_.spawn("soft limits", watch_.watch_limits());
        scope_.spawn("revocations", watch_.watch_revocations());
        scope_.spawn("progress", watch_progress());
        scope_.spawn("sweep chords", sweeper_.run());
        if (autoscale_) scope_.spawn("autoscale", watch_load());
        started_ = Clock::now();
        if (app.settings().worker_enable_remote_control) {
            mailbox_.emplace(core->loop().executor(), *this, core->broker());
            (void)co_await mailbox_->open(Deadline::in(kMailbox));  // else serve() says why not
            scope_.spawn("remote control", mailbox_->serve());
        }
        events_.start();
        ready = true;
        log::info("worker", "{} ready.", hostname);
        if (options.on_ready) options.on_ready();
        ready_hooks.emplace(core->loop().executor(), core->worker_hooks().ready, hostname);
    }
    while (stops_ == 0) co_await changed_.wait();
    co_await shut_down();
    if (ready_hooks) co_await finish_hooks(&*ready_hooks, "ready");
    WorkerHookCalls shutdown_hooks{core->loop().executor(), core->worker_hooks().shutdown,
                                   hostname};
    co_await finish_hooks(&shutdown_hooks, "shutdown");
    if (problem_) co_return std::unexpected{std::move(*problem_)};
    co_return Result<void>{};
}

Awaitable<void> Worker::Impl::finish_hooks(WorkerHookCalls* calls, std::string_view name) {
    const auto longest = options.shutdown_timeout.value_or(app.settings().worker_shutdown_timeout);
    if (co_await calls->ended(Deadline::in(longest))) co_return;
    log::error("worker", "a '{}' hook did not return within {:.0f} s; it is left behind", name,
               std::chrono::duration<double>(longest).count());
    ++left_behind;
}

void Worker::Impl::stop_requested() {
    ++stops_;
    if (stops_ == 1) {
        log::info("worker", "Warm shutdown: {} running, waiting for them", watch_.running().size());
    } else if (stops_ == 2) {
        log::warning("worker", "In a hurry: {} running tasks are given back",
                     watch_.running().size());
    }
    changed_.notify_all();
}

void Worker::Impl::cold_stop_requested() {
    const std::chrono::milliseconds wait = app.settings().worker_soft_shutdown_timeout;
    const std::size_t running = watch_.running().size();
    if (wait.count() > 0 && !soft_ && stops_ < 2 && running != 0) {
        log::warning("worker", "Soft shutdown: {} running, waiting {} s for them", running,
                     std::chrono::duration<double>(wait).count());
        soft_ = Deadline::in(wait);
        stops_ = 1;
    } else if (stops_ < 2) {
        log::warning("worker", "Cold shutdown: {} running tasks are given back", running);
        stops_ = 2;
    }
    changed_.notify_all();
}

WorkerStatus Worker::Impl::status() const {
    return {.consuming = ready,
            .stopping = stops_ != 0,
            .running = watch_.running().size(),
            .slots = pool_->slots(),
            .can_run = pool_->can_run()};
}

Awaitable<void> Worker::Impl::wait_for_running() {
    const auto longest = options.shutdown_timeout.value_or(app.settings().worker_shutdown_timeout);
    const Deadline deadline = Deadline::in(longest);
    while (stops_ < 2 &&
           (!watch_.running().empty() || settler_.pending() != 0 || waiting_.handing_over() != 0)) {
        // A cold stop may come later and wait for less.
        const Deadline until = soft_ ? deadline.no_later_than(soft_->remaining()) : deadline;
        if (!co_await changed_.wait(until)) break;
    }
}

Awaitable<void> Worker::Impl::shut_down() {
    ready = false;
    // Whoever kills it from here on did not have to wait for a task to crash.
    if (journal_) journal_->remove();
    // First what has not started: other workers shall have it at once.
    if (consumer_) {
        auto quiet = co_await consumer_->cancel(Deadline::in(kCloseDeadline));
        if (!quiet) log::warning("worker", "stopping to consume: {}", quiet.error().message());
    }
    waiting_.stop();
    withdraw_unstarted();
    co_await wait_for_running();
    if (watch_.running().empty()) co_await pool_->retire(Deadline::in(kRetireDeadline));
    for (const RequestPtr& request : watch_.running())
        pool_->request_stop(request, StopReason::shutdown);
    settler_.give_up();
    waiting_.give_up();
    scope_.request_stop();
    left_behind = pool_->stop();  // nothing is reported from here on
    co_await pool_->join();
    // Keys of tasks that still run lapse.
    if (left_behind == 0) gate_.close();
    // A store that is under way outlasts its cancellation: it is waited for, however slow.
    while (!co_await settler_.join(Deadline::in(kCloseDeadline))) {
        log::warning("worker", "still waiting for the result backend");
    }
    // After the settler, whose tasks' keys go back when they are settled.
    (void)co_await gate_.join(Deadline::in(kKeysDeadline));
    gate_.give_up();
    while (!co_await gate_.join(Deadline::in(kCloseDeadline))) {
        log::warning("worker", "still waiting for the state store");
    }
    while (!co_await waiting_.join(Deadline::in(kCloseDeadline)) ||
           !co_await scope_.join(Deadline::in(kCloseDeadline))) {
        log::warning("worker", "still waiting for the broker");
    }
    if (mailbox_) co_await mailbox_->close(Deadline::in(kCloseDeadline));
    if (consumer_) {
        // Flushes the acks, and returns what is unsettled: tasks that did not end in time.
        auto closed = co_await consumer_->close(Deadline::in(kCloseDeadline));
        if (!closed) log::warning("worker", "closing the consumer: {}", closed.error().message());
        consumer_.reset();
    }
    co_await events_.finish(Deadline::in(kEventsDeadline));
    log::info("worker", "{} stopped.", hostname);
}

EventDispatcher::Options Worker::Impl::event_options() const {
    const Settings& settings = core->settings();
    return {.hostname = hostname,
            .exchange = settings.event_exchange,
            .task_events = settings.worker_send_task_events,
            .heartbeat = options.heartbeat};
}

void Worker::Impl::withdraw_unstarted() {
    for (const RequestPtr& request : pool_->take_unstarted()) {
        watch_.ended(request);
        gate_.given_back(request);
        give_back(request);
    }
    for (const RequestPtr& request : gate_.withdraw()) give_back(request);
    for (const RequestPtr& request : waiting_.withdraw()) give_back(request);
}

Worker::Worker(App& app, WorkerOptions options)
    : impl_{std::make_shared<Impl>(app, std::move(options))} {}

Worker::~Worker() {
    // A stop may have been asked for after the end of run(). While the loop works on that it holds
    // the worker and with it the app, and the last to let go of an app waits for the end of its
    // loop.
    Loop& loop = impl_->core->loop();
    if (!loop.on_loop_thread()) loop.call([] {});
}

Awaitable<Result<void>> Worker::run() {
    return impl_->run();
}

void Worker::request_stop() {
    impl_->core->loop().post([impl = std::weak_ptr{impl_}] {
        if (const auto worker = impl.lock()) worker->stop_requested();
    });
}

Result<void> Worker::grow(std::size_t slots) {
    return impl_->grow(slots);
}
Result<void> Worker::shrink(std::size_t slots) {
    return impl_->shrink(slots);
}
Result<AutoscaleRange> Worker::autoscale(AutoscaleRange bounds) {
    return impl_->set_autoscale(bounds);
}
Result<void> Worker::restart_pool() {
    return impl_->restart_pool();
}

void Worker::request_cold_stop() {
    impl_->core->loop().post([impl = std::weak_ptr{impl_}] {
        if (const auto worker = impl.lock()) worker->cold_stop_requested();
    });
}

std::size_t Worker::left_behind() const noexcept {
    return impl_->left_behind;
}
bool Worker::ready() const noexcept {
    return impl_->ready;
}
WorkerStatus Worker::status() const {
    return impl_->status();
}
const std::string& Worker::hostname() const noexcept {
    return impl_->hostname;
}
std::vector<std::string> Worker::queues() const {
    return impl_->queue_names();
}
std::size_t Worker::concurrency() const noexcept {
    return impl_->slots;
}
std::string_view Worker::pool() const noexcept {
    return impl_->pool_name();
}

}  // namespace lovage
