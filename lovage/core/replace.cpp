#include <lovage/core/replace.hpp>

#include <utility>

#include <fmt/format.h>

#include <lovage/core/compose.hpp>
#include <lovage/core/trace_context.hpp>

namespace lovage {
namespace {

std::unexpected<Error> cannot_replace(std::string_view why) {
    return fail(Errc::invalid_argument, fmt::format("a task cannot continue as {}", why));
}

/// Applies `change` to what a canvas ends with and keeps what comes of it.
template <class Change>
Result<void> change_end(Signature& canvas, Change change) {
    if (canvas.type == SignatureType::chord) {
        auto parts = parts_of(canvas);
        if (!parts) return std::unexpected{std::move(parts.error())};
        if (auto changed = change(parts->body); !changed) return changed;
        set_parts(canvas, *parts);
        return {};
    }
    auto tasks = tasks_of(canvas);
    if (!tasks) return std::unexpected{std::move(tasks.error())};
    if (tasks->empty()) return cannot_replace("a chain without steps");
    if (auto changed = change(tasks->back()); !changed) return changed;
    set_tasks(canvas, *tasks);
    return {};
}

/// What it ends with; a group stands for its members. Errors: a chain without steps.
Result<Signature> end_of(Signature canvas, std::size_t depth) {
    if (depth > kCanvasDepthMax) return fail(Errc::too_large, "a canvas nests too deep");
    if (canvas.type == SignatureType::task || canvas.type == SignatureType::group) return canvas;
    Signature end;
    auto taken = change_end(canvas, [&end](Signature& last) -> Result<void> {
        end = last;
        return {};
    });
    if (!taken) return std::unexpected{std::move(taken.error())};
    return end_of(std::move(end), depth + 1);
}

/// The task that it ends with runs under an id that is given to it.
Result<void> forget_end_id(Signature& canvas) {
    canvas.options.erase("task_id");
    if (canvas.type == SignatureType::task) return {};
    return change_end(canvas, [](Signature& end) { return forget_end_id(end); });
}

/// Celery's own task that returns one of its arguments.
Signature accumulate(const std::string& queue) {
    Signature task;
    task.task = "celery.accumulate";  // Wire.
    task.kwargs = Json::object({{"index", 0}});
    if (!queue.empty()) task.options.set("queue", queue);
    return task;
}

/// The same ending in one task, whose id is still to be given.
Result<Signature> with_one_end(Signature signature, const std::string& queue) {
    if (auto fine = check_replacement(signature); !fine) {
        return std::unexpected{std::move(fine.error())};
    }
    auto end = end_of(signature, 0);
    if (!end) return end;
    if (end->type == SignatureType::group) {
        auto ended = chain_of({std::move(signature), accumulate(queue)});
        if (!ended) return ended;
        signature = std::move(*ended);
    }
    if (auto forgotten = forget_end_id(signature); !forgotten) {
        return std::unexpected{std::move(forgotten.error())};
    }
    return signature;
}

/// Its place in the workflow, which a canvas hands down to its end.
void set_place(Signature& signature, const TaskMessage& message, const FollowUps& follow_ups) {
    const auto set = [&](std::string_view name, Json value) {
        signature.options.erase(name);
        if (!value.is_null()) signature.options.set(name, std::move(value));
    };
    set("chord", follow_ups.chord);
    set("group_id", message.group ? Json{*message.group} : Json{});
    set("group_index", message.group_index ? Json{*message.group_index} : Json{});
}

/// Marks it, and each step of a chain, as the replacement that it is.
Result<void> set_nesting(Signature& signature, std::int64_t nesting) {
    signature.options.set("replaced_task_nesting", nesting);
    if (signature.type != SignatureType::chain) return {};
    auto steps = tasks_of(signature);
    if (!steps) return std::unexpected{std::move(steps.error())};
    for (Signature& step : *steps) step.options.set("replaced_task_nesting", nesting);
    set_tasks(signature, *steps);
    return {};
}

Result<CanvasPlan> plan_from_inside(const TaskMessage& message, Signature signature,
                                    const std::string& position, TimePoint now) {
    const std::string& root = message.root_id.empty() ? message.id : message.root_id;
    CanvasPlanner planner{{message.id, root, now, trace_context_of(message.user_headers), true}};
    auto planned = planner.call(std::move(signature), {}, Json::object(), position);
    if (!planned) return std::unexpected{std::move(planned.error())};
    return std::move(planner).take();
}

/// A task may be replaced several times under its id: each time the ids are others.
std::string position_of(const TaskMessage& message) {
    return fmt::format("replace{}", message.replaced_task_nesting + 1);
}

}  // namespace

Result<void> check_replacement(const Signature& signature) {
    if (signature.option("chord") != nullptr) return cannot_replace("a part of another chord");
    if (signature.type != SignatureType::chain) return {};
    auto tasks = tasks_of(signature);
    if (!tasks) return std::unexpected{std::move(tasks.error())};
    if (tasks->empty()) return cannot_replace("a chain of nothing");
    return {};
}

Result<Signature> replacement_of(const TaskMessage& message, const FollowUps& follow_ups,
                                 Signature signature, const std::string& queue) {
    auto made = with_one_end(std::move(signature), queue);
    if (!made) return made;
    Signature& first = *made;
    for (const Signature& callback : follow_ups.callbacks) {
        if (auto added = add_link(first, callback); !added) return std::unexpected{added.error()};
    }
    for (const Signature& errback : follow_ups.errbacks) {
        if (auto added = add_errback(first, errback); !added) return std::unexpected{added.error()};
    }
    auto frozen = freeze(first, message.id, position_of(message), message.id, message.reply_to);
    if (!frozen) return std::unexpected{std::move(frozen.error())};
    set_place(first, message, follow_ups);
    const std::int64_t nesting = message.replaced_task_nesting + 1;
    if (auto set = set_nesting(first, nesting); !set) return std::unexpected{set.error()};
    if (follow_ups.chain.empty()) return made;

    std::vector<Signature> steps{std::move(first)};
    for (auto next = follow_ups.chain.rbegin(); next != follow_ups.chain.rend(); ++next) {
        auto step = decode_signature(*next, "a step of the chain");
        if (!step) return step;
        step->options.set("replaced_task_nesting", nesting);
        steps.push_back(std::move(*step));
    }
    return chain_of(std::move(steps));
}

Result<CanvasPlan> plan_replacement(const TaskMessage& message, const FollowUps& follow_ups,
                                    Signature signature, const std::string& queue, TimePoint now) {
    auto replacement = replacement_of(message, follow_ups, std::move(signature), queue);
    if (!replacement) return std::unexpected{std::move(replacement.error())};
    return plan_from_inside(message, std::move(*replacement), position_of(message), now);
}

Result<CanvasPlan> plan_chord_addition(const TaskMessage& message, const FollowUps& follow_ups,
                                       Signature signature, const std::string& id,
                                       const std::string& queue, TimePoint now) {
    if (follow_ups.chord.is_null() || !message.group) {
        return fail(Errc::invalid_argument, "the task is no part of a chord");
    }
    auto part = with_one_end(std::move(signature), queue);
    if (!part) return std::unexpected{std::move(part.error())};
    if (auto frozen = freeze(*part, id, "part", id); !frozen) {
        return std::unexpected{std::move(frozen.error())};
    }
    set_place(*part, message, follow_ups);
    return plan_from_inside(message, std::move(*part), "part", now);
}

std::string chord_addition_id(std::string_view task_id, std::int64_t nesting, std::size_t number) {
    return follow_up_id(task_id, fmt::format("added{}/{}", nesting, number));
}

}  // namespace lovage
