// What remote control sees of a worker and does to it.

#include <lovage/runtime/log.hpp>
#include <lovage/worker/detail/worker_impl.hpp>

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace lovage {

std::vector<std::string> Worker::Impl::queue_names() const {
    std::vector<std::string> names;
    for (const QueueSource& source : sources_) names.push_back(source.queue);
    return names;
}

std::vector<Worker::Impl::RequestPtr> Worker::Impl::reserved() const {
    std::unordered_set<RequestPtr> waiting = watch_.running();
    for (const RunningTask& task : pool_->running()) waiting.erase(task.request);
    std::vector<RequestPtr> requests = waiting_.in_line();
    requests.insert(requests.end(), waiting.begin(), waiting.end());
    std::ranges::sort(requests, {}, [](const RequestPtr& request) { return request->received; });
    return requests;
}

std::vector<Worker::Impl::RequestPtr> Worker::Impl::scheduled() const {
    return waiting_.scheduled();
}

EventDispatcher::Load Worker::Impl::load() const {
    EventDispatcher::Load load{.active = busy_slots(), .processed = busy_slots()};
    for (const auto& [task, count] : begun_) load.processed += count;
    return load;
}

std::map<std::string, std::uint64_t> Worker::Impl::totals() const {
    std::map<std::string, std::uint64_t> totals;
    for (const auto& [task, count] : begun_) totals[task->name] += count;
    for (const RunningTask& task : pool_->running()) ++totals[task.request->definition->name];
    return totals;
}

std::optional<AutoscaleRange> Worker::Impl::autoscale() const {
    if (!autoscale_) return std::nullopt;
    return autoscale_->bounds();
}

void Worker::Impl::request_warm_stop() {
    if (stops_ == 0) stop_requested();
}

std::vector<std::string> Worker::Impl::revoke_held(const std::vector<std::string>& task_ids,
                                                   const RevokeOptions& how) {
    const std::unordered_set<std::string_view> wanted{task_ids.begin(), task_ids.end()};
    std::vector<std::string> held;
    for (const RequestPtr& request : watch_.running()) {
        if (!wanted.contains(request->message.id)) continue;
        watch_.revoke(request, how);
        held.push_back(request->message.id);
    }
    end_waiting([&](const RequestPtr& request) {
        if (!wanted.contains(request->message.id)) return false;
        held.push_back(request->message.id);
        return true;
    });
    return held;
}

void Worker::Impl::end_waiting(const std::function<bool(const RequestPtr&)>& revoked) {
    for (RequestPtr& request : waiting_.take_if(revoked)) {
        admission_.give_back_turn(*request);
        settler_.revoke(std::move(request), "revoked");
    }
}

RevokedStamps::Stamps Worker::Impl::revoke_stamped(const RevokedStamps::Stamps& stamps,
                                                   const RevokeOptions& how) {
    revoked_stamps_.add(stamps);
    RevokedStamps::Stamps held;
    const auto note = [&](const TaskRequest& request) {
        auto carried = RevokedStamps::common(request.message, stamps);
        const bool concerned = !carried.empty();
        for (auto& [header, values] : carried) held[header].merge(values);
        return concerned;
    };
    for (const RequestPtr& request : watch_.running()) {
        if (note(*request)) watch_.revoke(request, how);
    }
    end_waiting([&](const RequestPtr& request) { return note(*request); });
    return held;
}

TaskOptions Worker::Impl::options_of(const TaskDefinition& task) const {
    TaskOptions in_force = task.options;
    if (const auto limit = admission_.replaced_limit(task)) in_force.rate_limit = limit;
    const TimeLimits limits = limits_.of(task);
    in_force.time_limit = limits.hard;
    in_force.soft_time_limit = limits.soft;
    return in_force;
}

void Worker::Impl::limit_rate(const TaskDefinition& task, RateLimit limit) {
    log::info("worker", "remote control: rate limit of {} is now {}", task.name, to_string(limit));
    admission_.set_limit(task, limit);
}

void Worker::Impl::limit_time(const TaskDefinition& task, TimeLimits limits) {
    log::info("worker", "remote control: new time limits of {}", task.name);
    limits_.replace(task, limits);
    // What waits in the pool has its limits already; what waits elsewhere gets them from submit().
    std::vector<RequestPtr> unstarted = pool_->take_unstarted();
    for (const RequestPtr& request : unstarted) set_rules(*request);
    pool_->submit(std::move(unstarted));
}

Awaitable<Result<void>> Worker::Impl::declare(QueueSource source, Deadline deadline) {
    Broker& broker = core->broker();
    QueueDeclaration queue = queue_of(source, app.settings());
    auto declared = co_await broker.declare_queue(std::move(queue), deadline);
    if (!declared) co_return declared;
    core->client().queue_is_there(source.queue);
    // No exchange of the queue's name beside another one: that name may be taken.
    ExchangeDeclaration exchange = exchange_of(source);
    declared = co_await broker.declare_exchange(std::move(exchange), deadline);
    if (!declared) co_return declared;
    Binding binding = binding_of(source);
    co_return co_await broker.bind(std::move(binding), deadline);
}

Awaitable<Result<void>> Worker::Impl::add_queue(QueueSource source, Deadline deadline) {
    if (stops_ != 0) co_return fail(Errc::unavailable, "the worker stops");
    auto done = co_await declare(source, deadline);
    if (!done) co_return done;
    while (const std::shared_ptr<Consumer> consumer = consumer_) {
        done = co_await consumer->add_queue(source.queue, deadline);
        if (consumer != consumer_) continue;  // another one took its place meanwhile
        if (!done) co_return done;
        break;
    }
    const auto known = std::ranges::find(sources_, source.queue, &QueueSource::queue);
    if (known != sources_.end()) {
        *known = std::move(source);
    } else {
        log::info("worker", "remote control: consuming {}, too", source.queue);
        sources_.push_back(std::move(source));
    }
    changed_.notify_all();
    co_return Result<void>{};
}

Awaitable<Result<void>> Worker::Impl::cancel_queue(std::string queue, Deadline deadline) {
    // First, so that a consumer that is lost meanwhile comes back without it.
    if (std::erase_if(sources_, [&](const QueueSource& source) { return source.queue == queue; })) {
        log::info("worker", "remote control: not consuming {} any more", queue);
    }
    // Whoever deletes it does not find it there again after the next reconnect.
    core->broker().forget_queue(queue);
    // Always: an earlier try may have failed here.
    const std::shared_ptr<Consumer> consumer = consumer_;
    if (!consumer) co_return Result<void>{};
    auto done = co_await consumer->cancel_queue(std::move(queue), deadline);
    const bool gone = consumer != consumer_ || (!done && done.error().code == Errc::not_found);
    if (gone) co_return Result<void>{};
    co_return done;
}

bool Worker::Impl::wants_queue(std::string_view queue) const {
    return std::ranges::find(sources_, queue, &QueueSource::queue) != sources_.end();
}

Awaitable<Result<void>> Worker::Impl::consume_wanted(std::string queue, Deadline deadline) {
    if (!wants_queue(queue)) co_return Result<void>{};
    const std::shared_ptr<Consumer> consumer = consumer_;
    auto added = co_await consumer->add_queue(queue, deadline);
    if (added && !wants_queue(queue)) added = co_await cancel_queue(std::move(queue), deadline);
    co_return added;
}

Awaitable<Result<void>> Worker::Impl::catch_up(std::vector<std::string> consumed,
                                               Deadline deadline) {
    for (const std::string& queue : consumed) {
        if (wants_queue(queue)) continue;
        auto cancelled = co_await cancel_queue(queue, deadline);
        if (!cancelled) co_return cancelled;
    }
    for (const std::string& queue : queue_names()) {
        if (std::ranges::find(consumed, queue) != consumed.end()) continue;
        auto added = co_await consume_wanted(queue, deadline);
        if (!added) co_return added;
    }
    co_return Result<void>{};
}

}  // namespace lovage
