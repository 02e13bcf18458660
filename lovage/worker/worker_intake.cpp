// How a delivery becomes a request for the pool: decoded, under the rules that hold for it, and
// looked up among what is revoked.

#include <lovage/core/unique.hpp>
#include <lovage/runtime/for_each.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/worker/detail/worker_impl.hpp>
#include <lovage/worker/places.hpp>

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>

namespace lovage {

namespace {

/// The failure stored for a message that cannot become a task, under the exception a Python worker
/// raises for it.
TaskFailure failure_of(BadMessage reason, const std::string& detail) {
    switch (reason) {
        case BadMessage::undecodable:
        case BadMessage::unsupported:
            return {"DecodeError", detail, "kombu.exceptions", ""};
        case BadMessage::content_disallowed:
            return {"ContentDisallowed", detail, "kombu.exceptions", ""};
        case BadMessage::unknown_message:
        case BadMessage::invalid:
        case BadMessage::too_large:
            break;
    }
    return {"InvalidTaskError", detail, "celery.exceptions", ""};
}

/// Empty where the headers name none that a task can have.
std::string id_in_headers(const Message& message) {
    const Json* const id = message.headers.find("id");
    if (id == nullptr || !id->is_string()) return {};
    return id->as_string().size() <= kTaskIdBytesMax ? id->as_string() : std::string{};
}

/// For what the result backend is asked about messages that came again.
constexpr auto kLookUp = std::chrono::seconds{5};

using Limit = std::optional<std::chrono::milliseconds>;

/// A time limit in force: the message's word, else the task's, else the settings'.
Limit limit(std::optional<double> of_message, Limit of_task, Limit of_settings) {
    if (!of_message) return of_task ? of_task : of_settings;
    constexpr double kLongest = 10.0 * 366 * 86400;
    const double seconds = std::clamp(*of_message, 0.0, kLongest);
    return std::chrono::milliseconds{std::llround(seconds * 1000)};
}

}  // namespace

Worker::Impl::RequestPtr Worker::Impl::make_request(Delivery delivery, TaskMessage message,
                                                    const TaskDefinition& task,
                                                    std::shared_ptr<const FollowUps> follow_ups) {
    if (delivery.expired && !message.expires) message.expires = TimePoint{};
    auto request = std::make_shared<TaskRequest>();
    const bool in_chord = follow_ups && !follow_ups->chord.is_null();
    request->context = make_context(message, in_chord, task, delivery, hostname);
    request->follow_ups = std::move(follow_ups);
    request->definition = &task;
    request->hooks = &core->task_hooks();
    request->journal = journal_;
    request->message = std::move(message);
    request->delivery = std::move(delivery);
    request->received = Clock::now();
    // Weak: the request owns the context that owns this.
    request->context->on_update([reports = settler_.reports(), made = std::weak_ptr{request}](
                                    std::string state, Json meta) {
        if (auto of = made.lock()) {
            reports->report({std::move(of), std::move(state), std::move(meta)});
        }
    });
    request->context->send_events_to(events_.custom());
    set_rules(*request);
    const TaskMessage& call = request->message;
    request->place = place_call(task, call.args, call.kwargs);
    request->unique = unique_call(task, call.args, call.kwargs,
                                  sent_time(call.user_headers).value_or(wall_clock_now()));
    request->judged = call.retries > 0;  // its first attempt was
    return request;
}

void Worker::Impl::set_rules(TaskRequest& request) {
    const Settings& settings = app.settings();
    const TimeLimits own = limits_.of(*request.definition);
    request.acknowledge = ack_rules(delivery_, request.definition->options);
    request.time_limit = limit(request.message.time_limit, own.hard, settings.task_time_limit);
    request.soft_time_limit =
        limit(request.message.soft_time_limit, own.soft, settings.task_soft_time_limit);
    if (request.time_limit && !pool_->keeps_hard_limits()) soften_hard_limit(request);
    request.report_start = settings.task_track_started || !request.acknowledge.acks_late ||
                           request.soft_time_limit.has_value() ||
                           events_.wants(*request.definition);
}

void Worker::Impl::soften_hard_limit(TaskRequest& request) {
    if (!std::exchange(told_of_hard_limits_, true)) {
        log::warning("worker",
                     "Task {}[{}] came with a hard time limit of {}s. The pool '{}' cannot kill a "
                     "task: such limits are soft ones here (this is said once)",
                     request.message.display_name(), request.message.id,
                     std::chrono::duration<double>(*request.time_limit).count(), pool_->name());
    }
    request.soft_time_limit =
        std::min(request.soft_time_limit.value_or(*request.time_limit), *request.time_limit);
    request.time_limit.reset();
}

/// A request for the pool, or nothing: the message went into quarantine.
Worker::Impl::RequestPtr Worker::Impl::decode(Delivery delivery) {
    auto message = decode_task_message(delivery.message);
    if (!message) {
        DecodeError& bad = message.error();
        TaskFailure failure = failure_of(bad.reason, bad.detail);
        settler_.quarantine(std::move(delivery), std::string{to_string(bad.reason)}, bad.detail,
                            bad.task_id, bad.task.value_or(""), std::move(failure));
        return nullptr;
    }
    auto read = read_follow_ups(message->embed);
    if (!read) {
        // Running the task and forgetting what comes after it would break the workflow unseen.
        TaskFailure failure = failure_of(BadMessage::invalid, read.error().detail);
        settler_.quarantine(std::move(delivery), std::string{to_string(BadMessage::invalid)},
                            read.error().detail, message->id, message->task, std::move(failure));
        return nullptr;
    }
    std::shared_ptr<const FollowUps> follow_ups;
    if (!read->empty()) follow_ups = std::make_shared<const FollowUps>(std::move(*read));
    const TaskDefinition* definition = app.tasks().find(message->task);
    if (definition == nullptr) {
        const std::string name = message->task;
        events_.unknown_task(message->id, name);
        std::optional<WorkflowStep> step;
        if (follow_ups) step = workflow_step(*message, std::move(follow_ups));
        settler_.quarantine(std::move(delivery), "not-registered",
                            "no task named '" + name + "' is registered in this worker",
                            message->id, "", {"NotRegistered", name, "celery.exceptions", ""},
                            std::move(step));
        return nullptr;
    }
    RequestPtr request =
        make_request(std::move(delivery), std::move(*message), *definition, std::move(follow_ups));
    log::info("worker", "Task {}[{}] received", request->message.display_name(),
              request->message.id);
    // Celery differs: of a task that was revoked or has expired it says only that.
    events_.received(*request);
    return request;
}

Awaitable<std::vector<std::optional<TaskMeta>>> Worker::Impl::look_up_done(
    std::vector<RequestPtr> requests) {
    std::vector<std::optional<TaskMeta>> done;
    if (!app.settings().worker_deduplicate_successful_tasks) co_return done;
    std::vector<std::string> ids;
    std::vector<std::size_t> of;
    for (std::size_t i = 0; i < requests.size(); ++i) {
        const TaskRequest& request = *requests[i];
        // What was acknowledged early comes again only when it had not started.
        if (!request.delivery.redelivered || !request.acknowledge.acks_late) continue;
        ids.push_back(request.message.id);
        of.push_back(i);
    }
    if (ids.empty()) co_return done;
    auto found = co_await core->results().get_many(std::move(ids), Deadline::in(kLookUp));
    if (!found) {
        log::warning("worker", "results could not be read ({}): tasks that came again run",
                     found.error().message());
        co_return done;
    }
    done.resize(requests.size());
    for (std::size_t i = 0; i < of.size(); ++i) {
        auto& record = (*found)[i];
        if (record && record->status == states::kSuccess) done[of[i]] = std::move(record);
    }
    co_return done;
}

/// Whoever ran it may have died before it told of the end. How long it took nobody knows any more.
void Worker::Impl::end_done(RequestPtr request, TaskMeta record) {
    TaskOutcome outcome;
    outcome.value = record.result;
    events_.ended(*request, outcome);
    settler_.end_done(std::move(request), std::move(record));
}

Awaitable<std::vector<Revocation>> Worker::Impl::look_up_revoked(
    const std::vector<RequestPtr>& requests) {
    std::vector<std::string> ids;
    ids.reserve(requests.size());
    for (const RequestPtr& request : requests) ids.push_back(request->message.id);
    return revocations_.look_up(std::move(ids));
}

/// The store is asked for the ids that the headers name, and the messages are read while it
/// answers.
Awaitable<Worker::Impl::Taken> Worker::Impl::decode_and_look_up(std::vector<Delivery> deliveries) {
    std::vector<std::string> ids;
    ids.reserve(deliveries.size());
    for (const Delivery& delivery : deliveries) ids.push_back(id_in_headers(delivery.message));
    // Celery's first protocol has the id in the body; some brokers do not read headers.
    const bool named = std::ranges::none_of(ids, &std::string::empty);
    std::vector<RequestPtr> decoded;
    std::vector<Revocation> revoked(ids.size(), Revocation::none);
    const auto read = [&] { return decode_into(&decoded, &deliveries); };
    const auto both = [&](std::size_t part) {
        return part == 0 ? look_up_into(&revoked, ids) : read();
    };
    if (named) {
        (void)co_await for_each_index(2, 2, both, OnFailure::finish);
    } else {
        (void)co_await read();
    }
    Taken taken;
    bool asked_for_all = named;
    for (std::size_t i = 0; i < decoded.size(); ++i) {
        if (!decoded[i]) continue;
        asked_for_all = asked_for_all && decoded[i]->message.id == ids[i];
        taken.requests.push_back(std::move(decoded[i]));
        taken.revoked.push_back(revoked[i]);
    }
    if (!asked_for_all) taken.revoked = co_await look_up_revoked(taken.requests);
    co_return taken;
}

Awaitable<Result<void>> Worker::Impl::look_up_into(std::vector<Revocation>* revoked,
                                                   std::vector<std::string> ids) {
    *revoked = co_await revocations_.look_up(std::move(ids));
    co_return Result<void>{};
}

Awaitable<Result<void>> Worker::Impl::decode_into(std::vector<RequestPtr>* decoded,
                                                  std::vector<Delivery>* deliveries) {
    // The question leaves first.
    co_await boost::asio::post(core->loop().executor(), boost::asio::use_awaitable);
    for (Delivery& delivery : *deliveries) decoded->push_back(decode(std::move(delivery)));
    co_return Result<void>{};
}

}  // namespace lovage
